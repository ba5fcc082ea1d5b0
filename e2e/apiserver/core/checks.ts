/** What of a core kind is refused: wrong types, and the mistakes that people make. */
import { isObject, type ApiObject, type Json, type ResourceType } from "../object.ts";
import { validate } from "../schema.ts";
import { ApiError, type Cause } from "../status.ts";
import { checkNetworkPolicy } from "./network-policy.ts";

const listOf = (value: unknown): Json[] => (Array.isArray(value) ? value.filter(isObject) : []);

/** Throws an ApiError 400 for values that are not of their field's type. */
export function checkTypes({ kind, version, fields }: ResourceType, object: ApiObject): void {
  const refuse = (why: string): ApiError => new ApiError(400, `${kind} in version "${version}" cannot be handled as a ${kind}: ${why}`);
  const mistyped = validate(object, fields).find(({ reason }) => reason === "FieldValueTypeInvalid");
  if (mistyped !== undefined) throw refuse(`${mistyped.field}: ${mistyped.message}`);
  if (kind !== "Secret") return;
  for (const value of Object.values(isObject(object["data"]) ? object["data"] : {})) if (typeof value === "string" && !/^[A-Za-z0-9+/\s]*={0,2}$/.test(value)) throw refuse("illegal base64 data");
}

/** Causes for a refusal with 422. */
export function checkCore({ kind }: ResourceType, object: ApiObject): Cause[] {
  const spec = (object["spec"] ?? {}) as Json;
  switch (kind) {
    case "NetworkPolicy": return checkNetworkPolicy(object);
    case "Pod": return checkPod(spec);
    case "Service": return listOf(spec["ports"]).flatMap((port, i) => ["port", "targetPort"].flatMap((name) => portCauses(`spec.ports[${i}].${name}`, port[name])));
    case "Event": {
      const { namespace } = (object["involvedObject"] ?? {}) as Json;
      const here = namespace === object.metadata.namespace || ((namespace ?? "") === "" && object.metadata.namespace === "default");
      return here ? [] : [{ field: "involvedObject.namespace", reason: "FieldValueInvalid", message: `Invalid value: ${JSON.stringify(namespace)}: does not match event.namespace` }];
    }
    default: return [];
  }
}

function checkPod(spec: Json): Cause[] {
  const containers = listOf(spec["containers"]);
  const required = (field: string): Cause => ({ field, reason: "FieldValueRequired", message: "Required value" });
  if (containers.length === 0) return [required("spec.containers")];
  return containers.flatMap((container, i) => [
    ...["name", "image"].filter((field) => (container[field] ?? "") === "").map((field) => required(`spec.containers[${i}].${field}`)),
    ...(containers.findIndex(({ name }) => name === container["name"]) < i ? [{ field: `spec.containers[${i}].name`, reason: "FieldValueDuplicate", message: `Duplicate value: ${JSON.stringify(container["name"])}` }] : []),
    ...listOf(container["ports"]).flatMap(({ containerPort, protocol }, j) => [
      ...portCauses(`spec.containers[${i}].ports[${j}].containerPort`, containerPort),
      ...(["TCP", "UDP", "SCTP"].includes(String(protocol as string)) ? [] : [{ field: `spec.containers[${i}].ports[${j}].protocol`, reason: "FieldValueNotSupported", message: `Unsupported value: ${JSON.stringify(protocol)}: supported values: "SCTP", "TCP", "UDP"` }]),
    ]),
  ]);
}

function portCauses(field: string, port: unknown): Cause[] {
  return typeof port === "number" && (port < 1 || port > 65_535) ? [{ field, reason: "FieldValueInvalid", message: `Invalid value: ${port}: must be between 1 and 65535, inclusive` }] : [];
}
