/** Rules across the fields of an object: declared once, run here and, as CEL, in the API server. */
import { z } from "zod";

export type Rule<T> = {
  /** The rule for the API server: `self` is the object that it stands at. */
  readonly cel: string;
  /** The same rule here: true when it is kept. */
  readonly check: (value: T) => boolean;
  /** Field that the message is about, seen from the object. */
  readonly path: readonly string[];
  readonly message: string;
};

/** What an update may not do: in CEL `oldSelf` is the object as it was. */
export type Transition<T> = { readonly cel: string; readonly check: (before: T, after: T) => boolean; readonly path: readonly string[]; readonly message: string };

/** The schema with rules that both sides enforce. Transitions are for the API server; here they are run by whoever knows the object as it was. */
export function withRules<S extends z.ZodType>(schema: S, rules: readonly Rule<z.output<S>>[], transitions: readonly Omit<Transition<never>, "check">[] = []): S {
  const checked = schema.superRefine((value, context) => {
    for (const { check, path, message } of rules) if (!check(value)) context.addIssue({ code: "custom", path: [...path], message });
  });
  return checked.meta({
    "x-kubernetes-validations": [...rules, ...transitions].map(({ cel, path, message }) => ({ rule: cel, message, ...(path.length === 0 ? {} : { fieldPath: path.map((part) => `.${part}`).join("") }) })),
  }) as S;
}

/** A field that people write and that does not exist: declared so that the answer is the remedy, not "unknown field". */
export function trap(schema: z.ZodType, remedy: string): z.ZodType {
  return schema.refine(() => false, remedy).meta({ "x-kubernetes-validations": [{ rule: "false", message: remedy }] }).optional();
}
