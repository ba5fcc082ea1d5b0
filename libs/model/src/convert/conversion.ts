/** What every conversion returns, and the collector of what it noticed. */

export type Severity = "warning" | "error" | "critical";

/**
 * Something about an object that its author should know. A warning changes nothing, an error leaves part of the
 * object out, a critical finding leaves all of it out although other objects rely on it.
 */
export type Finding = {
  readonly severity: Severity;
  /** Path of the field: "spec.ingress[0].source.nets[1]". */
  readonly field: string;
  readonly message: string;
  readonly suggestion?: string;
};

/** The parsed object, or null: not an object of the model. Conversions never throw. */
export type Conversion<M> = { readonly value: M | null; readonly findings: readonly Finding[] };

/** More findings than this say nothing new about one object, and a hostile one could bring thousands. */
const MAX_FINDINGS = 50;

/** Collects findings while an object is read. */
export class FindingCollector {
  readonly #findings: Finding[] = [];

  get findings(): readonly Finding[] {
    return this.#findings;
  }

  warning(field: string, message: string, suggestion?: string): null {
    return this.#add("warning", field, message, suggestion);
  }

  error(field: string, message: string, suggestion?: string): null {
    return this.#add("error", field, message, suggestion);
  }

  critical(field: string, message: string, suggestion?: string): null {
    return this.#add("critical", field, message, suggestion);
  }

  /** The end of a conversion: the value with everything collected. */
  done<M>(value: M | null): Conversion<M> {
    return { value, findings: this.#findings };
  }

  /** Critical findings are kept however many came before them. Returns null, for `return out.error(...)`. */
  #add(severity: Severity, field: string, message: string, suggestion: string | undefined): null {
    if (this.#findings.length < MAX_FINDINGS || severity === "critical") {
      this.#findings.push(suggestion === undefined ? { severity, field, message } : { severity, field, message, suggestion });
    }
    return null;
  }
}
