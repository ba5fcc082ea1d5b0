/** Files of a TLS identity. */
import { readFileSync } from "node:fs";

export type TlsFiles = { readonly caFile: string; readonly certFile: string; readonly keyFile: string };

/** Throws an error that names the file. */
export function readTlsFile(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new Error(`cannot read the TLS file ${path}`, { cause: error });
  }
}
