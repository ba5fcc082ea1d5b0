/** Profiles: namespaces and service accounts, which their pods inherit, and the one that is always there. */
import type { Profile } from "../model.ts";
import { NAME_LABEL, NAMESPACE_LABEL_PREFIX, SERVICE_ACCOUNT_LABEL_PREFIX } from "../labels.ts";
import { DEFAULT_ALLOW_PROFILE, namespaceProfileId, serviceAccountProfileId } from "../names.ts";
import { FindingCollector, type Conversion } from "./conversion.ts";
import { prefixed } from "./labels.ts";
import { metadataOf } from "./raw.ts";
import { ruleForAll } from "./rules.ts";

/** Profiles of no object: host endpoints name them. */
export const builtInProfiles: readonly Profile[] = [{ id: DEFAULT_ALLOW_PROFILE, labels: {}, inbound: [ruleForAll("Allow", 0)], outbound: [ruleForAll("Allow", 0)] }];

/** Profile "kns.<name>": the namespace's labels and its name under "pcns.", everything allowed both ways. */
export function convertNamespace(raw: unknown): Conversion<Profile> {
  const out = new FindingCollector();
  const metadata = metadataOf(raw);
  if (metadata === null) return out.done<Profile>(null);
  const allowAll = [ruleForAll("Allow", 0)];
  return out.done<Profile>({
    id: namespaceProfileId(metadata.name),
    labels: prefixed({ ...metadata.labels, [NAME_LABEL]: metadata.name }, NAMESPACE_LABEL_PREFIX),
    inbound: allowAll, outbound: allowAll,
  });
}

/** Profile "ksa.<namespace>.<name>": the service account's labels and its name under "pcsa.", no rules. */
export function convertServiceAccount(raw: unknown): Conversion<Profile> {
  const out = new FindingCollector();
  const metadata = metadataOf(raw);
  if (metadata === null || metadata.namespace === "") return out.done<Profile>(null);
  return out.done<Profile>({
    id: serviceAccountProfileId(metadata.namespace, metadata.name),
    labels: prefixed({ ...metadata.labels, [NAME_LABEL]: metadata.name }, SERVICE_ACCOUNT_LABEL_PREFIX),
    inbound: [], outbound: [],
  });
}
