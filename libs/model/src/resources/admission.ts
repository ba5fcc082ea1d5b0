/**
 * What the API server does with policies and tiers on their way in: fills in what follows from the rest, keeps the built-in tiers, asks for rights in a
 * policy's tier. Each rule stands here twice, as CEL for Kubernetes' own API server and as code for the embedded one; but for the rights, as that one has no roles.
 */
import { builtInTiers } from "../convert/tier.ts";
import { isObject, objectOf, specOf, textOf, type RawObject } from "../convert/raw.ts";
import { DEFAULT_TIER, TIER_LABEL } from "../names.ts";
import { API_GROUP, API_VERSION } from "./kinds.ts";

export type AdmissionManifest = { readonly apiVersion: "admissionregistration.k8s.io/v1"; readonly kind: string; readonly metadata: { readonly name: string }; readonly spec: Readonly<Record<string, unknown>> };
/** Manifests by what they are for; the chart leaves out what it is told to, and what the API server cannot do. */
export type AdmissionManifests = { readonly defaults: readonly AdmissionManifest[]; readonly tiers: readonly AdmissionManifest[]; readonly "tier-rights": readonly AdmissionManifest[] };

const TIERED = ["networkpolicies", "globalnetworkpolicies", "stagednetworkpolicies", "stagedglobalnetworkpolicies"];
const TIERED_KINDS = new Set(["NetworkPolicy", "GlobalNetworkPolicy", "StagedNetworkPolicy", "StagedGlobalNetworkPolicy"]);

type Fixed = { readonly order: number; readonly defaultAction: string };
const fixedByName = new Map<string, Fixed>(builtInTiers.map(({ name, order, defaultAction }) => [name, { order: order ?? 0, defaultAction }]));

export type Operation = "CREATE" | "UPDATE" | "DELETE";
/** Why a write is forbidden. */
export type Refusal = { readonly by: string; readonly message: string };

/** Fields of a spec that the defaults read. When one is not what it should be, the object stays as it is: the schema refuses it, and names the field. */
type Read = { readonly texts: readonly string[]; readonly lists: readonly string[] };
const POLICY_READ: Read = { texts: ["tier"], lists: ["types", "ingress", "egress"] };
const KUBERNETES_READ: Read = { texts: [], lists: ["policyTypes", "egress"] };

/** The object with what follows from the rest of it: tier, types and label of a policy. Any other object is returned as it is. */
export function withAdmissionDefaults<T extends RawObject>(object: T): T {
  if (object["apiVersion"] !== `${API_GROUP}/${API_VERSION}`) return object;
  const spec = object["spec"] ?? {};
  if (object["kind"] === "StagedKubernetesNetworkPolicy") return !isReadable(spec, KUBERNETES_READ) ? object : withSpec(object, spec, "policyTypes", ({ egress }) => (hasEntries(egress) ? ["Ingress", "Egress"] : ["Ingress"]));
  if (!TIERED_KINDS.has(textOf(object["kind"])) || !isReadable(spec, POLICY_READ)) return object;
  const typed = withSpec(object, spec, "types", ({ ingress, egress }) => (!hasEntries(egress) ? ["Ingress"] : hasEntries(ingress) ? ["Ingress", "Egress"] : ["Egress"]));
  const tier = textOf(specOf(typed)["tier"]) || DEFAULT_TIER;
  const metadata = objectOf(object["metadata"]);
  return { ...typed, spec: { ...specOf(typed), tier }, metadata: { ...metadata, labels: { ...objectOf(metadata["labels"]), [TIER_LABEL]: tier } } };
}

/** null is as absent: the API server prunes it before. */
function isReadable(spec: unknown, { texts, lists }: Read): spec is RawObject {
  return isObject(spec) && texts.every((field) => typeof (spec[field] ?? "") === "string") && lists.every((field) => Array.isArray(spec[field] ?? []));
}

const hasEntries = (list: unknown): boolean => Array.isArray(list) && list.length > 0;

/** The object with a list in its spec, unless there is one with entries. */
function withSpec<T extends RawObject>(object: T, spec: RawObject, field: string, listOf: (spec: RawObject) => readonly string[]): T {
  return hasEntries(spec[field]) ? object : { ...object, spec: { ...spec, [field]: listOf(spec) } };
}

