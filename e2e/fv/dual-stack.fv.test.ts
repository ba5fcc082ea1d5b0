import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { DEMO_PORT } from "../lab/demo.ts";
import type { Lab } from "../lab/lab.ts";
import { untilTrue } from "../lab/wait.ts";
import { globalPolicy, run, startDemoLab, stopLab, untilReach, withoutPolicies } from "./cluster.ts";

describe("two families", () => {
  let lab: Lab;
  beforeAll(async () => {
    lab = await startDemoLab("fvdual", 19, {
      parameters: { "kube-controllers": { CALICO_IPV6POOL_CIDR: "fd65::/48", CALICO_IPV6POOL_NAT_OUTGOING: "true" }, cni: { CNI_ASSIGNIPV6: "true" } },
    });
  });
  afterAll(async () => expect(await stopLab(lab)).toEqual([]));

  const v6 = (pod: string): string => lab.pods().get(pod)?.addresses.find((address) => address.includes(":")) ?? "";
  const reaches = async (from: string, to: string): Promise<boolean> => (await lab.probe(from, v6(to), DEMO_PORT, "tcp", 300)).reached;
  const elsewhere = (): [string, string] => {
    const pods = [...lab.pods()];
    const [first] = pods;
    const other = pods.find(([, { host }]) => host.plan.name !== first?.[1].host.plan.name);
    return [first?.[0] ?? "", other?.[0] ?? ""];
  };

  it("a pod has an address of each, with the gateway of each", () => {
    expect(v6("shop/frontend")).toMatch(/^fd65::/);
    expect(run(lab, "shop/frontend", "ip", "-6", "-o", "addr", "show", "eth0", "scope", "global")).toContain(`${v6("shop/frontend")}/128`);
    expect(run(lab, "shop/frontend", "ip", "-6", "route", "show", "default")).toMatch(/^default via fe80::\S+ dev eth0|^default via \S+ dev eth0/);
  });

  it("pods of different nodes reach each other over both", async () => {
    const [from, to] = elsewhere();
    expect(from).not.toBe(to);
    await untilTrue("IPv6 between nodes", () => reaches(from, to), 20_000);
    await untilReach(lab, () => true);
    expect(run(lab, "node/node-1", "ip", "-6", "route")).toMatch(/fd65::\S+\/122 via \S+ dev eth0 proto bird/);
  });

  it("policy holds for both", async () => {
    const [from, to] = elsewhere();
    const app = to.split("/")[1] ?? "";
    await lab.apply([globalPolicy("p", { selector: `app == '${app}'`, ingress: [{ action: "Deny", protocol: "TCP", destination: { ports: [DEMO_PORT] } }, { action: "Allow" }] })]);
    await untilReach(lab, (_, target) => target !== to);
    await untilTrue("IPv6 to be closed too", async () => !(await reaches(from, to)), 5_000);
    await lab.apply([globalPolicy("p", { selector: `app == '${app}'`, ingress: [{ action: "Allow", source: { nets: [`${v6(from)}/128`] } }] })]);
    await untilTrue("IPv6 from that pod alone", () => reaches(from, to), 5_000);
    await untilReach(lab, (_, target) => target !== to);
    await withoutPolicies(lab);
  });
});
