import { coreTypes } from "@calico/datastore";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { demoPods } from "../lab/demo.ts";
import type { Lab } from "../lab/lab.ts";
import { untilTrue } from "../lab/wait.ts";
import { denyInto, generationOf, healthOf, reachable, rules, run, startDemoLab, stopLab, untilHealthy, untilReach, untilRestarted, withoutPolicies } from "./cluster.ts";

const intoShop = (_: string, to: string): boolean => !to.startsWith("shop/");

describe("processes that die", () => {
  let lab: Lab;
  beforeAll(async () => {
    lab = await startDemoLab("fvkill", 22);
  });
  afterAll(async () => expect(await stopLab(lab)).toEqual([]));
  afterEach(() => withoutPolicies(lab));

  it("felix killed: traffic and policy stay; its restart writes nothing but the adoption of the table", async () => {
    await lab.apply([denyInto("shop")]);
    await untilReach(lab, intoShop);
    const before = { rules: rules(lab, "node-2"), routes: run(lab, "node/node-2", "ip", "route"), generation: generationOf(lab, "node-2") };
    lab.supervisor.kill("felix@node-2", "SIGKILL");
    await untilTrue("felix to be gone", async () => lab.supervisor.states().some(({ id, pid, lastExit }) => id === "felix@node-2" && (pid === null || lastExit === "SIGKILL")), 5_000);
    await untilReach(lab, intoShop);
    await untilRestarted(lab, "felix@node-2", 0);
    await untilHealthy(lab, "node-2", 9099);
    expect({ rules: rules(lab, "node-2"), routes: run(lab, "node/node-2", "ip", "route"), generation: generationOf(lab, "node-2") }).toEqual({ ...before, generation: before.generation + 1 });
    await untilReach(lab, intoShop);
  });

  it("felix stopped while a policy changes: the old one holds, the new one comes with its restart", async () => {
    await lab.apply([denyInto("shop")]);
    await untilReach(lab, intoShop);
    const node = lab.pods().get("shop/backend")?.host.plan.name ?? "";
    await lab.supervisor.stop(`felix@${node}`);
    await lab.datastore.delete(coreTypes.networkPolicies, { namespace: "shop", name: "deny" });
    const onNode = (key: string): boolean => lab.pods().get(key)?.host.plan.name === node;
    await untilReach(lab, (_, to) => !to.startsWith("shop/") || !onNode(to));
    lab.supervisor.resume(`felix@${node}`);
    await untilReach(lab, () => true);
  });

  it("somebody deletes a chain's rules or the whole table: felix repairs it at once", async () => {
    await lab.apply([denyInto("shop")]);
    await untilReach(lab, intoShop);
    const before = rules(lab, "node-1");
    await lab.supervisor.stop("felix@node-1");
    run(lab, "node/node-1", "nft", "delete", "table", "inet", "calico");
    lab.supervisor.resume("felix@node-1");
    await untilTrue("the table to be as before", async () => sorted(rules(lab, "node-1")) === sorted(before), 15_000);
    await untilReach(lab, intoShop);
  });

  it("a route that somebody deletes comes back", async () => {
    const [pod] = [...lab.pods().values()].filter(({ host }) => host.plan.name === "node-1");
    const address = pod?.addresses[0] ?? "";
    run(lab, "node/node-1", "ip", "route", "del", address);
    await untilTrue("the route to be back", async () => run(lab, "node/node-1", "ip", "route").includes(`${address} dev`), 10_000);
  });

  it("typha killed: what is enforced stays; changes come through when it is back", async () => {
    const typha = lab.supervisor.states().find(({ id }) => id.startsWith("typha@"))?.id ?? "";
    await lab.supervisor.stop(typha);
    await lab.apply([denyInto("shop")]);
    expect((await reachable(lab)).has("shop/frontend>shop/backend")).toBe(true);
    lab.supervisor.resume(typha);
    await untilReach(lab, intoShop, 30_000);
  });

  it("NATS killed: a policy still reaches the kernel", async () => {
    await lab.supervisor.stop("nats");
    await lab.apply([denyInto("shop")]);
    await untilReach(lab, intoShop);
    expect(await healthOf(lab, "node-1", 9099)).toMatchObject({ status: 200 });
    lab.supervisor.resume("nats");
  });

  it("bird killed: routes stay, sessions come back", async () => {
    lab.supervisor.kill("bird@node-3", "SIGKILL");
    await untilReach(lab, () => true);
    await untilRestarted(lab, "bird@node-3", 0);
    await untilHealthy(lab, "node-3", 9095);
    await untilTrue("the sessions of node-3", async () => (run(lab, "node/node-3", "birdc", "-s", "/run/calico/bird.ctl", "show", "protocols").match(/Established/g) ?? []).length === 4, 20_000);
    await untilReach(lab, () => true);
  });

  it("cni and ipam stopped: a new pod waits for them and then runs", async () => {
    for (const id of ["cni@node-1", "ipam@node-1"]) await lab.supervisor.stop(id);
    const late = { apiVersion: "v1", kind: "Pod", metadata: { namespace: "shop", name: "late" }, spec: { nodeName: "node-1", containers: (demoPods[0] as { spec: { containers: unknown } }).spec.containers } };
    await lab.apply([late]);
    await untilTrue("the pod to be refused for now", async () => (lab.waiting().get("shop/late") ?? "").includes("code 11"), 10_000);
    for (const id of ["ipam@node-1", "cni@node-1"]) lab.supervisor.resume(id);
    await lab.untilRunning(["shop/late"], 30_000);
    await untilReach(lab, () => true);
    await lab.datastore.delete(coreTypes.pods, { namespace: "shop", name: "late" }, { gracePeriodSeconds: 0 });
    await untilTrue("the pod to be gone", async () => !lab.pods().has("shop/late"), 10_000);
  });
});

/** Lines in order of the alphabet: a repaired table may list its chains in another order. */
const sorted = (text: string): string => text.split("\n").sort().join("\n");
