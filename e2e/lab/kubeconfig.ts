/** Kubeconfig files and tokens of a lab. */
import { randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import type { CertificateFiles } from "./pki.ts";

export type Identity = { readonly token: string; readonly username: string; readonly groups: readonly string[]; readonly extra: Readonly<Record<string, readonly string[]>> };

/** A component that asks the API server, and the name of its ServiceAccount. */
export type Account = { readonly component: string; readonly node: string | undefined; readonly name: string };

/** A ServiceAccount of calico-system, bound to a node when one is given, as the token of a pod on it would be. */
export function serviceAccount(name: string, node?: string): Identity {
  return {
    token: randomBytes(24).toString("base64url"),
    username: `system:serviceaccount:calico-system:${name}`,
    groups: ["system:serviceaccounts", "system:serviceaccounts:calico-system", "system:authenticated"],
    extra: node ? { "authentication.kubernetes.io/node-name": [node] } : {},
  };
}

/** The identity behind the lab's own kubeconfig. */
export function administrator(): Identity {
  return { token: randomBytes(24).toString("base64url"), username: "lab-admin", groups: ["system:masters", "system:authenticated"], extra: {} };
}

/** Writes a kubeconfig (mode 0600) for a server, its authority and a token. */
export function writeKubeconfig(file: string, server: string, caFile: string, { username, token }: Identity): void {
  write(file, server, caFile, username, { token });
}

/** Writes a kubeconfig (mode 0600) whose user is known by a certificate; it names the certificate's files. */
export function writeCertificateKubeconfig(file: string, server: string, { ca, cert, key }: CertificateFiles): void {
  write(file, server, ca, "lab", { "client-certificate": cert, "client-key": key });
}

function write(file: string, server: string, caFile: string, name: string, user: object): void {
  const config = {
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "lab", cluster: { server, "certificate-authority-data": readFileSync(caFile).toString("base64") } }],
    users: [{ name, user }],
    contexts: [{ name: "lab", context: { cluster: "lab", user: name } }],
    "current-context": "lab",
  };
  writeFileSync(file, `${JSON.stringify(config, null, 2)}\n`, { mode: 0o600 });
}
