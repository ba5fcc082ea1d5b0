/** Certificates of a lab: one authority, one certificate for each server and client. */
import { webcrypto } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import "reflect-metadata"; // @peculiar/x509 wants it first
import * as x509 from "@peculiar/x509";

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
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
  x509.cryptoProvider.set(webcrypto as unknown as Crypto);
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const validity = { notBefore: new Date(now.getTime() - 60_000), notAfter: new Date(now.getTime() + LIFETIME_MS) };
  const caKeys = await webcrypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
  const ca = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: "01",
    name: "CN=calico-lab-ca",
    ...validity,
    signingAlgorithm: ALGORITHM,
    keys: caKeys,
    extensions: [new x509.BasicConstraintsExtension(true, 1, true), new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true)],
  });
  const caFile = join(dir, "ca.crt");
  writeFileSync(caFile, ca.toString("pem"));
  let serial = 1;

  async function issue(name: string, options: Subject): Promise<CertificateFiles> {
    const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
    const names = [...(options.dns ?? []).map((value) => ({ type: "dns" as const, value })), ...(options.ip ?? []).map((value) => ({ type: "ip" as const, value }))];
    serial += 1;
    const certificate = await x509.X509CertificateGenerator.create({
      serialNumber: serial.toString(16).padStart(2, "0"),
      subject: `${options.organization === undefined ? "" : `O=${options.organization},`}CN=${options.commonName}`,
      issuer: ca.subject,
      ...validity,
      signingAlgorithm: ALGORITHM,
      publicKey: keys.publicKey,
      signingKey: caKeys.privateKey,
      extensions: [
        new x509.BasicConstraintsExtension(false),
        new x509.ExtendedKeyUsageExtension(["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"]),
        ...(names.length > 0 ? [new x509.SubjectAlternativeNameExtension(names)] : []),
      ],
    });
    const files = { ca: caFile, cert: join(dir, `${name}.crt`), key: join(dir, `${name}.key`) };
    const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", keys.privateKey)).toString("base64").replace(/(.{64})/g, "$1\n").trim();
    writeFileSync(files.cert, certificate.toString("pem"));
    writeFileSync(files.key, `-----BEGIN PRIVATE KEY-----\n${pkcs8}\n-----END PRIVATE KEY-----\n`, { mode: 0o600 });
    return files;
  }
  return { caFile, issue };
}
