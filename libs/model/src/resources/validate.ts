/** Validation of custom resources: what the API server enforces and what only the calculation knows. */
import type { z } from "zod";
import { nearest, suggestField } from "../convert/did-you-mean.ts";
import { isObject, show, type RawObject } from "../convert/raw.ts";
import { API_GROUP, API_VERSION, kindNamed, kinds } from "./kinds.ts";

export type Issue = { readonly path: string; readonly message: string; readonly suggestion?: string };
export type Validation =
  | { readonly ok: true; /** The object with defaults filled in. */ readonly value: RawObject; readonly warnings: readonly Issue[] }
  | { readonly ok: false; readonly issues: readonly Issue[] };

const MAX_ISSUES = 50;
const TOP_LEVEL = new Set(["apiVersion", "kind", "metadata", "spec", "status"]);

/** Checks an object of `projectcalico.org/v3`; with `before`, also what an update may not change. Never throws. */
export function validateResource(raw: unknown, before?: unknown): Validation {
  if (!isObject(raw)) return refuse([{ path: "", message: `an object is needed, not ${show(raw)}` }]);
  const kind = typeof raw["kind"] === "string" ? kindNamed(raw["kind"]) : undefined;
  if (kind === undefined) return refuse([unknownKind(raw["kind"])]);
  if (raw["apiVersion"] !== `${API_GROUP}/${API_VERSION}`) return refuse([{ path: "apiVersion", message: `${show(raw["apiVersion"])} is not ${API_GROUP}/${API_VERSION}` }]);
  const issues: Issue[] = Object.keys(raw).filter((field) => !TOP_LEVEL.has(field)).map((field) => withSuggestion({ path: field, message: "there is no such field" }, suggestField(field, [...TOP_LEVEL])));
  const spec = kind.spec.safeParse(raw["spec"] ?? {});
  if (!spec.success) issues.push(...spec.error.issues.flatMap((issue) => issuesOf(issue, raw["spec"], kind.spec)));
  if (issues.length > 0 || !spec.success) return refuse(issues);
  const value: RawObject = { ...raw, spec: spec.data };
  const findings = kind.convert?.(value).findings ?? [];
  const errors = findings.filter(({ severity }) => severity !== "warning");
  const changes = !isObject(before) ? [] : kind.transitions.filter(({ check }) => !check(before["spec"] as never, spec.data as never)).map(({ path, message }): Issue => ({ path: pathOf(path), message }));
  if (errors.length + changes.length > 0) return refuse([...errors.map(issueOfFinding), ...changes]);
  return { ok: true, value, warnings: findings.map(issueOfFinding) };
}

function refuse(issues: readonly Issue[]): Validation {
  return { ok: false, issues: issues.slice(0, MAX_ISSUES) };
}

function unknownKind(written: unknown): Issue {
  const near = typeof written === "string" ? nearest(written, kinds.map(({ kind }) => kind)) : null;
  return withSuggestion({ path: "kind", message: `${show(written)} is no kind of ${API_GROUP}/${API_VERSION}` }, near === null ? undefined : `did you mean ${near}?`);
}

/** Behind the semicolon of a finding stands what the calculation makes of the object if it is stored all the same. */
function issueOfFinding({ field, message, suggestion }: { field: string; message: string; suggestion?: string }): Issue {
  return withSuggestion({ path: field, message: message.split("; ")[0] ?? message }, suggestion);
}

function issuesOf(issue: z.core.$ZodIssue, spec: unknown, schema: z.ZodType): Issue[] {
  const path = pathOf(issue.path);
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => withSuggestion({ path: `${path}.${key}`, message: "there is no such field" }, suggestField(key, fieldsAt(schema, issue.path))));
  }
  const written = issue.path.reduce<unknown>((at, part) => (at as Record<PropertyKey, unknown> | null | undefined)?.[part], spec);
  if (written === undefined && issue.code !== "custom") return [{ path, message: "this field is needed" }];
  if (issue.code === "invalid_value") {
    const near = typeof written === "string" ? nearest(written, issue.values.map(String)) : null;
    return [withSuggestion({ path, message: `${show(written)} is none of ${issue.values.map(String).join(", ")}` }, near === null ? undefined : `did you mean ${near}?`)];
  }
  if (issue.code === "invalid_type" || issue.code === "invalid_union") return [{ path, message: `${show(written)} is not what this field takes${issue.code === "invalid_type" ? ` (${issue.expected})` : ""}` }];
  return [{ path, message: issue.message }];
}

/** "spec.ingress[0].source". */
function pathOf(path: readonly PropertyKey[]): string {
  return path.reduce<string>((text, part) => (typeof part === "number" ? `${text}[${part}]` : `${text}.${String(part)}`), "spec");
}

/** Names of the fields that an object at a place may have. */
function fieldsAt(schema: z.ZodType, path: readonly PropertyKey[]): string[] {
  let at: z.core.$ZodType | undefined = schema;
  for (const part of [...path, null]) {
    while (at !== undefined && "innerType" in at._zod.def) at = at._zod.def["innerType"] as z.core.$ZodType;
    if (at === undefined || part === null) break;
    const def = at._zod.def as { shape?: Record<string, z.core.$ZodType>; element?: z.core.$ZodType; valueType?: z.core.$ZodType };
    at = typeof part === "number" ? def.element : (def.shape?.[String(part)] ?? def.valueType);
  }
  return Object.keys((at?._zod.def as { shape?: Record<string, unknown> } | undefined)?.shape ?? {});
}

function withSuggestion(issue: Issue, suggestion: string | undefined): Issue {
  return suggestion === undefined ? issue : { ...issue, suggestion };
}
