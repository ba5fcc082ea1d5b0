import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { calicoTypes, coreTypes, type KubeObject } from "@calico/datastore";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { DEMO_PORT } from "../lab/demo.ts";
import type { Lab } from "../lab/lab.ts";
import { repositoryRoot } from "../lab/paths.ts";
import { untilTrue } from "../lab/wait.ts";
import { denyInto, startDemoLab, stopLab, untilHealthy, untilReach, withoutPolicies } from "./cluster.ts";

const HOUR = 3_600_000;
const SERVICES = ["felix", "bird", "ipam", "cni", "typha", "kube-controllers"];

describe("a clock that jumps", () => {
  let lab: Lab;
  const dir = mkdtempSync(join(tmpdir(), "clock-"));
  const file = join(dir, "offset");
  const setClock = (ms: number): void => writeFileSync(file, String(ms));
  beforeAll(async () => {
    setClock(0);
    const env = { NODE_OPTIONS: `--import=${join(repositoryRoot, "e2e", "fv", "shifted-clock.mjs")}`, CLOCK_OFFSET_FILE: file };
    const parameters = Object.fromEntries(SERVICES.map((service) => [service, { ...env, ...(service === "kube-controllers" ? { KUBECONTROLLERS_LEAKGRACEPERIOD: "30m", KUBECONTROLLERS_LEAKSCANINTERVAL: "1s" } : {}) }]));
    lab = await startDemoLab("fvclock", 23, { parameters });
  });
  afterAll(async () => {
    rmSync(dir, { recursive: true, force: true });
    expect(await stopLab(lab)).toEqual([]);
  });

  /** When each pod's address was given, by the clock of ipam. */
  const given = async (): Promise<Map<string, number>> => new Map((await lab.datastore.list<KubeObject & { spec: { attributes: { secondary?: Record<string, string> }[] } }>(calicoTypes.ipamBlocks)).items.flatMap(({ spec }) => spec.attributes.map(({ secondary = {} }) => [secondary["pod"] ?? "", Date.parse(secondary["timestamp"] ?? "")] as const)));
  const allocations = async (): Promise<string[]> => [...(await given()).keys()];
  const pods = async (): Promise<string[]> => (await lab.datastore.list<KubeObject>(coreTypes.pods)).items.map(({ metadata }) => metadata.name);

  it.each([["forward", 3 * HOUR], ["a day back", -24 * HOUR], ["to where it was", 0]])("%s: pods come and go, policy is enforced, nothing is released too early", async (how, offset) => {
    const starts = lab.supervisor.states().map(({ id, restarts }) => `${id} ${restarts}`);
    setClock(offset);
    const name = how.replaceAll(" ", "-");
    await lab.apply([{ apiVersion: "v1", kind: "Pod", metadata: { namespace: "shop", name }, spec: { containers: [{ name: "c", image: "i", ports: [{ containerPort: DEMO_PORT }] }] } }]);
    await lab.untilRunning([`shop/${name}`], 20_000);
    expect(Math.abs(((await given()).get(name) ?? 0) - (Date.now() + offset))).toBeLessThan(60_000);
    await untilReach(lab, () => true);
    await lab.apply([denyInto("shop")]);
    await untilReach(lab, (_, to) => !to.startsWith("shop/"));
    await withoutPolicies(lab);
    // An hour seems to have passed several times over; the grace of half an hour has not.
    expect((await allocations()).toSorted((a, b) => (a < b ? -1 : 1))).toEqual((await pods()).toSorted((a, b) => (a < b ? -1 : 1)));
    await lab.datastore.delete(coreTypes.pods, { namespace: "shop", name }, { gracePeriodSeconds: 0 });
    await untilTrue("its address to be free", async () => !(await allocations()).includes(name), 15_000);
    for (const node of lab.plan.nodes) await untilHealthy(lab, node.name, 9099);
    expect(lab.supervisor.states().map(({ id, restarts }) => `${id} ${restarts}`)).toEqual(starts);
  });
});
