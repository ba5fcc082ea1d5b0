/** The building blocks of a parameter table. */

/** Turns the text of a parameter into its value; throws a ParamError that says what was expected. */
export type Parse<T> = (text: string) => T;

export class ParamError extends Error {
  readonly suggestion: string | undefined;

  constructor(message: string, suggestion?: string) {
    super(message);
    this.name = "ParamError";
    this.suggestion = suggestion;
  }
}

type ParamInit<T> = {
  readonly parse: Parse<T>;
  readonly shape: string;
  readonly fallback: T;
  readonly fallbackText?: string;
  readonly help?: string;
  readonly envName?: string;
  readonly isLocal?: boolean;
  readonly isSecret?: boolean;
  readonly needsRender?: boolean;
};

/** One parameter. Immutable: each method returns another one. */
export class Param<T> {
  readonly #init: ParamInit<T>;
  readonly parse: Parse<T>;
  /** What values look like, for the reference page and messages. */
  readonly shape: string;
  readonly fallback: T;
  /** The default as one would write it, where that is not its value as text. */
  readonly fallbackText: string | undefined;
  readonly help: string;
  readonly envName: string | undefined;
  readonly isLocal: boolean;
  readonly isSecret: boolean;
  readonly needsRender: boolean;

  constructor(init: ParamInit<T>) {
    this.#init = init;
    this.parse = init.parse;
    this.shape = init.shape;
    this.fallback = init.fallback;
    this.fallbackText = init.fallbackText;
    this.help = init.help ?? "";
    this.envName = init.envName;
    this.isLocal = init.isLocal ?? false;
    this.isSecret = init.isSecret ?? false;
    this.needsRender = init.needsRender ?? false;
  }

  #with(change: Partial<ParamInit<T>>): Param<T> {
    return new Param<T>({ ...this.#init, ...change });
  }

  default(value: T): Param<T> {
    return this.#with({ fallback: value });
  }

  doc(help: string): Param<T> {
    return this.#with({ help });
  }

  /** The complete name of its environment variable, where that is not prefix and parameter name. */
  env(name: string): Param<T> {
    return this.#with({ envName: name });
  }

  /** Read from the environment and the file only, never from the cluster. */
  localOnly(): Param<T> {
    return this.#with({ isLocal: true });
  }

  /** Its value is never shown. */
  secret(): Param<T> {
    return this.#with({ isSecret: true });
  }

  /** A change of it means that the dataplane is rendered anew. */
  restartsDataplane(): Param<T> {
    return this.#with({ needsRender: true });
  }

  /** May be left out: "" and "none" are null. */
  optional(): Param<T | null> {
    return new Param<T | null>({ ...this.#init, fallback: null, parse: (text) => (text === "" || text.toLowerCase() === "none" ? null : this.parse(text)) });
  }
}

// oxlint-disable-next-line typescript/no-explicit-any -- a table holds parameters of any type
export type ParamTable = Readonly<Record<string, Param<any>>>;
export type ParamValues<T extends ParamTable> = { readonly [K in keyof T]: T[K] extends Param<infer V> ? V : never };

/** A table of parameters by their Calico names (camelCase). */
export function defineParams<const T extends ParamTable>(table: T): T {
  return table;
}
