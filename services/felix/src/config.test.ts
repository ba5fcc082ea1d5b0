import { validateResource } from "@calico/model/resources";
import { commonParams, resolveConfig } from "@calico/service-kit";
import { expect, it } from "vitest";
import { ENV_PREFIX, felixParams } from "./config.ts";

it("every parameter that the cluster may set is a field of FelixConfiguration", () => {
  const settable = Object.entries({ ...felixParams, ...commonParams }).filter(([, param]) => !param.isLocal).map(([name]) => name);
  const refused = settable.filter((name) => {
    const result = validateResource({ apiVersion: "projectcalico.org/v3", kind: "FelixConfiguration", metadata: { name: "default" }, spec: { [name]: null } });
    return !result.ok && result.issues.some(({ message }) => message === "there is no such field");
  });
  expect(settable.length).toBeGreaterThan(15);
  expect(refused).toEqual([]);
});

it("a limit of the log that is none is refused in words, and nothing is limited", () => {
  const { values, issues } = resolveConfig(felixParams, { env: { FELIX_LOGACTIONRATELIMIT: "10 per minute" }, envPrefix: ENV_PREFIX });
  expect(issues).toMatchObject([{ name: "FELIX_LOGACTIONRATELIMIT", message: "is not a number and second, minute, hour or day, such as 10/minute" }]);
  expect(values.logActionRateLimit).toBe("");
});
