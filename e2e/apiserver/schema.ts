/** Structural schemas of custom resources: defaults, validation, unknown fields. */
import { clone, isObject, type Json } from "./object.ts";
import type { Cause } from "./status.ts";

type Schema = Json;

/** Fills in defaults, in place. */
export function applyDefaults(value: unknown, schema: Schema): void {
  const properties = schema["properties"];
  if (isObject(value) && isObject(properties)) {
    for (const [name, property] of Object.entries(properties)) {
      if (!isObject(property)) continue;
      if (value[name] === undefined && property["default"] !== undefined) value[name] = clone(property["default"]);
      applyDefaults(value[name], property);
    }
  }
  const items = schema["items"];
  if (Array.isArray(value) && isObject(items)) for (const item of value) applyDefaults(item, items);
  const additional = schema["additionalProperties"];
  if (isObject(value) && isObject(additional)) for (const item of Object.values(value)) applyDefaults(item, additional);
}

/** Takes null away, in place, where the schema does not allow it: the same as if the field were not there. */
export function dropNulls(value: unknown, schema: Schema): void {
  const { properties, additionalProperties, items } = schema;
  if (isObject(value)) {
    for (const [name, item] of Object.entries(value)) {
      const inner = isObject(properties) && Object.hasOwn(properties, name) ? properties[name] : additionalProperties;
      if (!isObject(inner)) continue;
      if (item === null && inner["nullable"] !== true) delete value[name];
      else dropNulls(item, inner);
    }
  } else if (Array.isArray(value) && isObject(items)) for (const item of value) dropNulls(item, items);
}

/** Removes fields that the schema does not know, in place; their paths. */
export function prune(value: unknown, schema: Schema, path = ""): string[] {
  if (schema["x-kubernetes-preserve-unknown-fields"] === true) return [];
  const unknown: string[] = [];
  const properties = schema["properties"];
  const additional = schema["additionalProperties"];
  if (isObject(value) && (isObject(properties) || additional === undefined || additional === false)) {
    for (const [name, item] of Object.entries(value)) {
      const at = path === "" ? name : `${path}.${name}`;
      const property = isObject(properties) && Object.hasOwn(properties, name) ? properties[name] : undefined;
      if (path === "" && (name === "apiVersion" || name === "kind" || name === "metadata")) continue;
      if (isObject(property)) unknown.push(...prune(item, property, at));
      else if (isObject(additional)) unknown.push(...prune(item, additional, at));
      else if (schema["type"] === "object" && isObject(properties)) {
        unknown.push(at);
        delete value[name];
      }
    }
  } else if (isObject(value) && isObject(additional)) for (const [name, item] of Object.entries(value)) unknown.push(...prune(item, additional, `${path}.${name}`));
  const items = schema["items"];
  if (Array.isArray(value) && isObject(items)) for (const [i, item] of value.entries()) unknown.push(...prune(item, items, `${path}[${i}]`));
  return unknown;
}

/** What is wrong, in the words of a real API server. */
export function validate(value: unknown, schema: Schema, path = ""): Cause[] {
  if (value === undefined) return [];
  if (value === null) return schema["nullable"] === true || path === "" ? [] : [invalid(path, value, `must be of type ${typeName(schema)}: "null"`, "FieldValueTypeInvalid")];
  const causes: Cause[] = [];
  if (!typeMatches(value, schema)) return [invalid(path, value, `must be of type ${typeName(schema)}: ${JSON.stringify(typeOf(value))}`, "FieldValueTypeInvalid")];
  const choices = schema["enum"];
  if (Array.isArray(choices) && !choices.includes(value)) {
    causes.push({ field: path, reason: "FieldValueNotSupported", message: `Unsupported value: ${JSON.stringify(value)}: supported values: ${choices.map((choice) => JSON.stringify(choice)).join(", ")}` });
  }
  if (typeof value === "string") causes.push(...validateText(value, schema, path));
  if (typeof value === "number") causes.push(...validateNumber(value, schema, path));
  if (Array.isArray(value)) causes.push(...validateList(value, schema, path));
  if (isObject(value)) causes.push(...validateObject(value, schema, path));
  for (const keyword of ["anyOf", "oneOf"] as const) {
    const branches = schema[keyword];
    if (Array.isArray(branches) && branches.length > 0 && !branches.some((branch) => isObject(branch) && validate(value, branch, path).length === 0)) causes.push(invalid(path, value, `must validate one of the ${keyword} schemas`));
  }
  return causes;
}