/** Why a write would take a built-in tier away, or change what is fixed of it; null: it does not. Of a DELETE, `object` is what would be deleted. */
export function tierRefusal(operation: Operation, object: RawObject): Refusal | null {
  if (object["apiVersion"] !== `${API_GROUP}/${API_VERSION}` || object["kind"] !== "Tier") return null;
  const name = textOf(objectOf(object["metadata"])["name"]);
  const fixed = fixedByName.get(name);
  if (fixed === undefined) return null;
  if (operation === "DELETE") return { by: TIERS, message: undeletable(name) };
  const { order, defaultAction } = specOf(object);
  return order === fixed.order && defaultAction === fixed.defaultAction ? null : { by: TIERS, message: unchangeable(name, String(fixed.order), fixed.defaultAction) };
}

const undeletable = (name: string): string => `tier ${name} is built in and cannot be deleted; delete or move the policies in it if they are in the way`;
const unchangeable = (name: string, order: string, action: string): string => `tier ${name} is built in: its order is always ${order} and its defaultAction ${action}; write these, or make a tier of your own`;

const DEFAULTS = "calico-policy-defaults";
const KUBERNETES_DEFAULTS = "calico-staged-kubernetes-policy-defaults";
const TIERS = "calico-tiers";
const TIER_RIGHTS = "calico-tier-rights";

export function admissionManifests(): AdmissionManifests {
  return { defaults: [...mutating(DEFAULTS, TIERED, POLICY_READ, policyDefaults()), ...mutating(KUBERNETES_DEFAULTS, ["stagedkubernetesnetworkpolicies"], KUBERNETES_READ, kubernetesDefaults())], tiers: validating(TIERS, ["tiers"], tierRules()), "tier-rights": validating(TIER_RIGHTS, TIERED, rightsRules()) };
}

function manifest(kind: string, name: string, spec: Readonly<Record<string, unknown>>): AdmissionManifest {
  return { apiVersion: "admissionregistration.k8s.io/v1", kind, metadata: { name }, spec };
}

const matching = (resources: readonly string[], operations: readonly Operation[]): object => ({ resourceRules: [{ apiGroups: [API_GROUP], apiVersions: [API_VERSION], operations, resources, scope: "*" }], matchPolicy: "Equivalent" });

/** A policy that changes objects, and what puts it in force. */
function mutating(name: string, resources: readonly string[], { texts, lists }: Read, patches: readonly string[]): AdmissionManifest[] {
  const isOf = (type: string) => (field: string): string => `(!has(object.spec.${field}) || type(object.spec.${field}) == ${type})`;
  const readable = ["type(object.spec) == map", ...texts.map(isOf("string")), ...lists.map(isOf("list"))].join(" && ");
  return [
    manifest("MutatingAdmissionPolicy", name, {
      failurePolicy: "Fail", reinvocationPolicy: "IfNeeded", matchConstraints: matching(resources, ["CREATE", "UPDATE"]), matchConditions: [{ name: "readable", expression: `!has(object.spec) || (${readable})` }],
      mutations: patches.map((expression) => ({ patchType: "JSONPatch", jsonPatch: { expression } })),
    }),
    manifest("MutatingAdmissionPolicyBinding", name, { policyName: name }),
  ];
}

/** A policy that refuses objects, and what puts it in force. */
function validating(name: string, resources: readonly string[], rules: Readonly<Record<string, unknown>>): AdmissionManifest[] {
  return [
    manifest("ValidatingAdmissionPolicy", name, { failurePolicy: "Fail", matchConstraints: matching(resources, ["CREATE", "UPDATE", "DELETE"]), ...rules }),
    manifest("ValidatingAdmissionPolicyBinding", name, { policyName: name, validationActions: ["Deny"] }),
  ];
}

const patch = (path: string, value: string): string => `[JSONPatch{op: "add", path: "${path}", value: ${value}}]`;
const unless = (condition: string, then: string): string => `${condition} ? [] : ${then}`;
const entries = (field: string): string => `(has(object.spec.${field}) && object.spec.${field}.size() > 0)`;
const SPEC = unless("has(object.spec)", patch("/spec", "Object.spec{}"));

function policyDefaults(): string[] {
  const label = `"${TIER_LABEL}"`;
  const types = `${entries("egress")} ? (${entries("ingress")} ? ["Ingress", "Egress"] : ["Egress"]) : ["Ingress"]`;
  return [
    SPEC,
    unless('has(object.spec.tier) && object.spec.tier != ""', patch("/spec/tier", `"${DEFAULT_TIER}"`)),
    unless(entries("types"), patch("/spec/types", types)),
    unless("has(object.metadata.labels)", patch("/metadata/labels", "{}")),
    unless(`${label} in object.metadata.labels && object.metadata.labels[${label}] == object.spec.tier`, patch(`/metadata/labels/${TIER_LABEL.replace("/", "~1")}`, "object.spec.tier")),
  ];
}

