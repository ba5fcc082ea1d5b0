import { describe, expect, it } from "vitest";
import { goDuration, runningOf, statusOf } from "./running-config.ts";

const inputs = (env: Record<string, string> = {}) => ({ env, envPrefix: "KUBECONTROLLERS_" });

const off = { autoCreate: "Disabled", createDefaultHostEndpoint: "Enabled" };

describe("what is in effect", () => {
  it("is what the object says", () => {
    expect(runningOf({ logSeverityScreen: "Trace", controllers: { node: { leakGracePeriod: "5m" } } }, inputs())).toEqual({ running: { logSeverityScreen: "Debug", leakGraceMs: 300_000, port: 9094, hostEndpoint: off }, issues: [] });
  });

  it("is the default where the object says nothing or what cannot be used, and the latter is told", () => {
    expect(runningOf({}, inputs()).running).toEqual({ logSeverityScreen: "Info", leakGraceMs: 900_000, port: 9094, hostEndpoint: off });
    expect(runningOf({ controllers: { node: { leakGracePeriod: "soon" } } }, inputs())).toMatchObject({ running: { leakGraceMs: 900_000 }, issues: [{ source: "KubeControllersConfiguration default", name: "leakGracePeriod", value: "soon" }] });
  });

  it("is host endpoints of nodes, as the object and before it the environment say", () => {
    const templates = [{ generateName: "lan", interfaceCIDRs: ["10.0.0.0/8"] }];
    const written = { controllers: { node: { hostEndpoint: { autoCreate: "Enabled" as const, createDefaultHostEndpoint: "Disabled" as const, templates } } } };
    expect(runningOf(written, inputs()).running.hostEndpoint).toEqual({ autoCreate: "Enabled", createDefaultHostEndpoint: "Disabled", templates });
    const { running } = runningOf(written, inputs({ AUTO_HOST_ENDPOINTS: "disabled" }));
    expect(statusOf(running, { AUTO_HOST_ENDPOINTS: "disabled" })).toMatchObject({ runningConfig: { controllers: { node: { hostEndpoint: { autoCreate: "Disabled" } } } }, environmentVars: { AUTO_HOST_ENDPOINTS: "disabled" } });
  });

  it("is the environment first, and the status shows it", () => {
    const env = { KUBECONTROLLERS_LEAKGRACEPERIOD: "30s", KUBECONTROLLERS_HTTPPORT: "9194", NODENAME: "n" };
    const { running } = runningOf({ logSeverityScreen: "Warning", controllers: { node: { leakGracePeriod: "5m" } } }, inputs(env));
    expect(statusOf(running, env)).toEqual({
      runningConfig: { logSeverityScreen: "Warning", healthChecks: "Enabled", prometheusMetricsPort: 9194, controllers: { node: { leakGracePeriod: "30s", hostEndpoint: off, syncLabels: "Disabled" } } },
      environmentVars: { KUBECONTROLLERS_LEAKGRACEPERIOD: "30s", KUBECONTROLLERS_HTTPPORT: "9194" },
    });
  });
});

it.each([[0, "0s"], [1_500, "1.5s"], [900_000, "15m0s"], [5_400_000, "1h30m0s"]])("writes %i ms as Go does", (ms, text) => expect(goDuration(ms)).toBe(text));
