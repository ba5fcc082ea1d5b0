/** CustomResourceDefinitions, from the schemas. */
import { z } from "zod";
import { isObject } from "../convert/raw.ts";
import { API_GROUP, API_VERSION, kinds, type Kind } from "./kinds.ts";

type Schema = Record<string, unknown>;
export type Manifest = { readonly apiVersion: string; readonly kind: "CustomResourceDefinition"; readonly metadata: { readonly name: string; readonly labels: Readonly<Record<string, string>> }; readonly spec: Schema };

/** The manifests of every kind, by name. The same input gives the same output to the last byte. */
export function crdManifests(): Manifest[] {
  return kinds.map(crdManifest);
}

function crdManifest({ kind, plural, shortNames, namespaced, spec, status, columns }: Kind): Manifest {
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: `${plural}.${API_GROUP}`, labels: { "app.kubernetes.io/part-of": "calico" } },
    spec: {
      group: API_GROUP,
      names: { kind, listKind: `${kind}List`, plural, singular: kind.toLowerCase(), ...(shortNames.length > 0 ? { shortNames } : {}), categories: ["calico"] },
      scope: namespaced ? "Namespaced" : "Cluster",
      versions: [{
        name: API_VERSION, served: true, storage: true,
        ...(status === null ? {} : { subresources: { status: {} } }),
        additionalPrinterColumns: [...columns.map(({ name, type, path }) => ({ name, type, jsonPath: path })), { name: "Age", type: "date", jsonPath: ".metadata.creationTimestamp" }],
        schema: { openAPIV3Schema: objectSchema(spec, status) },
      }],
    },
  };
}

function objectSchema(spec: z.ZodType, status: z.ZodType | null): Schema {
  const specSchema = structural(spec);
  // What a spec must have counts only where there is a spec.
  const isNeeded = Array.isArray(specSchema["required"]) && specSchema["required"].length > 0;
  return {
    type: "object",
    ...(isNeeded ? { required: ["spec"] } : {}),
    properties: {
      apiVersion: { type: "string" }, kind: { type: "string" }, metadata: { type: "object" },
      spec: specSchema, ...(status === null ? {} : { status: structural(status) }),
    },
  };
}

/** The schema as Kubernetes takes it: structural, without the keywords that it forbids. */
function structural(schema: z.ZodType): Schema {
  return clean(z.toJSONSchema(schema, { target: "openapi-3.0", io: "input", unrepresentable: "any", reused: "inline" }) as Schema);
}

const FORBIDDEN = new Set(["$schema", "propertyNames", "id"]);
const INT_RANGE = { minimum: Number.MIN_SAFE_INTEGER, maximum: Number.MAX_SAFE_INTEGER, exclusiveMinimum: undefined };

function clean(schema: Schema): Schema {
  if (schema["x-kubernetes-int-or-string"] === true) return { ...pick(schema, ["x-kubernetes-validations"]), "x-kubernetes-int-or-string": true };
  const cleaned: Schema = {};
  for (const [keyword, value] of Object.entries(schema)) {
    if (FORBIDDEN.has(keyword) || value === INT_RANGE[keyword as keyof typeof INT_RANGE]) continue;
    if (keyword === "additionalProperties") {
      if (isObject(value) && Object.keys(value).length > 0) cleaned[keyword] = clean(value as Schema);
    } else if (keyword === "properties" && isObject(value)) cleaned[keyword] = Object.fromEntries(Object.entries(value).map(([name, property]) => [name, clean(property as Schema)]));
    else if (keyword === "items" && isObject(value)) cleaned[keyword] = clean(value as Schema);
    else if (keyword === "anyOf" || keyword === "allOf") continue;
    else cleaned[keyword] = value;
  }
  if (schema["x-kubernetes-preserve-unknown-fields"] === true) delete cleaned["properties"];
  return cleaned;
}

function pick(schema: Schema, keywords: readonly string[]): Schema {
  return Object.fromEntries(keywords.filter((keyword) => schema[keyword] !== undefined).map((keyword) => [keyword, schema[keyword]]));
}
