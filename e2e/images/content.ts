/** What an image is made of, as one hash: the same hash needs no new build. */
import { createHash } from "node:crypto";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { ComponentName } from "./arguments.ts";

/** Files of every image. The lock file stands for Node.js and koffi. */
const COMMON = ["images/Containerfile", "images/unpack.sh", "images/complete.sh", "images/passwd", "images/group", "images/calicoctl", "images/init/init.c", "package-lock.json"];

/** The files of a bundle, relative to the top of the checkout; none for a component without one. */
export function bundleFiles(root: string, component: ComponentName): string[] {
  if (component === "nats") return [];
  const dist = component === "calicoctl" ? "calicoctl/dist" : `services/${component}/dist`;
  const files = globSync([`${dist}/*.mjs`, `${dist}/calico`], { cwd: root }).sort();
  if (!files.includes(`${dist}/main.mjs`)) throw new Error(`${component} is not built: npm run build`);
  return files;
}

/** The hash of all that goes into an image, with what else its build depends on. */
export function contentHash(root: string, component: ComponentName, others: readonly string[]): string {
  const hash = createHash("sha256");
  for (const file of [...COMMON, ...bundleFiles(root, component)]) hash.update(`${file}\0`).update(readFileSync(join(root, file))).update("\0");
  for (const other of others) hash.update(`${other}\0`);
  return hash.digest("hex");
}
