/** Calico's own images, built from this checkout when something of them changed. */
import { join } from "node:path";
import { ARCHIVE, buildImages } from "../../images/build.ts";
import { repositoryRoot } from "../paths.ts";

/** One archive with all of them. */
export async function calicoImages(onProgress: (line: string) => void): Promise<string> {
  const saveDir = join(repositoryRoot, "node_modules", ".cache", "calico-images");
  await buildImages({ saveDir, onProgress });
  return join(saveDir, ARCHIVE);
}
