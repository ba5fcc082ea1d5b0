/** Where a lab keeps its files. */
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

/** Top of the checkout. */
export const repositoryRoot = resolve(dirname(fileURLToPath(import.meta.url)), "..", "..");

export type LabPaths = ReturnType<typeof labPaths>;

/** Paths below the folder of one lab (".lab" for the user's). */
export function labPaths(dir: string) {
  return {
    dir,
    kubeconfig: join(dir, "kubeconfig"),
    controlSocket: join(dir, "lab.sock"),
    log: join(dir, "lab.log"),
    logs: join(dir, "logs"),
    /** What Kubernetes' own API server was asked by the components. */
    audit: join(dir, "logs", "audit.log"),
    pki: join(dir, "pki"),
    config: join(dir, "config"),
    state: join(dir, "state.json"),
    node: (name: string) => join(dir, "nodes", name),
  } as const;
}

/** Folder of the lab that the command line starts and asks. */
export const userLabDir = process.env["CALICO_LAB_DIR"] ?? join(repositoryRoot, ".lab");

/** The project's own Node.js. */
export const nodeBinary = join(repositoryRoot, "node_modules", ".bin", "node");

/** Bundle of a service. */
export const bundleOf = (service: string): string => join(repositoryRoot, "services", service, "dist", "main.mjs");
