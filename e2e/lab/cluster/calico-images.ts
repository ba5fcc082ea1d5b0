/** Calico's own images, built from this checkout when something of them changed. */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { ARCHIVE, buildImages } from "../../images/build.ts";
import { repositoryRoot } from "../paths.ts";

/** Another checkout on the machine has images of its own. */
export const IMAGE_TAG = `lab-${createHash("sha256").update(repositoryRoot).digest("hex").slice(0, 8)}`;

/** One archive with all of them. */
export async function calicoImages(onProgress: (line: string) => void): Promise<string> {
  const saveDir = join(repositoryRoot, "node_modules", ".cache", "calico-images");
  await buildImages({ saveDir, tag: IMAGE_TAG, onProgress });
  return join(saveDir, ARCHIVE);
}
