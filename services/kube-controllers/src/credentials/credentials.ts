/** Keeps the Secrets by which the components know each other: made once, kept, certificates renewed in time. */
import { randomBytes } from "node:crypto";
import { isDatastoreError, type Datastore, type KubeObject, type ResourceType } from "@calico/datastore";
import { createAuthority, openAuthority, type Authority } from "@calico/pki";
import type { Logger } from "@calico/service-kit";
import { AUTHORITY_LIFETIME_MS, AUTHORITY_SECRET, certificateSpecs, NATS_CERTIFICATE, reasonToIssue, type CertificateSpec } from "./certificates.ts";
import { NATS_ACCOUNTS, renderUsers, type NatsUser } from "./nats-users.ts";
import { readSecret, writeSecret, type FoundSecret } from "./secrets.ts";

export type CredentialsOptions = {
  readonly datastore: Pick<Datastore, "get" | "create" | "update" | "patch">;
  readonly namespace: string;
  /** The authority and what it signs: renewed in time; made when missing and then left to somebody else; not at all. */
  readonly certificates: "keep" | "first" | "none";
  /** Users of the NATS that is part of the release. */
  readonly nats: boolean;
  /** The Secret with NATS' certificate, whose authority calicoctl is told. */
  readonly natsCertificate: string;
  readonly lifetimeMs: number;
  readonly now: Date;
  readonly log: Pick<Logger, "info" | "warn">;
};

/** What a program is told to look after, of certificates, first-certificates and nats. */
export function credentialsWanted(words: readonly string[]): Pick<CredentialsOptions, "certificates" | "nats"> {
  return { certificates: words.includes("certificates") ? "keep" : words.includes("first-certificates") ? "first" : "none", nats: words.includes("nats") };
}

const statefulSets: ResourceType = { group: "apps", version: "v1", kind: "StatefulSet", plural: "statefulsets", namespaced: true };
const TLS = "kubernetes.io/tls";
const USERS_SECRET = "calico-nats-users";

/** Makes what is missing and renews what comes to its end. What somebody else made under one of the names stays as it is. */
export async function ensureCredentials(options: CredentialsOptions): Promise<void> {
  if (options.certificates !== "none") await ensureCertificates(options);
  if (options.nats) await ensureNatsUsers(options);
}

async function ensureCertificates(options: CredentialsOptions): Promise<void> {
  const authority = await ensureAuthority(options);
  for (const spec of certificateSpecs(options.namespace, options)) await ensureCertificate(spec, authority, options);
}

async function ensureAuthority({ datastore, namespace, now, log }: CredentialsOptions): Promise<Authority> {
  const found = await readSecret(datastore, namespace, AUTHORITY_SECRET);
  const { "tls.crt": certificate, "tls.key": key } = found?.data ?? {};
  if (certificate !== undefined && key !== undefined) return openAuthority({ certificate, key });
  const authority = await createAuthority({ commonName: "calico-ca", now, lifetimeMs: AUTHORITY_LIFETIME_MS });
  await writeSecret(datastore, { namespace, name: AUTHORITY_SECRET, type: TLS }, { "ca.crt": authority.certificate, "tls.crt": authority.certificate, "tls.key": authority.key }, found);
  log.info("Certificate authority made", { secret: AUTHORITY_SECRET });
  return authority;
}

async function ensureCertificate(spec: CertificateSpec, authority: Authority, { datastore, namespace, certificates, lifetimeMs, now, log }: CredentialsOptions): Promise<void> {
  const found = await readSecret(datastore, namespace, spec.secret);
  if (found !== null && certificates === "first") return;
  if (found !== null && !found.isOurs) return log.info("A certificate is somebody's own and stays", { secret: spec.secret });
  const reason = reasonToIssue(found?.data["tls.crt"], spec, authority.certificate, now);
  if (reason === null) return;
  const { certificate, key } = await authority.issue({ commonName: spec.commonName, dns: spec.dns, now, lifetimeMs });
  await writeSecret(datastore, { namespace, name: spec.secret, type: TLS }, { "ca.crt": authority.certificate, "tls.crt": certificate, "tls.key": key }, found);
  log.info("Certificate made", { secret: spec.secret, because: reason });
  if (spec.secret === NATS_CERTIFICATE && found !== null) await restartNats(datastore, namespace, now);
}

/** Unlike typha, NATS reads its certificate when it starts. Nothing waits for NATS. */
async function restartNats(datastore: CredentialsOptions["datastore"], namespace: string, now: Date): Promise<void> {
  const template = { metadata: { annotations: { "projectcalico.org/certificate-renewed-at": now.toISOString() } } };
  try {
    await datastore.patch<KubeObject>(statefulSets, { namespace, name: "calico-nats" }, { spec: { template } }, { type: "merge" });
  } catch (error) {
    if (!isDatastoreError(error, "NotFound")) throw error;
  }
}

async function ensureNatsUsers(options: CredentialsOptions): Promise<void> {
  const { datastore, namespace, log } = options;
  const users: NatsUser[] = [];
  for (const account of NATS_ACCOUNTS) users.push({ ...account, password: await ensurePassword(account.component, options) });
  const found = await readSecret(datastore, namespace, USERS_SECRET);
  const text = renderUsers(users);
  if (found?.data["users.conf"] === text) return;
  await writeSecret(datastore, { namespace, name: USERS_SECRET }, { "users.conf": text }, found);
  log.info("Users of NATS written", { secret: USERS_SECRET });
}

/** The password of a component, in a Secret of its own that nobody else needs to read. */
async function ensurePassword(component: string, { datastore, namespace, natsCertificate, log }: CredentialsOptions): Promise<string> {
  const name = component === "calicoctl" ? "calicoctl-nats" : `calico-nats-${component}`;
  const found = await readSecret(datastore, namespace, name);
  const password = found?.data["password"] ?? randomBytes(24).toString("base64url");
  const wanted = { user: component, password, ...(component === "calicoctl" ? await whereNatsIs(datastore, { namespace, natsCertificate }, found) : {}) };
  if (found !== null && Object.entries(wanted).every(([key, value]) => found.data[key] === value)) return password;
  await writeSecret(datastore, { namespace, name }, { ...found?.data, ...wanted }, found);
  log.info("User of NATS made", { secret: name });
  return password;
}

/** What somebody who asks from outside needs too. */
async function whereNatsIs(datastore: CredentialsOptions["datastore"], { namespace, natsCertificate }: Pick<CredentialsOptions, "namespace" | "natsCertificate">, found: FoundSecret | null): Promise<Record<string, string>> {
  const tls = await readSecret(datastore, namespace, natsCertificate);
  const ca = tls?.data["ca.crt"] ?? found?.data["ca.crt"] ?? "";
  return { url: `tls://calico-nats.${namespace}.svc:4222`, "ca.crt": ca };
}
