import { expect, test } from "vitest";
import { bool, changedParams, cidrList, defineParams, duration, oneOf, port, renderParamsMarkdown, resolveConfig, text } from "../params.ts";

const params = defineParams({
  logSeverityScreen: oneOf(["Debug", "Info"], "Info").doc("Least severity."),
  healthPort: port(9099),
  refresh: duration(90_000),
  ipv6Support: bool(true).restartsDataplane(),
  pools: cidrList(),
  secretToken: text("").secret().localOnly(),
  ip: text("autodetect").env("IP"),
});
const resolve = (env: Record<string, string>, file = "", layers: { source: string; values: Record<string, string> }[] = []): ReturnType<typeof resolveConfig<typeof params>> =>
  resolveConfig(params, { env, envPrefix: "FELIX_", file, layers });

test("precedence: environment, file, layers in order, default", () => {
  const layers = [{ source: "node.a", values: { healthPort: "3", refresh: "3" } }, { source: "default", values: { healthPort: "4", refresh: "4", ipv6Support: "false" } }];
  const { values, sources } = resolve({ FELIX_HEALTHPORT: "1" }, "[global]\n# comment\nHealthPort = 2\nRefresh = \"2\"\n", layers);
  expect(values).toMatchObject({ healthPort: 1, refresh: 2_000, ipv6Support: false, ip: "autodetect" });
  expect(sources).toMatchObject({ healthPort: "environment", refresh: "file", ipv6Support: "default", ip: "default" });
});

test("a value that cannot be used is reported and the next source counts", () => {
  const { values, issues } = resolve({ FELIX_HEALTHPORT: "70000", FELIX_LOGSEVERITYSCREEN: "Inof", FELIX_REFRESH: "soon" }, "HealthPort = 8", []);
  expect(values).toMatchObject({ healthPort: 8, logSeverityScreen: "Info", refresh: 90_000 });
  expect(issues).toEqual([
    { source: "environment", name: "FELIX_LOGSEVERITYSCREEN", value: "Inof", message: "is none of Debug, Info", suggestion: "did you mean Info?" },
    { source: "environment", name: "FELIX_HEALTHPORT", value: "70000", message: "is not a whole number from 0 to 65535" },
    { source: "environment", name: "FELIX_REFRESH", value: "soon", message: "is not a duration", suggestion: 'write "90s", "1m30s" or a number of seconds' },
  ]);
});

test("unknown names are reported with what was probably meant", () => {
  const { issues } = resolve({ FELIX_HEALTPORT: "1", OTHER: "x" }, "Refrsh = 1\nnonsense", [{ source: "default", values: { ipv6Suport: "true" } }]);
  expect(issues).toEqual([
    { source: "file", name: "line 2", value: "nonsense", message: 'is not "Key = value"' },
    { source: "environment", name: "FELIX_HEALTPORT", value: "", message: "is no parameter", suggestion: "did you mean FELIX_HEALTHPORT?" },
    { source: "file", name: "refrsh", value: "1", message: "is no parameter", suggestion: "did you mean refresh?" },
    { source: "default", name: "ipv6Suport", value: "true", message: "is no parameter", suggestion: "did you mean ipv6Support?" },
  ]);
});

test("local parameters are not taken from the cluster, secrets are not shown", () => {
  expect(resolve({}, "", [{ source: "default", values: { secretToken: "x" } }]).values.secretToken).toBe("");
  expect(renderParamsMarkdown(params, "FELIX_")).toContain("| `healthPort` | `FELIX_HEALTHPORT` | integer | `9099` |");
});

test.each([["90", 90_000], ["1m30s", 90_000], ["500ms", 500], ["1h", 3_600_000], ["0", 0], ["1.5s", 1_500]])("the duration %s", (given, ms) => {
  expect(resolve({ FELIX_REFRESH: given }).values.refresh).toBe(ms);
});

test("CIDR lists and what changed", () => {
  expect(resolve({ FELIX_POOLS: "10.0.0.0/8, fd00::/8" }).values.pools).toEqual(["10.0.0.0/8", "fd00::/8"]);
  expect(resolve({ FELIX_POOLS: "10.0.0.0/33" }).issues[0]?.message).toBe('has "10.0.0.0/33", which is no CIDR');
  expect(changedParams(resolve({}), resolve({ FELIX_IPV6SUPPORT: "false", IP: "none" }))).toEqual(["ipv6Support", "ip"]);
});
