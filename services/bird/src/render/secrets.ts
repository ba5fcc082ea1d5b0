/** Passwords of sessions: which secrets they are in, and which of them BIRD can be given. */
import type { SecretKeyRef } from "@calico/calc";
import type { ClusterView } from "./view.ts";

/** A secret as it was last read: its values in base64, or why there are none. */
export type SecretContent = { readonly data: Readonly<Record<string, string>> } | { readonly missing: string };

export type Password = { readonly password: string } | { readonly reason: string };

/** The kernel takes no longer key (TCP_MD5SIG_MAXKEYLEN). */
const MAX_PASSWORD_BYTES = 80;

/** Names of the secrets that this node's sessions need. */
export function secretsNeeded(view: Pick<ClusterView, "bgp" | "peers">): Set<string> {
  const references = [...view.peers.values()].map(({ spec }) => passwordReference(spec));
  if (view.bgp.nodeToNodeMesh) references.push(view.bgp.meshPassword);
  return new Set(references.flatMap((reference) => (reference === null || reference.name === "" ? [] : [reference.name])));
}

/** Where a BGPPeer says that its password is; null when it has none. */
export function passwordReference(spec: Readonly<Record<string, unknown>>): SecretKeyRef | null {
  const password = spec["password"];
  if (password === undefined || password === null) return null;
  const { name, key } = ((password as { secretKeyRef?: unknown }).secretKeyRef ?? {}) as Partial<Record<"name" | "key", unknown>>;
  return { name: typeof name === "string" ? name : "", key: typeof key === "string" ? key : "" };
}

/** The password, or why there is none. The reason never has a part of it. */
export function passwordOf({ name, key }: SecretKeyRef, secrets: ReadonlyMap<string, SecretContent>): Password {
  if (name === "" || key === "") return { reason: "names no secret and key" };
  const secret = secrets.get(name);
  if (secret === undefined) return { reason: `secret ${name} was not read yet` };
  if ("missing" in secret) return { reason: secret.missing };
  const encoded = Object.hasOwn(secret.data, key) ? secret.data[key] : undefined;
  if (encoded === undefined) return { reason: `secret ${name} has no key ${key}` };
  const bytes = Buffer.from(encoded, "base64");
  const password = bytes.toString("utf8");
  const where = `key ${key} of secret ${name}`;
  if (bytes.length === 0) return { reason: `${where} is empty` };
  if (bytes.length > MAX_PASSWORD_BYTES) return { reason: `${where} is longer than ${MAX_PASSWORD_BYTES} bytes` };
  if (!Buffer.from(password, "utf8").equals(bytes)) return { reason: `${where} is not text` };
  // BIRD's strings end at a quote and have no escapes.
  if (password.includes('"')) return { reason: `${where} has a double quote, which BIRD cannot be given` };
  if (/\p{Cc}/u.test(password)) return { reason: `${where} has a control character, perhaps a line end after the password` };
  return { password };
}
