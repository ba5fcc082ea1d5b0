/** NetworkPolicy and GlobalNetworkPolicy of projectcalico.org/v3. */
import type { Policy } from "../model.ts";
import { DEFAULT_TIER, policyId } from "../names.ts";
import type { Selector } from "../selector/selector.ts";
import { FindingCollector, type Conversion } from "./conversion.ts";
import { suggestField } from "./did-you-mean.ts";
import { readPolicyRules } from "./policy-rule.ts";
import { policySelector } from "./policy-selector.ts";
import { isAbsent, isObject, metadataOf, objectOf, show, unknownKeys, type Metadata, type RawObject } from "./raw.ts";
import { readOrder } from "./tier.ts";
import { UnusableRule } from "./unusable.ts";

const FIELDS = ["tier", "order", "selector", "serviceAccountSelector", "types", "ingress", "egress", "performanceHints"];
const GLOBAL_FIELDS = [...FIELDS, "namespaceSelector", "doNotTrack", "preDNAT", "applyOnForward"];
/** A DNS label (RFC 1123). */
const TIER_NAME = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

/** A policy of one namespace. See `convertGlobalNetworkPolicy` for what happens to the parts that cannot be used. */
export function convertNetworkPolicy(raw: unknown): Conversion<Policy> {
  const metadata = metadataOf(raw);
  if (metadata === null || metadata.namespace === "") return { value: null, findings: [] };
  return convert(raw, metadata, "NetworkPolicy");
}

/**
 * A policy of the whole cluster. A rule that cannot be used never opens anything (see `readPolicyRules`), and the
 * policy keeps its selector, types and order. Null with a critical finding when the selector or tier cannot be read.
 */
export function convertGlobalNetworkPolicy(raw: unknown): Conversion<Policy> {
  const metadata = metadataOf(raw);
  return metadata === null ? { value: null, findings: [] } : convert(raw, metadata, "GlobalNetworkPolicy");
}

function convert(raw: unknown, { name, namespace: inNamespace, revision }: Metadata, kind: "NetworkPolicy" | "GlobalNetworkPolicy"): Conversion<Policy> {
  const out = new FindingCollector();
  const isGlobal = kind === "GlobalNetworkPolicy";
  const namespace = isGlobal ? null : inNamespace;
  const written = objectOf(raw)["spec"] ?? {};
  if (!isObject(written)) {
    out.critical("spec", `an object is needed, not ${show(written)}; the policy is not in force`);
    return out.done<Policy>(null);
  }
  const known = isGlobal ? GLOBAL_FIELDS : FIELDS;
  const unknown = unknownKeys(written, known);
  for (const key of unknown) {
    out.error(`spec.${key}`, "is not a field that this version knows; since it may restrict the policy, its Allow rules are left out and its Pass rules deny", suggestField(key, known));
  }
  const tier = readTier(written["tier"], name, out);
  const selector = readSelector(written, namespace, out);
  if (tier === null || selector === null) return out.done<Policy>(null);
  const types = readTypes(written, out);
  const { isContradictory, ...stage } = readStage(isGlobal ? written : {}, out);
  const context = { namespace, isRestricted: unknown.length > 0 || isContradictory };
  return out.done<Policy>({
    id: policyId(kind, namespace ?? "", name),
    kind,
    namespace: namespace ?? "",
    name, tier,
    order: readOrder(written["order"], "spec.order", out),
    selector,
    ...types,
    inbound: types.ingress ? readPolicyRules(written["ingress"], "spec.ingress", { ...context, direction: "ingress" }, out) : [],
    outbound: types.egress ? readPolicyRules(written["egress"], "spec.egress", { ...context, direction: "egress" }, out) : [],
    ...stage,
    revision,
  });
}

function readTier(written: unknown, policy: string, out: FindingCollector): string | null {
  const prefix = policy.includes(".") ? policy.slice(0, policy.indexOf(".")) : null;
  if (isAbsent(written) || written === "") {
    if (prefix !== null && prefix !== DEFAULT_TIER) out.warning("spec.tier", `the name says tier ${show(prefix)}, but without a tier the policy is in ${DEFAULT_TIER}`, `write tier: ${prefix} if that is meant`);
    return DEFAULT_TIER;
  }
  if (typeof written === "string" && TIER_NAME.test(written)) return written;
  return out.critical("spec.tier", `${show(written)} is not the name of a tier; the policy is not in force`);
}

function readSelector(spec: RawObject, namespace: string | null, out: FindingCollector): Selector | null {
  try {
    return policySelector(spec, namespace);
  } catch (error) {
    if (!(error instanceof UnusableRule)) throw error;
    return out.critical(error.field, `${error.message}; the policy is not in force`, error.suggestion);
  }
}

/**
 * Without types: both when there are rules for both, Egress when there are only egress rules, otherwise Ingress.
 * Types that cannot be read apply the policy both ways.
 */
function readTypes({ types, ingress, egress }: RawObject, out: FindingCollector): { ingress: boolean; egress: boolean } {
  const hasRules = (rules: unknown): boolean => !isAbsent(rules) && !(Array.isArray(rules) && rules.length === 0);
  if (isAbsent(types) || (Array.isArray(types) && types.length === 0)) {
    return { ingress: hasRules(ingress) || !hasRules(egress), egress: hasRules(egress) };
  }
  if (!Array.isArray(types) || !types.every((type) => type === "Ingress" || type === "Egress")) {
    out.error("spec.types", "must be a list of Ingress, Egress; the policy applies in both directions");
    return { ingress: true, egress: true };
  }
  const applies = { ingress: types.includes("Ingress"), egress: types.includes("Egress") };
  if (!applies.ingress && hasRules(ingress)) out.warning("spec.ingress", "is not used, because types does not have Ingress");
  if (!applies.egress && hasRules(egress)) out.warning("spec.egress", "is not used, because types does not have Egress");
  return applies;
}

type Stage = Pick<Policy, "doNotTrack" | "preDnat" | "applyOnForward">;

const STAGE_FIELDS = ["doNotTrack", "preDNAT", "applyOnForward"] as const;
const CLOSES = "it acts as one with neither, on forwarded traffic too; its Allow rules are left out and its Pass rules deny";

/**
 * Where a policy on host endpoints acts. When that cannot be read or is contradictory it acts as an ordinary one, on forwarded traffic too: since
 * it is then for others than was meant, it opens nothing.
 */
function readStage(spec: RawObject, out: FindingCollector): Stage & { readonly isContradictory: boolean } {
  const unreadable = STAGE_FIELDS.filter((key) => !isAbsent(spec[key]) && typeof spec[key] !== "boolean");
  for (const key of unreadable) out.error(`spec.${key}`, `${show(spec[key])} is neither true nor false; ${CLOSES}`);
  const [doNotTrack, preDnat] = [spec["doNotTrack"] === true, spec["preDNAT"] === true];
  if (doNotTrack && preDnat) out.error("spec.preDNAT", `a policy cannot have both doNotTrack and preDNAT; ${CLOSES}`, "make two policies of it");
  if (unreadable.length > 0 || (doNotTrack && preDnat)) return { doNotTrack: false, preDnat: false, applyOnForward: true, isContradictory: true };
  const isEarly = doNotTrack || preDnat;
  if (isEarly && spec["applyOnForward"] !== true) out.warning("spec.applyOnForward", "must be true with doNotTrack or preDNAT and counts as true");
  return { doNotTrack, preDnat, applyOnForward: isEarly || spec["applyOnForward"] === true, isContradictory: false };
}
