/** Values of a parameter table from all their sources. */
import { nearest } from "@calico/model";
import { ParamError, type Param, type ParamTable, type ParamValues } from "./types.ts";

/** Values of one source that lies below the environment and the file: a FelixConfiguration, for instance. Highest first. */
export type ConfigLayer = { readonly source: string; readonly values: Readonly<Record<string, string>> };

export type ConfigIssue = { readonly source: string; readonly name: string; readonly value: string; readonly message: string; readonly suggestion?: string };

export type ResolvedConfig<T extends ParamTable> = {
  readonly values: ParamValues<T>;
  /** Where each value came from: "environment", "file", the source of a layer, or "default". */
  readonly sources: Readonly<Record<keyof T, string>>;
  /** Values that could not be used; the next lower source counted instead. */
  readonly issues: readonly ConfigIssue[];
};

export type ConfigInputs = {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** "FELIX_": with it and the name in capitals an environment variable is made. */
  readonly envPrefix: string;
  /** Text of a `Key = value` file. */
  readonly file?: string;
  readonly layers?: readonly ConfigLayer[];
};

/**
 * Precedence, highest first: environment, file, layers in order, built-in default. A value that cannot be used
 * is reported and passed over; unknown names are reported with what was probably meant. Never throws.
 */
export function resolveConfig<T extends ParamTable>(params: T, { env, envPrefix, file = "", layers = [] }: ConfigInputs): ResolvedConfig<T> {
  const issues: ConfigIssue[] = [];
  const fromFile = parseConfigFile(file, issues);
  const values: Record<string, unknown> = {};
  const sources: Record<string, string> = {};
  for (const [name, param] of Object.entries(params)) {
    const candidates: { source: string; label: string; text: string | undefined }[] = [
      { source: "environment", label: envNameOf(name, param, envPrefix), text: env[envNameOf(name, param, envPrefix)] },
      { source: "file", label: name, text: fromFile.get(name.toLowerCase()) },
    ];
    if (!param.isLocal) for (const layer of layers) candidates.push({ source: layer.source, label: name, text: caseless(layer.values, name) });
    values[name] = param.fallback;
    sources[name] = "default";
    for (const { source, label, text } of candidates) {
      if (text === undefined) continue;
      const parsed = tryParse(param, text.trim(), { source, name: label }, issues);
      if (parsed === undefined) continue;
      values[name] = parsed.value;
      sources[name] = source;
      break;
    }
  }
  reportUnknown(params, { env, envPrefix, layers }, fromFile, issues);
  return { values: values as ParamValues<T>, sources: sources as Record<keyof T, string>, issues };
}

/** Names whose values differ between two resolutions. */
export function changedParams<T extends ParamTable>(before: ResolvedConfig<T>, after: ResolvedConfig<T>): (keyof T)[] {
  return Object.keys(after.values).filter((name) => JSON.stringify(before.values[name]) !== JSON.stringify(after.values[name]));
}

/** The environment variable of a parameter. */
export function envNameOf(name: string, param: Param<unknown>, envPrefix: string): string {
  return param.envName ?? `${envPrefix}${name.toUpperCase()}`;
}

function tryParse(param: Param<unknown>, text: string, at: { source: string; name: string }, issues: ConfigIssue[]): { value: unknown } | undefined {
  try {
    return { value: param.parse(text) };
  } catch (error) {
    if (!(error instanceof ParamError)) throw error;
    const issue = { ...at, value: param.isSecret ? "[hidden]" : text, message: error.message };
    issues.push(error.suggestion === undefined ? issue : { ...issue, suggestion: error.suggestion });
    return undefined;
  }
}

/** `Key = value` lines; sections, comments (# and ;) and quotes as in the file that Calico reads. Keys in lower case. */
function parseConfigFile(text: string, issues: ConfigIssue[]): Map<string, string> {
  const values = new Map<string, string>();
  for (const [index, raw] of text.split(/\r?\n/).entries()) {
    const line = raw.trim();
    if (line === "" || line.startsWith("#") || line.startsWith(";") || line.startsWith("[")) continue;
    const equals = line.indexOf("=");
    if (equals <= 0) {
      issues.push({ source: "file", name: `line ${index + 1}`, value: line, message: 'is not "Key = value"' });
      continue;
    }
    values.set(line.slice(0, equals).trim().toLowerCase(), line.slice(equals + 1).trim().replace(/^"(.*)"$/, "$1"));
  }
  return values;
}

function reportUnknown(params: ParamTable, { env, envPrefix, layers }: { env: ConfigInputs["env"]; envPrefix: string; layers: readonly ConfigLayer[] }, fromFile: Map<string, string>, issues: ConfigIssue[]): void {
  const names = Object.keys(params);
  const known = new Set(names.map((name) => name.toLowerCase()));
  const envNames = Object.entries(params).map(([name, param]) => envNameOf(name, param, envPrefix));
  const report = (source: string, name: string, value: string, candidates: readonly string[]): void => {
    const near = nearest(name, candidates);
    const issue = { source, name, value, message: "is no parameter" };
    issues.push(near === null ? issue : { ...issue, suggestion: `did you mean ${near}?` });
  };
  for (const [name, value] of Object.entries(env)) {
    if (value !== undefined && name.startsWith(envPrefix) && !envNames.includes(name)) report("environment", name, "", envNames);
  }
  for (const [name, value] of fromFile) if (!known.has(name)) report("file", name, value, names);
  for (const layer of layers) {
    for (const [name, value] of Object.entries(layer.values)) if (!known.has(name.toLowerCase())) report(layer.source, name, value, names);
  }
}

function caseless(values: Readonly<Record<string, string>>, name: string): string | undefined {
  if (Object.hasOwn(values, name)) return values[name];
  const found = Object.keys(values).find((key) => key.toLowerCase() === name.toLowerCase());
  return found === undefined ? undefined : values[found];
}

/** The reference page of a table: one row per parameter. */
export function renderParamsMarkdown(params: ParamTable, envPrefix: string): string {
  const rows = Object.entries(params).map(([name, param]) => {
    const fallback = param.isSecret ? "" : JSON.stringify(param.fallback);
    return `| \`${name}\` | \`${envNameOf(name, param, envPrefix)}\` | ${param.shape.replaceAll("|", "\\|")} | \`${fallback}\` | ${param.help} |`;
  });
  return ["| Parameter | Environment | Values | Default | Meaning |", "|---|---|---|---|---|", ...rows, ""].join("\n");
}
