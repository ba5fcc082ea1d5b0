/** What happens to an object on its way in: defaults, unknown fields, validation. */
import { checkCore, checkTypes } from "./core/checks.ts";
import { defaultCore } from "./core/defaults.ts";
import { checkMetadata, pruneMetadata } from "./metadata-check.ts";
import { isObject, type ApiObject, type Json, type ResourceType } from "./object.ts";
import { applyDefaults, dropNulls, prune, validate } from "./schema.ts";
import { ApiError, invalid, type Cause } from "./status.ts";

/** Checks that schemas cannot express (CEL rules of the definitions), also against what is stored: field and message of each violation. */
export type CustomCheck = (object: ApiObject, before: ApiObject | undefined) => readonly { readonly path: string; readonly message: string }[];

/** What admission policies do: fill in fields that nobody owns then, and forbid writes by name and message of a policy. */
export type AdmissionPolicies = {
  readonly filledIn: (object: ApiObject) => ApiObject;
  /** Of a DELETE, `object` is what would be deleted. */
  readonly refusal: (operation: "CREATE" | "UPDATE" | "DELETE", object: ApiObject) => { readonly by: string; readonly message: string } | null;
};

export const noPolicies: AdmissionPolicies = { filledIn: (object) => object, refusal: () => null };

/** Kubernetes says so when a definition has rules and its schema is violated already. */
const RULES_NOT_CHECKED: Cause = { field: "<nil>", reason: "FieldValueInvalid", message: "Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation" };

/** Prepares an object for being stored, in place; the paths of unknown fields, which are removed. They are refused when `strict`. Throws an ApiError 422 or 400. */
export function admit(type: ResourceType, object: ApiObject, { strict, check, before, isPatch = false }: { strict: boolean; check: CustomCheck; before?: ApiObject; isPatch?: boolean }): string[] {
  const { name } = object.metadata;
  if (type.schema !== null) dropNulls(object, type.schema);
  const unknown = [...pruneMetadata(type, object.metadata), ...(type.schema === null ? [] : prune(object, type.schema))];
  if (strict && unknown.length > 0) refuseUnknown(type, unknown, isPatch);
  const causes = checkMetadata(type, object.metadata);
  if (type.schema === null) {
    checkTypes(type, object);
    defaultCore(type, object);
    causes.push(...checkCore(type, object));
  } else {
    applyDefaults(object, type.schema);
    const violations = validate(object, type.schema);
    causes.push(...violations);
    if (violations.every(({ reason }) => reason === "FieldValueInvalid")) causes.push(...checked(object, before, check, violations));
    else if (hasRules(type.schema)) causes.push(RULES_NOT_CHECKED);
  }
  if (causes.length > 0) throw invalid(type, name, causes);
  return unknown;
}

/** What the rules say of fields about which the schema says nothing. A value that fits no pattern keeps no rule from being checked, one of a wrong type does. */
function checked(object: ApiObject, before: ApiObject | undefined, check: CustomCheck, violations: readonly Cause[]): Cause[] {
  const told = new Set(violations.map(({ field }) => field));
  return check(object, before).filter(({ path }) => !told.has(path)).map(({ path, message }) => ({ field: path, reason: "FieldValueInvalid", message: `Invalid value: ${message}` }));
}

function refuseUnknown(type: ResourceType, unknown: readonly string[], isPatch: boolean): never {
  const list = unknown.map((field) => `unknown field "${field}"`).join(", ");
  if (isPatch) throw new ApiError(422, `"" is invalid: patch: Invalid value: strict decoding error: ${list}`, { causes: [{ field: "patch", reason: "FieldValueInvalid", message: `Invalid value: strict decoding error: ${list}` }] });
  throw new ApiError(400, `${type.kind} in version "${type.version}" cannot be handled as a ${type.kind}: strict decoding error: ${list}`);
}

const withRules = new WeakMap<Json, boolean>();

function hasRules(schema: Json): boolean {
  let known = withRules.get(schema);
  if (known === undefined) withRules.set(schema, (known = contains(schema, "x-kubernetes-validations")));
  return known;
}

function contains(value: unknown, key: string): boolean {
  if (Array.isArray(value)) return value.some((item) => contains(item, key));
  return isObject(value) && (Object.hasOwn(value, key) || Object.values(value).some((item) => contains(item, key)));
}
