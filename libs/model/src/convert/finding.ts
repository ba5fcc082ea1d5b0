/** What is wrong with an object, and the result of converting one. */

export type Severity = "warning" | "error" | "critical";

export type Finding = {
  /** "warning": it works, but probably not as meant; "error": a part is not in force as written; "critical": the whole is not in force. */
  readonly severity: Severity;
  /** Path of the field: "spec.ingress[0].source.nets[1]". */
  readonly field: string;
  readonly message: string;
  readonly suggestion?: string;
};

/** `value` null: the object is not part of the model (a finished pod, a policy that cannot be read). */
export type Conversion<T> = { readonly value: T | null; readonly findings: readonly Finding[] };

export function finding(severity: Severity, field: string, message: string, suggestion?: string): Finding {
  return suggestion === undefined ? { severity, field, message } : { severity, field, message, suggestion };
}
