/** The command line of a service: it has none but help and version; everything else is a parameter. */
import { runService } from "./lifecycle.ts";
import { envNameOf } from "./params/resolve.ts";
import type { ParamTable } from "./params/types.ts";
import { commonParams, VERSION } from "./service.ts";

export type ServiceDescription = {
  readonly name: string;
  /** What it does, as the end of a sentence. */
  readonly does: string;
  readonly params: ParamTable;
  readonly envPrefix: string;
  /** Where values come from besides the environment, highest first: "the file /etc/calico/felix.cfg". */
  readonly otherSources?: readonly string[];
};

/** A parameter as people read of it. */
export type ParameterLine = { readonly name: string; readonly environment: string; readonly shape: string; readonly fallback: string; readonly help: string; readonly isLocal: boolean };

/** Every parameter of a service, its own first, in the order of its table. */
export function parameterLines({ params, envPrefix }: ServiceDescription): ParameterLine[] {
  return Object.entries({ ...params, ...commonParams }).map(([name, param]) => ({
    name, environment: envNameOf(name, param, envPrefix), shape: param.shape, fallback: param.fallbackText ?? textOf(param.fallback, param.shape), help: param.help, isLocal: param.isLocal,
  }));
}

export function helpText(description: ServiceDescription): string {
  const { name, does, otherSources = [] } = description;
  const sources = ["environment variables", ...otherSources];
  const parameters = parameterLines(description).map(({ environment, shape, fallback, help }) => `  ${environment}  (${shape}${fallback === "" ? "" : `, default ${fallback}`})\n      ${help}`);
  return `calico-${name} ${VERSION}: ${does}.\n\nusage: calico-${name} [--help | --version]\n\nParameters come from ${sources.join(", then ")}:\n\n${parameters.join("\n")}\n`;
}

/** The main function of a service. An argument that it does not know ends it with code 2. */
export async function serviceMain(description: ServiceDescription, build: Parameters<typeof runService>[0], argv: readonly string[] = process.argv.slice(2)): Promise<void> {
  const [argument] = argv;
  if (argument === undefined) return runService(build);
  if (argument === "--help" || argument === "-h") process.stdout.write(helpText(description));
  else if (argument === "--version") process.stdout.write(`calico-${description.name} ${VERSION}\n`);
  else {
    process.stderr.write(`calico-${description.name} takes no argument ${JSON.stringify(argument)}: it is configured by environment variables such as ${description.envPrefix}LOGSEVERITYSCREEN; see --help\n`);
    process.exitCode = 2;
  }
}

/** A default as one would write it: durations are milliseconds inside. */
function textOf(value: unknown, shape: string): string {
  if (typeof value === "number" && shape.startsWith("duration")) return value % 1_000 === 0 ? `${value / 1_000}s` : `${value}ms`;
  if (Array.isArray(value)) return value.join(",");
  return value === null || value === undefined ? "" : String(value as string | number | boolean);
}
