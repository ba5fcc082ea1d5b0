/** Certificates of a lab: one authority, one certificate for each server and client. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as pki from "@calico/pki";

const LIFETIME_MS = 7 * 24 * 3_600_000;

export type CertificateFiles = { readonly ca: string; readonly cert: string; readonly key: string };

/** Whose certificate it is, and the addresses and names it serves at. An organization is a group of Kubernetes' users. */
export type Subject = { readonly commonName: string; readonly organization?: string; readonly dns?: readonly string[]; readonly ip?: readonly string[] };

export type Authority = {
  readonly caFile: string;
  /** Writes `<name>.crt` and `<name>.key` (mode 0600). */
  issue(name: string, subject: Subject): Promise<CertificateFiles>;
};

/** Makes a new authority under a folder. */
export async function createAuthority(dir: string, now: Date): Promise<Authority> {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const lifetime = { now, lifetimeMs: LIFETIME_MS };
  const authority = await pki.createAuthority({ commonName: "calico-lab-ca", ...lifetime });
  const caFile = join(dir, "ca.crt");
  writeFileSync(caFile, authority.certificate);
  return {
    caFile,
    async issue(name, options) {
      const { certificate, key } = await authority.issue({ ...options, ...lifetime });
      const files = { ca: caFile, cert: join(dir, `${name}.crt`), key: join(dir, `${name}.key`) };
      writeFileSync(files.cert, certificate);
      writeFileSync(files.key, key, { mode: 0o600 });
      return files;
    },
  };
}
