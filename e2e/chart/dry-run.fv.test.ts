/** Every object of the chart before Kubernetes' own API server. */
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isDatastoreError, type KubeObject } from "@calico/datastore";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { onKubernetes } from "../fv/cluster.ts";
import { startLab, type Lab } from "../lab/lab.ts";
import { haveHelm, render, type Manifest } from "./helm.ts";
import { typeOf } from "./objects.ts";
import { foreignGroups, valueSets } from "./value-sets.ts";

describe.skipIf(!onKubernetes || !(await haveHelm()))("the chart before Kubernetes' own API server", () => {
  let lab: Lab;
  beforeAll(async () => {
    lab = await startLab({ name: "chdry", octet: 22, dir: mkdtempSync(join(tmpdir(), "chdry-")), nodes: 1, kubernetes: "api-server" });
  });
  afterAll(() => lab.stop());

  it.each(Object.entries(valueSets))("takes every object of %s", async (_, values) => {
    expect(await refusals(lab, render(values, "--include-crds").filter(({ apiVersion }) => !foreignGroups.some((group) => apiVersion.startsWith(`${group}/`))))).toEqual([]);
  });

  it("notices a field that is none and a value that cannot be", async () => {
    const [daemonSet] = render().filter(({ kind, metadata }) => kind === "DaemonSet" && metadata.name === "calico-node");
    if (daemonSet === undefined) throw new Error("felix is a DaemonSet");
    const spec = daemonSet["spec"] as object;
    expect(await refusals(lab, [{ ...daemonSet, spec: { ...spec, minReadySecond: 1 } }, { ...daemonSet, spec: { ...spec, minReadySeconds: -1 } }])).toEqual([
      expect.stringContaining("minReadySecond"), expect.stringContaining("spec.minReadySeconds: Invalid value: -1"),
    ]);
  });
});

/** What the API server says against objects, by kind and name; a dry run stores nothing. */
async function refusals(lab: Lab, objects: readonly Manifest[]): Promise<string[]> {
  const refused: string[] = [];
  for (const object of objects) {
    try {
      await lab.datastore.patch(typeOf(object), object.metadata, object as KubeObject, { type: "apply", fieldManager: "dry-run", force: true, dryRun: true, fieldValidation: "Strict" });
    } catch (error) {
      if (!isDatastoreError(error)) throw error;
      refused.push(`${object.kind} ${object.metadata.name}: ${error.message}`);
    }
  }
  return refused;
}
