/** Why a connection with certificates did not come about, in words that name the cure. */
import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import type { TlsFiles } from "@calico/service-kit";

const RENEW = "helm upgrade makes it anew, see docs/install.md";

/** The reason that gRPC gives, with what it means where that is about certificates. */
export function explainConnection(reason: string, { tls, serverName }: { readonly tls: TlsFiles | "insecure"; readonly serverName: string }, now: number): string {
  const meaning = tls === "insecure" ? null : meaningOf(reason, tls, serverName, now);
  return meaning === null ? reason : `${meaning} (${reason})`;
}

function meaningOf(reason: string, { caFile, certFile }: TlsFiles, serverName: string, now: number): string | null {
  if (reason.includes("ERR_TLS_CERT_ALTNAME_INVALID")) return `typha's certificate is not for the name ${serverName}; ${RENEW}`;
  if (/certificate has expired/.test(reason)) return `typha's certificate has expired; ${RENEW}`;
  if (/certificate signature failure|unable to verify|unable to get (local )?issuer|self.signed certificate/.test(reason)) return `typha's certificate was not signed by the authority in ${caFile}`;
  if (!/Failed to connect|ECONNRESET|ssl|tls/i.test(reason)) return null;
  const ended = endOf(certFile);
  if (ended !== null && ended < now) return `this node's certificate ${certFile} ended ${new Date(ended).toISOString()}; ${RENEW}`;
  return /ECONNREFUSED/.test(reason) ? null : `typha does not answer, or does not take this node's certificate ${certFile}`;
}

function endOf(certFile: string): number | null {
  try {
    return Date.parse(new X509Certificate(readFileSync(certFile)).validTo);
  } catch {
    return null;
  }
}
