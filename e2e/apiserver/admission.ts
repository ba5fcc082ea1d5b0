/** What happens to an object on its way in: defaults, unknown fields, validation. */
import { isObject, valueAt, type ApiObject, type Json, type ResourceType } from "./object.ts";
import { applyDefaults, prune, validate } from "./schema.ts";
import { ApiError, type Cause } from "./status.ts";

/** Checks that schemas cannot express (CEL rules of the definitions), also against what is stored: field and message of each violation. */
export type CustomCheck = (object: ApiObject, before: ApiObject | undefined) => readonly { readonly path: string; readonly message: string }[];

const NAME = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;

/** Prepares an object for being stored, in place. Unknown fields are refused when `strict`. Throws an ApiError 422 or 400. */
export function admit(type: ResourceType, object: ApiObject, { strict, check, before }: { strict: boolean; check: CustomCheck; before?: ApiObject }): string[] {
  const causes: Cause[] = [];
  const { name } = object.metadata;
  if (!NAME.test(name) || name.length > 253) causes.push({ field: "metadata.name", reason: "FieldValueInvalid", message: `Invalid value: ${JSON.stringify(name)}: a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.'` });
  let unknown: string[] = [];
  if (type.schema !== null) {
    unknown = prune(object, type.schema);
    if (strict && unknown.length > 0) throw new ApiError(400, `${type.kind} in version "${type.version}" cannot be handled as a ${type.kind}: strict decoding error: ${unknown.map((field) => `unknown field "${field}"`).join(", ")}`);
    applyDefaults(object, type.schema);
    causes.push(...validate(object, type.schema));
    if (causes.length === 0) causes.push(...check(object, before).map(({ path, message }): Cause => ({ field: path, reason: "FieldValueInvalid", message: `Invalid value: ${message}` })));
  } else defaultCore(type, object);
  if (causes.length > 0) {
    const list = causes.map(({ field, message }) => `${field}: ${message}`);
    throw new ApiError(422, `${type.kind}.${type.group} "${name}" is invalid: ${list.length === 1 ? list[0] : `[${list.join(", ")}]`}`, { causes });
  }
  return unknown;
}

/** Defaults of core kinds that the product and kubectl rely on. */
function defaultCore({ kind, fields }: ResourceType, object: ApiObject): void {
  applyDefaults(object, fields);
  const spec = (valueAt(fields, ["properties", "spec"]) === undefined ? {} : (object["spec"] ??= {})) as Json;
  switch (kind) {
    case "Namespace":
      object.metadata.labels = { ...object.metadata.labels, "kubernetes.io/metadata.name": object.metadata.name };
      object["status"] ??= { phase: "Active" };
      break;
    case "Pod":
      spec["serviceAccountName"] ??= "default";
      object["status"] ??= { phase: "Pending" };
      break;
    case "NetworkPolicy":
      spec["podSelector"] ??= {};
      spec["policyTypes"] ??= ["Ingress", ...(Array.isArray(spec["egress"]) && spec["egress"].length > 0 ? ["Egress"] : [])];
      checkNetworkPolicy(object);
      break;
    default:
  }
}

/** The validation of NetworkPolicy that people run into. */
function checkNetworkPolicy(object: ApiObject): void {
  const causes: Cause[] = [];
  for (const [direction, peers] of [["ingress", "from"], ["egress", "to"]] as const) {
    const rules = valueAt(object, ["spec", direction]);
    for (const [i, rule] of (Array.isArray(rules) ? rules : []).entries()) {
      for (const [j, peer] of (isObject(rule) && Array.isArray(rule[peers]) ? rule[peers] : []).entries()) {
        const cidr = valueAt(peer, ["ipBlock", "cidr"]);
        const path = `spec.${direction}[${i}].${peers}[${j}]`;
        if (cidr !== undefined && (typeof cidr !== "string" || !/^[0-9a-fA-F.:]+\/\d+$/.test(cidr))) causes.push({ field: `${path}.ipBlock.cidr`, reason: "FieldValueInvalid", message: `Invalid value: ${JSON.stringify(cidr)}: must be a valid CIDR value` });
        if (isObject(peer) && Object.keys(peer).length === 0) causes.push({ field: path, reason: "FieldValueRequired", message: "must specify a peer" });
      }
    }
  }
  if (causes.length > 0) throw new ApiError(422, `NetworkPolicy.networking.k8s.io "${object.metadata.name}" is invalid: ${causes.map(({ field, message }) => `${field}: ${message}`).join(", ")}`, { causes });
}
