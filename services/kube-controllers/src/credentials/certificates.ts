/** The certificates of the cluster's own connections, and when one is made anew. Pure. */
import { X509Certificate } from "node:crypto";
import { expiryOf, isSignedBy } from "@calico/pki";

export type CertificateSpec = { readonly secret: string; readonly commonName: string; readonly dns: readonly string[] };

export const NATS_CERTIFICATE = "calico-nats-tls";

/** The authority outlives what it signs. */
export const AUTHORITY_SECRET = "calico-ca";
export const AUTHORITY_LIFETIME_MS = 10 * 365 * 86_400_000;

/** Who proves itself to whom: typha to its clients, the clients to typha, NATS to everybody. */
export function certificateSpecs(namespace: string, { nats }: { readonly nats: boolean }): CertificateSpec[] {
  const service = (name: string): string[] => [name, `${name}.${namespace}`, `${name}.${namespace}.svc`];
  return [
    { secret: "calico-typha-tls", commonName: "typha-server", dns: ["typha-server", ...service("calico-typha")] },
    { secret: "calico-node-tls", commonName: "typha-client", dns: ["typha-client"] },
    // The servers of a cluster of NATS reach each other by the names of their pods.
    ...(nats ? [{ secret: NATS_CERTIFICATE, commonName: "calico-nats", dns: [...service("calico-nats"), `*.calico-nats-cluster.${namespace}.svc`] }] : []),
  ];
}

/** Why a certificate is made anew, in words, or null. One is renewed at two thirds of its life. */
export function reasonToIssue(certificate: string | undefined, spec: CertificateSpec, authority: string, now: Date): string | null {
  if (certificate === undefined) return "there is none";
  const expiry = expiryOf(certificate);
  if (expiry === null) return "it cannot be read";
  if (!isSignedBy(certificate, authority)) return "another authority signed it";
  if (now.getTime() >= expiry.from + ((expiry.to - expiry.from) * 2) / 3) return `it ends ${new Date(expiry.to).toISOString()}`;
  const names = new Set((new X509Certificate(certificate).subjectAltName ?? "").split(", ").map((name) => name.replace(/^DNS:/, "")));
  const missing = spec.dns.filter((name) => !names.has(name));
  return missing.length > 0 ? `it lacks the names ${missing.join(", ")}` : null;
}
