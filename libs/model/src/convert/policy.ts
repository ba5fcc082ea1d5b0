/** NetworkPolicy and GlobalNetworkPolicy of projectcalico.org/v3. */
import type { Policy, PolicyKind } from "../model.ts";
import { DEFAULT_TIER, NAMESPACE_LABEL, policyId } from "../names.ts";
import { and, labelEquals, overNamespaces, overServiceAccounts, parseSelector, type Selector } from "../selector/selector.ts";
import { finding, type Conversion, type Finding } from "./finding.ts";
import { flagAt, isSet, listAt, metadataOf, numberAt, recordAt, textAt, type Raw } from "./raw.ts";
import { convertRules } from "./rule.ts";

const FIELDS = new Set([
  "tier", "order", "ingress", "egress", "selector", "types", "serviceAccountSelector", "namespaceSelector", "doNotTrack", "preDNAT", "applyOnForward", "performanceHints",
]);

export function convertNetworkPolicy(raw: Raw): Conversion<Policy> {
  return convertPolicy(raw, "NetworkPolicy");
}

export function convertGlobalNetworkPolicy(raw: Raw): Conversion<Policy> {
  return convertPolicy(raw, "GlobalNetworkPolicy");
}

function convertPolicy(raw: Raw, kind: PolicyKind): Conversion<Policy> {
  const { name, namespace, revision } = metadataOf(raw);
  const spec = recordAt(raw, "spec");
  const findings: Finding[] = [];
  for (const field of Object.keys(spec)) if (!FIELDS.has(field)) findings.push(finding("warning", `spec.${field}`, "is not known to this version and has no effect"));
  for (const field of ["doNotTrack", "preDNAT"]) {
    if (flagAt(spec, field)) return { value: null, findings: [finding("critical", `spec.${field}`, "policies for host endpoints are not supported; the policy is not in force")] };
  }
  if (isSet(spec, "tier") && textAt(spec, "tier") === null) return { value: null, findings: [finding("critical", "spec.tier", "is no text; the policy is not in force")] };
  const selector = policySelector(spec, kind, namespace, findings);
  if (selector === null) return { value: null, findings };
  const order = numberAt(spec, "order");
  if (isSet(spec, "order") && order === null) findings.push(finding("error", "spec.order", `${JSON.stringify(spec["order"])} is no number; the policy comes last`));
  const types = typesOf(spec);
  const scope = kind === "NetworkPolicy" ? namespace : "";
  const inbound = convertRules(listAt(spec, "ingress"), { direction: "ingress", namespace: scope });
  const outbound = convertRules(listAt(spec, "egress"), { direction: "egress", namespace: scope });
  return {
    findings: [...findings, ...inbound.findings, ...outbound.findings],
    value: {
      id: policyId(kind, scope, name), kind, namespace: scope, name, tier: textAt(spec, "tier") ?? DEFAULT_TIER, order, selector, ...types, inbound: inbound.rules, outbound: outbound.rules, doNotTrack: false, preDnat: false,
      applyOnForward: flagAt(spec, "applyOnForward"), revision,
    },
  };
}

/** Given types; else those of the rules, and Ingress when there are none. */
function typesOf(spec: Raw): { ingress: boolean; egress: boolean } {
  const types = listAt(spec, "types");
  if (types.length > 0) return { ingress: types.includes("Ingress"), egress: types.includes("Egress") };
  const egress = listAt(spec, "egress").length > 0;
  return { ingress: !egress || listAt(spec, "ingress").length > 0, egress };
}

/** Whom the policy is for; null when that cannot be read, because nobody can say whom it would have protected. */
function policySelector(spec: Raw, kind: PolicyKind, namespace: string, findings: Finding[]): Selector | null {
  const read = (field: string): Selector | null | undefined => {
    if (!isSet(spec, field)) return undefined;
    const text = textAt(spec, field);
    const result = text === null ? ({ ok: false, message: "is no text", offset: 0 } as const) : parseSelector(text);
    if (result.ok) return result.selector;
    findings.push(finding("critical", `spec.${field}`, `${result.message} (at ${result.offset}); the policy is not in force`, "suggestion" in result ? result.suggestion : undefined));
    return null;
  };
  const own = read("selector");
  const accounts = read("serviceAccountSelector");
  const namespaces = kind === "GlobalNetworkPolicy" ? read("namespaceSelector") : undefined;
  if (own === null || accounts === null || namespaces === null) return null;
  return and(
    ...(kind === "NetworkPolicy" ? [labelEquals(NAMESPACE_LABEL, namespace)] : []), ...(own === undefined ? [] : [own]), ...(namespaces === undefined ? [] : [overNamespaces(namespaces)]),
    ...(accounts === undefined ? [] : [overServiceAccounts(accounts)]),
  );
}
