/** What KubeControllersConfiguration `default` asks for, and what is in effect. Pure. */
import type { KubeControllersConfigurationSpec } from "@calico/model/resources";
import { commonParams, resolveConfig, type ConfigInputs, type ConfigIssue, type ConfigLayer, type LogLevel } from "@calico/service-kit";
import { controllersParams } from "./config.ts";

/** Of automatic host endpoints, with the defaults filled in. */
export type HostEndpointConfiguration = NonNullable<NonNullable<NonNullable<KubeControllersConfigurationSpec["controllers"]>["node"]>["hostEndpoint"]>;
export type Running = { readonly logSeverityScreen: LogLevel; readonly leakGraceMs: number; readonly port: number; readonly hostEndpoint: HostEndpointConfiguration };
export type RunningStatus = { readonly runningConfig: KubeControllersConfigurationSpec; readonly environmentVars: Readonly<Record<string, string>> };

/** Variables that win over the object, as its status shows them. */
const SHOWN = ["KUBECONTROLLERS_LOGSEVERITYSCREEN", "KUBECONTROLLERS_LEAKGRACEPERIOD", "KUBECONTROLLERS_HTTPPORT", "AUTO_HOST_ENDPOINTS"];

/** What is in effect: the environment, then the object, then the defaults. What the object says and cannot be used is among the issues. */
export function runningOf(spec: KubeControllersConfigurationSpec, inputs: Pick<ConfigInputs, "env" | "envPrefix">): { running: Running; issues: readonly ConfigIssue[] } {
  const { values, issues } = resolveConfig({ ...commonParams, ...controllersParams }, { ...inputs, layers: [layerOf(spec)] });
  const { createDefaultHostEndpoint = "Enabled", templates = [] } = spec.controllers?.node?.hostEndpoint ?? {};
  const hostEndpoint = { autoCreate: values.autoHostEndpoints, createDefaultHostEndpoint, ...(templates.length === 0 ? {} : { templates }) };
  return { running: { logSeverityScreen: values.logSeverityScreen, leakGraceMs: values.leakGracePeriod, port: values.httpPort, hostEndpoint }, issues: issues.filter(({ source }) => source === SOURCE) };
}

const SOURCE = "KubeControllersConfiguration default";

function layerOf({ logSeverityScreen, controllers }: KubeControllersConfigurationSpec): ConfigLayer {
  const { leakGracePeriod, hostEndpoint: { autoCreate } = {} } = controllers?.node ?? {};
  // Trace is a word of Calico's that says the same here.
  const severity = logSeverityScreen === "Trace" ? "Debug" : logSeverityScreen;
  return { source: SOURCE, values: { ...(severity === undefined ? {} : { logSeverityScreen: severity }), ...(leakGracePeriod === undefined ? {} : { leakGracePeriod }), ...(autoCreate === undefined ? {} : { autoHostEndpoints: autoCreate }) } };
}

/** The status that says so, in Calico's form. */
export function statusOf({ logSeverityScreen, leakGraceMs, port, hostEndpoint }: Running, env: ConfigInputs["env"]): RunningStatus {
  const environmentVars = Object.fromEntries(SHOWN.flatMap((name) => (env[name] === undefined || env[name] === "" ? [] : [[name, env[name]]])));
  return {
    runningConfig: {
      logSeverityScreen, healthChecks: "Enabled", prometheusMetricsPort: port,
      controllers: { node: { leakGracePeriod: goDuration(leakGraceMs), hostEndpoint, syncLabels: "Disabled" } },
    },
    environmentVars,
  };
}

/** 900000 is "15m0s". */
export function goDuration(ms: number): string {
  const seconds = ms / 1_000;
  const [hours, minutes] = [Math.floor(seconds / 3_600), Math.floor((seconds % 3_600) / 60)];
  const rest = `${Number((seconds % 60).toFixed(3))}s`;
  if (hours > 0) return `${hours}h${minutes}m${rest}`;
  return minutes > 0 ? `${minutes}m${rest}` : rest;
}
