/** A certificate authority with ECDSA keys on P-256. */
import { randomBytes, webcrypto, X509Certificate } from "node:crypto";
import "reflect-metadata"; // @peculiar/x509 wants it first
import * as x509 from "@peculiar/x509";

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
const SERVER_AND_CLIENT = ["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"];
/** A certificate holds for machines whose clock is a little behind. */
const CLOCK_SKEW_MS = 60_000;

/** A certificate and its key (PKCS #8), both as PEM text. */
export type KeyPair = { readonly certificate: string; readonly key: string };

export type Lifetime = { readonly now: Date; readonly lifetimeMs: number };
/** An organization is a group of Kubernetes' users. */
export type CertificateRequest = Lifetime & { readonly commonName: string; readonly organization?: string; readonly dns?: readonly string[]; readonly ip?: readonly string[] };

export type Authority = KeyPair & {
  /** Signs a new key for a common name and the names and addresses it serves at; good for servers and for clients. */
  issue(request: CertificateRequest): Promise<KeyPair>;
};

/** Makes a new authority. */
export async function createAuthority({ commonName, now, lifetimeMs }: Lifetime & { readonly commonName: string }): Promise<Authority> {
  useNodeCrypto();
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: `CN=${commonName}`,
    ...validity({ now, lifetimeMs }),
    signingAlgorithm: ALGORITHM,
    keys,
    extensions: [new x509.BasicConstraintsExtension(true, 1, true), new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true)],
  });
  return authorityOf({ certificate: certificate.toString("pem"), key: await keyText(keys.privateKey) }, keys.privateKey);
}

/** The authority that was made earlier. Throws when the texts are no certificate and key. */
export async function openAuthority(pair: KeyPair): Promise<Authority> {
  useNodeCrypto();
  const pkcs8 = Buffer.from(pair.key.replace(/-----[^-]+-----/g, ""), "base64");
  return authorityOf(pair, await webcrypto.subtle.importKey("pkcs8", pkcs8, ALGORITHM, true, ["sign"]));
}

function authorityOf(pair: KeyPair, signingKey: webcrypto.CryptoKey): Authority {
  const { subject } = new x509.X509Certificate(pair.certificate);
  return {
    ...pair,
    async issue({ commonName, organization, dns = [], ip = [], now, lifetimeMs }) {
      const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
      const names = [...dns.map((value) => ({ type: "dns" as const, value })), ...ip.map((value) => ({ type: "ip" as const, value }))];
      const certificate = await x509.X509CertificateGenerator.create({
        serialNumber: serialNumber(),
        subject: `${organization === undefined ? "" : `O=${organization},`}CN=${commonName}`,
        issuer: subject,
        ...validity({ now, lifetimeMs }),
        signingAlgorithm: ALGORITHM,
        publicKey: keys.publicKey,
        signingKey,
        extensions: [
          new x509.BasicConstraintsExtension(false),
          new x509.ExtendedKeyUsageExtension(SERVER_AND_CLIENT),
          ...(names.length > 0 ? [new x509.SubjectAlternativeNameExtension(names)] : []),
        ],
      });
      return { certificate: certificate.toString("pem"), key: await keyText(keys.privateKey) };
    },
  };
}

/** When a certificate begins and ends, in milliseconds since 1970; null when the text is no certificate. */
export function expiryOf(certificate: string): { readonly from: number; readonly to: number } | null {
  const parsed = parse(certificate);
  return parsed === null ? null : { from: Date.parse(parsed.validFrom), to: Date.parse(parsed.validTo) };
}

/** Whether a certificate was signed by the key of an authority; false for what is no certificate. */
export function isSignedBy(certificate: string, authority: string): boolean {
  const [parsed, signer] = [parse(certificate), parse(authority)];
  return parsed !== null && signer !== null && parsed.verify(signer.publicKey);
}

function parse(certificate: string): X509Certificate | null {
  try {
    return new X509Certificate(certificate);
  } catch {
    return null;
  }
}

function validity({ now, lifetimeMs }: Lifetime): { notBefore: Date; notAfter: Date } {
  return { notBefore: new Date(now.getTime() - CLOCK_SKEW_MS), notAfter: new Date(now.getTime() + lifetimeMs) };
}

/** RFC 5280 4.1.2.2: positive and unique for the issuer. */
function serialNumber(): string {
  return `01${randomBytes(15).toString("hex")}`;
}

async function keyText(key: webcrypto.CryptoKey): Promise<string> {
  const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", key)).toString("base64").replace(/(.{64})/g, "$1\n").trim();
  return `-----BEGIN PRIVATE KEY-----\n${pkcs8}\n-----END PRIVATE KEY-----\n`;
}

function useNodeCrypto(): void {
  x509.cryptoProvider.set(webcrypto as unknown as Crypto);
}
