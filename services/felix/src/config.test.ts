import { validateResource } from "@calico/model/resources";
import { commonParams } from "@calico/service-kit";
import { expect, it } from "vitest";
import { felixParams } from "./config.ts";

it("every parameter that the cluster may set is a field of FelixConfiguration", () => {
  const settable = Object.entries({ ...felixParams, ...commonParams }).filter(([, param]) => !param.isLocal).map(([name]) => name);
  const refused = settable.filter((name) => {
    const result = validateResource({ apiVersion: "projectcalico.org/v3", kind: "FelixConfiguration", metadata: { name: "default" }, spec: { [name]: null } });
    return !result.ok && result.issues.some(({ message }) => message === "there is no such field");
  });
  expect(settable.length).toBeGreaterThan(15);
  expect(refused).toEqual([]);
});