function validateText(value: string, schema: Schema, path: string): Cause[] {
  const causes: Cause[] = [];
  const { pattern, maxLength, minLength } = schema as { pattern?: string; maxLength?: number; minLength?: number };
  if (pattern !== undefined && !new RegExp(pattern, "u").test(value)) causes.push(invalid(path, value, `${path} in body should match '${pattern}'`));
  if (maxLength !== undefined && value.length > maxLength) causes.push({ field: path, reason: "FieldValueTooLong", message: `Too long: may not be more than ${maxLength} bytes` });
  if (minLength !== undefined && value.length < minLength) causes.push(invalid(path, value, `${path} in body should be at least ${minLength} chars long`));
  return causes;
}

function validateNumber(value: number, schema: Schema, path: string): Cause[] {
  const causes: Cause[] = [];
  const { minimum, maximum } = schema as { minimum?: number; maximum?: number };
  if (minimum !== undefined && value < minimum) causes.push(invalid(path, value, `${path} in body should be greater than or equal to ${minimum}`));
  if (maximum !== undefined && value > maximum) causes.push(invalid(path, value, `${path} in body should be less than or equal to ${maximum}`));
  return causes;
}

function validateList(value: readonly unknown[], schema: Schema, path: string): Cause[] {
  const { minItems, maxItems, items } = schema as { minItems?: number; maxItems?: number; items?: unknown };
  const causes: Cause[] = [];
  if (minItems !== undefined && value.length < minItems) causes.push(invalid(path, value.length, `${path} in body should have at least ${minItems} items`));
  if (maxItems !== undefined && value.length > maxItems) causes.push({ field: path, reason: "FieldValueTooMany", message: `Too many: ${value.length}: must have at most ${maxItems} items` });
  if (isObject(items)) for (const [i, item] of value.entries()) causes.push(...validate(item, items, `${path}[${i}]`));
  return causes;
}

function validateObject(value: Json, schema: Schema, path: string): Cause[] {
  const causes: Cause[] = [];
  const at = (name: string): string => (path === "" ? name : `${path}.${name}`);
  const { required, properties, additionalProperties } = schema as { required?: unknown; properties?: unknown; additionalProperties?: unknown };
  for (const name of Array.isArray(required) ? required : []) {
    if (typeof name === "string" && value[name] === undefined) causes.push({ field: at(name), reason: "FieldValueRequired", message: "Required value" });
  }
  for (const [name, item] of Object.entries(value)) {
    const property = isObject(properties) && Object.hasOwn(properties, name) ? properties[name] : additionalProperties;
    if (isObject(property)) causes.push(...validate(item, property, at(name)));
  }
  return causes;
}

function typeMatches(value: unknown, schema: Schema): boolean {
  if (schema["x-kubernetes-int-or-string"] === true) return typeof value === "string" || Number.isInteger(value);
  switch (schema["type"]) {
    case "object": return isObject(value);
    case "array": return Array.isArray(value);
    case "string": return typeof value === "string";
    case "boolean": return typeof value === "boolean";
    case "integer": return Number.isInteger(value);
    case "number": return typeof value === "number";
    default: return true;
  }
}

function typeName(schema: Schema): string {
  return schema["x-kubernetes-int-or-string"] === true ? "integer,string" : typeof schema["type"] === "string" ? schema["type"] : "any";
}

function typeOf(value: unknown): string {
  return Array.isArray(value) ? "array" : typeof value;
}

function invalid(field: string, value: unknown, message: string, reason = "FieldValueInvalid"): Cause {
  return { field, reason, message: `Invalid value: ${JSON.stringify(value) ?? "undefined"}: ${message}` };
}
