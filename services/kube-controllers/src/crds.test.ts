import { DatastoreError } from "@calico/datastore";
import { crdManifests } from "@calico/model/resources";
import { expect, it } from "vitest";
import { applyDefinitions, StoredVersionError } from "./crds.ts";

/** A cluster with definitions by name, each with the versions that objects are stored in. */
function cluster(stored: Readonly<Record<string, readonly string[]>>) {
  const applied: string[] = [];
  return {
    applied,
    get: (_: unknown, { name }: { name: string }): Promise<never> =>
      stored[name] === undefined ? Promise.reject(new DatastoreError("NotFound", name)) : Promise.resolve({ metadata: { name }, status: { storedVersions: stored[name] } } as never),
    patch: (_: unknown, { name }: { name: string }, __: unknown, options: unknown): Promise<never> => {
      expect(options).toEqual({ type: "apply", fieldManager: "calico-chart", force: true });
      applied.push(name);
      return Promise.resolve({} as never);
    },
  };
}

const all = crdManifests().map(({ metadata }) => metadata.name);

it("applies every definition, new and old", async () => {
  const store = cluster({ "ippools.projectcalico.org": ["v3"] });
  await applyDefinitions(store, { info() {} });
  expect(store.applied).toEqual(all);
});

it("changes nothing when objects are stored in a version that it does not know", async () => {
  const store = cluster({ "ippools.projectcalico.org": ["v3", "v4"], "tiers.projectcalico.org": ["v3"] });
  await expect(applyDefinitions(store, { info() {} })).rejects.toThrow(StoredVersionError);
  await expect(applyDefinitions(store, { info() {} })).rejects.toThrow("ippools.projectcalico.org has objects stored as v4");
  expect(store.applied).toEqual([]);
});
