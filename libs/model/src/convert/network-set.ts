/** Network sets: CIDRs that selectors find by label. */
import { parseCidr, type Cidr } from "../ip.ts";
import type { NetworkSet } from "../model.ts";
import { NAMESPACE_LABEL } from "../labels.ts";
import { namespaceProfileId } from "../names.ts";
import { FindingCollector, type Conversion } from "./conversion.ts";
import { withoutInheritedKeys } from "./labels.ts";
import { isAbsent, metadataOf, show, specOf } from "./raw.ts";

/** A NetworkSet; it inherits the labels of its namespace. CIDRs that cannot be read are left out. */
export function convertNetworkSet(raw: unknown): Conversion<NetworkSet> {
  const out = new FindingCollector();
  const metadata = metadataOf(raw);
  if (metadata === null || metadata.namespace === "") return out.done<NetworkSet>(null);
  const { namespace, name, labels } = metadata;
  return out.done<NetworkSet>({
    id: `${namespace}/${name}`,
    labels: { ...withoutInheritedKeys(labels), [NAMESPACE_LABEL]: namespace },
    profiles: [namespaceProfileId(namespace)],
    nets: readSetNets(specOf(raw)["nets"], out),
  });
}

/** A GlobalNetworkSet: in no namespace. CIDRs that cannot be read are left out. */
export function convertGlobalNetworkSet(raw: unknown): Conversion<NetworkSet> {
  const out = new FindingCollector();
  const metadata = metadataOf(raw);
  if (metadata === null) return out.done<NetworkSet>(null);
  return out.done<NetworkSet>({ id: `/${metadata.name}`, labels: metadata.labels, profiles: [], nets: readSetNets(specOf(raw)["nets"], out) });
}

/** Each CIDR once, in canonical form. */
function readSetNets(written: unknown, out: FindingCollector): Cidr[] {
  if (isAbsent(written)) return [];
  if (!Array.isArray(written)) {
    out.error("spec.nets", `a list of CIDRs is needed, not ${show(written)}`);
    return [];
  }
  const nets = new Set<Cidr>();
  for (const [i, entry] of written.entries()) {
    const parsed = typeof entry === "string" ? parseCidr(entry) : null;
    const field = `spec.nets[${i}]`;
    if (parsed === null) {
      out.error(field, `${show(entry)} is not a CIDR; it is left out`, 'write an address with its prefix length, such as "203.0.113.10/32"');
      continue;
    }
    if (parsed.masked) out.warning(field, `${show(entry)} has bits set behind the prefix; it is read as ${parsed.cidr}`);
    nets.add(parsed.cidr);
  }
  return [...nets];
}