function kubernetesDefaults(): string[] {
  return [SPEC, unless(entries("policyTypes"), patch("/spec/policyTypes", `${entries("egress")} ? ["Ingress", "Egress"] : ["Ingress"]`))];
}

function tierRules(): Readonly<Record<string, unknown>> {
  const fixed = [...fixedByName].map(([name, { order, defaultAction }]) => `"${name}": {"order": "${order}", "defaultAction": "${defaultAction}"}`).join(", ");
  const of = (field: keyof Fixed): string => `variables.fixed[variables.name].${field}`;
  /** A message as CEL: the marks are replaced by what the expression gives. */
  const message = (text: string, values: Readonly<Record<string, string>>): string => Object.entries(values).reduce((cel, [mark, expression]) => cel.replace(mark, `" + ${expression} + "`), `"${text}"`);
  return {
    variables: [
      { name: "fixed", expression: `{${fixed}}` },
      { name: "name", expression: "object != null ? object.metadata.name : oldObject.metadata.name" },
    ],
    validations: [
      { expression: "object != null || !(variables.name in variables.fixed)", reason: "Forbidden", messageExpression: message(undeletable("@name"), { "@name": "variables.name" }) },
      {
        expression: `object == null || !(variables.name in variables.fixed) || (has(object.spec) && has(object.spec.order) && object.spec.order == double(${of("order")}) && has(object.spec.defaultAction) && object.spec.defaultAction == ${of("defaultAction")})`,
        reason: "Forbidden", messageExpression: message(unchangeable("@name", "@order", "@action"), { "@name": "variables.name", "@order": of("order"), "@action": of("defaultAction") }),
      },
    ],
  };
}

/**
 * Who writes a policy may get its tier, and do so to `tier.<plural>` under "<tier>.*" or "<tier>.<name>"; who moves one may do it in both tiers.
 * The questions are variables of their own because an expression may ask only two.
 */
function rightsRules(): Readonly<Record<string, unknown>> {
  const tierOf = (object: string): string => `${object} == null ? "" : has(${object}.spec) && has(${object}.spec.tier) && ${object}.spec.tier != "" ? ${object}.spec.tier : "${DEFAULT_TIER}"`;
  const may = (name: string): string => `variables.verbs.exists(verb, authorizer.group("${API_GROUP}").resource("tier." + request.resource.resource).namespace(variables.within).name(${name}).check(verb).allowed())`;
  const questions = (tier: "before" | "after"): object[] => [
    { name: `${tier}Read`, expression: `authorizer.group("${API_GROUP}").resource("tiers").name(variables.${tier}).check("get").allowed()` },
    { name: `${tier}All`, expression: may(`variables.${tier} + ".*"`) },
    { name: `${tier}One`, expression: may(`variables.name.startsWith(variables.${tier} + ".") ? variables.name : variables.${tier} + "." + variables.name`) },
  ];
  const validation = (tier: "before" | "after", condition: string): object => ({
    expression: `${condition} || (variables.${tier}Read && (variables.${tier}All || variables.${tier}One))`, reason: "Forbidden",
    messageExpression: `"you may not " + variables.verbs[0] + " policies in tier " + variables.${tier} + ": this needs get on tiers/" + variables.${tier} + " and " + variables.verbs[0] + " on tier." + request.resource.resource + "/" + variables.${tier} + ".* of ${API_GROUP}"`,
  });
  return {
    variables: [
      { name: "name", expression: "object != null ? object.metadata.name : oldObject.metadata.name" },
      { name: "within", expression: 'has(request.namespace) ? request.namespace : ""' },
      { name: "verbs", expression: 'request.operation == "CREATE" ? ["create"] : request.operation == "DELETE" ? ["delete"] : ["update", "patch"]' },
      { name: "before", expression: tierOf("oldObject") },
      { name: "after", expression: tierOf("object") },
      ...questions("before"), ...questions("after"),
    ],
    validations: [validation("after", 'variables.after == ""'), validation("before", 'variables.before == "" || variables.before == variables.after')],
  };
}
