import { selector, type Cidr, type EntityMatch, type Rule } from "@calico/model";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createClusterHalf } from "./cluster-half.ts";
import type { ObjectKey } from "./messages.ts";
import type { ClusterHalf, ClusterUpdate } from "./ports.ts";
import { clusterChange, endpoint, hostEndpoint, ofEndpoint, ofHostEndpoint, ofPolicy, ofProfile, policy, profile, put, rule } from "./testing/objects.ts";

/** A relay that trusts nothing but the calls it gets, and checks their order. */
function relayed(): { half: ReturnType<typeof createClusterHalf>; interest: Map<string, Set<ObjectKey>>; sets: Map<ObjectKey, Set<string>>; calls: string[] } {
  const interest = new Map<string, Set<ObjectKey>>();
  const sets = new Map<ObjectKey, Set<string>>();
  const wanted = (key: ObjectKey): boolean => [...interest.values()].some((keys) => keys.has(key));
  const calls: string[] = [];
  const half: ReturnType<typeof createClusterHalf> = createClusterHalf({
    onValueChange: (key) => void calls.push(`value ${key}`),
    onIpSetDelta: (id, added, removed) => {
      const set = sets.get(`IpSet:${id}`);
      if (set === undefined) throw new Error(`delta of ${id}, which nobody needs`);
      for (const member of removed) if (!set.delete(member)) throw new Error(`${member} was not in ${id}`);
      for (const member of added) if (set.has(member)) throw new Error(`${member} is in ${id} already`); else set.add(member);
      calls.push(`delta ${id} +${added.join(" ")} -${removed.join(" ")}`);
    },
    onInterestStart: (node, key) => {
      const value = half.valueOf(key);
      if (value === undefined) throw new Error(`interest in ${key} before its value`);
      if (value.kind === "IpSet" && !wanted(key)) sets.set(key, new Set(value.members));
      interest.set(node, (interest.get(node) ?? new Set()).add(key));
      calls.push(`start ${node} ${key}`);
    },
    onInterestStop: (node, key) => {
      if (half.valueOf(key) === undefined) throw new Error(`${key} was removed before the interest in it`);
      if (interest.get(node)?.delete(key) !== true) throw new Error(`${node} did not need ${key}`);
      if (!wanted(key)) sets.delete(key);
      calls.push(`stop ${node} ${key}`);
    },
  });
  return { half, interest, sets, calls };
}

function picture(half: ClusterHalf): unknown {
  return ["*", "n1", "n2"].map((node) => [...half.interestOf(node)].toSorted().map((key) => {
    const value = half.valueOf(key);
    return [key, value?.kind === "IpSet" ? { ...value, members: value.members.toSorted() } : value];
  }));
}

const web = selector('app == "web"');

describe("cluster half", () => {
  it("tells a node the policies of its endpoints, with their sets first", () => {
    const { half, calls } = relayed();
    for (const update of [ofProfile(profile("kns.a", {})), ofPolicy(policy("p", 'app == "web"', [rule({ selector: web })])), ofEndpoint(endpoint("x"))]) half.onUpdate(update);
    expect(calls.slice(-5)).toEqual([
      "value WorkloadEndpoint:wep/a/x/u", "start n1 Profile:kns.a", `start n1 IpSet:${web.id}`, "start n1 Policy:NetworkPolicy/a/p", "start n1 WorkloadEndpoint:wep/a/x/u",
    ]);
    expect(half.valueOf(`IpSet:${web.id}`)).toEqual({ kind: "IpSet", id: web.id, type: "net", members: ["10.0.0.1/32"] });
  });

  it.each([
    ["a pod", (app: string): ClusterUpdate => ofEndpoint(endpoint("x", { labels: { app } }))],
    ["a host", (app: string): ClusterUpdate => ofHostEndpoint(hostEndpoint("h", { labels: { app } }))],
  ])("a value is there in full when its change is told: labels of the endpoint of %s and of its profile", (_, of) => {
    const told: unknown[] = [];
    const half: ClusterHalf = createClusterHalf({
      onValueChange: (key) => {
        const value = half.valueOf(key);
        if (value?.kind === "WorkloadEndpoint" || value?.kind === "HostEndpoint") told.push(value.value.labels);
      }, onIpSetDelta() {}, onInterestStart() {}, onInterestStop() {},
    });
    const inherits = (update: ClusterUpdate): ClusterUpdate => put({ ...update, value: { ...update.value, profiles: ["kns.a"] } } as never);
    for (const update of [inherits(of("web")), ofProfile(profile("kns.a", { team: "red" })), inherits(of("db")), put({ kind: "Profile", id: "kns.a", value: null })]) half.onUpdate(update);
    expect(told).toEqual([{ app: "web" }, { app: "web", team: "red" }, { app: "db", team: "red" }, { app: "db" }]);
  });

  it("tells nobody of a node or a block of which nothing changed that nodes see", () => {
    const { half, calls } = relayed();
    const node = (labels: Record<string, string>): ClusterUpdate => put({ kind: "Node", id: "n1", value: { name: "n1", ipv4: "192.0.2.1/24" as Cidr, ipv6: null, asNumber: null, routeReflectorClusterId: null, vxlan: null, addresses: [], labels } });
    const block = put({ kind: "Block", id: "b", value: { cidr: "10.0.0.0/26" as Cidr, node: "n1", borrowed: [] } });
    for (const update of [node({}), block, node({}), block, node({ rack: "1" })]) half.onUpdate(update);
    expect(calls.filter((call) => call.startsWith("value"))).toEqual(["value Node:n1", "value Block:10.0.0.0/26", "value Node:n1"]);
  });

  it("keeps an endpoint whose profile is unknown out of every set and policy", () => {
    const { half } = relayed();
    half.onUpdate(ofPolicy(policy("p", "all()", [rule({ selector: selector('app != "db"') })])));
    half.onUpdate(ofEndpoint(endpoint("x")));
    expect([...half.interestOf("n1")]).toEqual(["WorkloadEndpoint:wep/a/x/u"]);
    half.onUpdate(ofProfile(profile("kns.a", { "pcns.team": "red" })));
    expect([...half.interestOf("n1")]).toHaveLength(4);
    expect(half.valueOf("WorkloadEndpoint:wep/a/x/u")).toMatchObject({ value: { labels: { app: "web", "pcns.team": "red" } } });
    half.onUpdate(put({ kind: "Profile", id: "kns.a", value: null }));
    expect([...half.interestOf("n1")]).toEqual(["WorkloadEndpoint:wep/a/x/u"]);
  });

  it("counts an address that two endpoints have once", () => {
    const { half, calls } = relayed();
    for (const update of [
      ofProfile(profile("kns.a", {})), ofPolicy(policy("p", "all()", [rule({ selector: web })])), ofEndpoint(endpoint("x")), ofEndpoint(endpoint("y")),
    ]) half.onUpdate(update);
    half.onUpdate(put({ kind: "WorkloadEndpoint", id: "wep/a/x/u", value: null }));
    expect(calls.filter((call) => call.startsWith("delta"))).toEqual([]);
    expect(half.valueOf(`IpSet:${web.id}`)).toMatchObject({ members: ["10.0.0.1/32"] });
  });

  it("needs the selector set beside a named port only when there are numeric ports too", () => {
    const { half } = relayed();
    const named = rule({}, { selector: web, namedPorts: ["http"] });
    const both = rule({}, { selector: web, namedPorts: ["http"], ports: [{ first: 80, last: 80 }] });
    for (const update of [ofProfile(profile("kns.a", {})), ofEndpoint(endpoint("x")), ofPolicy(policy("p", "all()", [named, both]))]) half.onUpdate(update);
    const value = half.valueOf("Policy:NetworkPolicy/a/p" as ObjectKey);
    const sides = value?.kind === "Policy" ? value.value.inbound.map(({ destination }) => destination) : [];
    expect(sides.map(({ ipSets, portSets }) => [ipSets.length, portSets.length])).toEqual([[0, 1], [1, 1]]);
    expect(half.valueOf(`IpSet:${sides[0]?.portSets[0] ?? ""}`)).toMatchObject({ type: "ip-port", members: ["10.0.0.1,6,8080"] });
  });

  it("a Service is its addresses with their ports as a destination, its addresses alone as a source", () => {
    const { half, calls } = relayed();
    const service = { namespace: "a", name: "web" };
    const slice = (id: string, addresses: string[], of = "web"): ClusterUpdate => put({ kind: "ServiceSlice", id, value: { id, service: { namespace: "a", name: of }, addresses, ports: [{ protocol: 6, port: 8080 }, { protocol: 17, port: 53 }] } });
    for (const update of [slice("a/1", ["10.0.0.1"]), ofProfile(profile("kns.a", {})), ofEndpoint(endpoint("x")), ofPolicy(policy("p", "all()", [rule({ service }, { service })]))]) half.onUpdate(update);
    const value = half.valueOf("Policy:NetworkPolicy/a/p" as ObjectKey);
    const [bound] = value?.kind === "Policy" ? value.value.inbound : [];
    const [sources, destinations] = [`IpSet:${bound?.source.ipSets[0] ?? ""}`, `IpSet:${bound?.destination.portSets[0] ?? ""}`] as ObjectKey[];
    const members = (): unknown => [sources, destinations].map((key) => half.valueOf(key as ObjectKey)).map((set) => (set?.kind === "IpSet" ? [set.type, set.members] : null));
    expect(members()).toEqual([["net", ["10.0.0.1/32"]], ["ip-port", ["10.0.0.1,6,8080", "10.0.0.1,17,53"]]]);
    half.onUpdate(slice("a/2", ["10.0.0.1", "10.0.0.2"]));
    half.onUpdate(slice("a/1", ["10.0.0.1"], "other"));
    expect(members()).toEqual([["net", ["10.0.0.1/32", "10.0.0.2/32"]], ["ip-port", ["10.0.0.1,6,8080", "10.0.0.1,17,53", "10.0.0.2,6,8080", "10.0.0.2,17,53"]]]);
    half.onUpdate(put({ kind: "ServiceSlice", id: "a/2", value: null }));
    expect(members()).toEqual([["net", []], ["ip-port", []]]);
    expect(calls.filter((call) => call.startsWith("delta svcnoport:")).map((call) => call.replace(/^delta \S+ /, ""))).toEqual(["+10.0.0.2/32 -", "+ -10.0.0.1/32 10.0.0.2/32"]);
  });

  it("a selector of Nodes is their addresses, follows their labels and is nothing to endpoints", () => {
    const { half, calls } = relayed();
    const node = (name: string, labels: Record<string, string>, ...addresses: string[]): ClusterUpdate => put({ kind: "Node", id: name, value: { name, labels, addresses, ipv4: null, ipv6: null, asNumber: null, routeReflectorClusterId: null, vxlan: null } });
    const sameText = rule({ selector: web }, { nodes: web });
    for (const update of [node("n1", { app: "web" }, "192.0.2.1", "fd00::1"), node("n2", {}, "192.0.2.2"), ofProfile(profile("kns.a", {})), ofEndpoint(endpoint("x")), ofPolicy(policy("p", "all()", [sameText]))]) half.onUpdate(update);
    const value = half.valueOf("Policy:NetworkPolicy/a/p" as ObjectKey);
    const [bound] = value?.kind === "Policy" ? value.value.inbound : [];
    const members = (): unknown => [bound?.source.ipSets[0], bound?.destination.ipSets[0]].map((id) => half.valueOf(`IpSet:${id ?? ""}`)).map((set) => (set?.kind === "IpSet" ? [set.type, set.members] : null));
    expect(members()).toEqual([["net", ["10.0.0.1/32"]], ["net", ["192.0.2.1/32", "fd00::1/128"]]]);
    half.onUpdate(node("n2", { app: "web" }, "192.0.2.2"));
    half.onUpdate(node("n1", { app: "web" }, "192.0.2.1"));
    half.onUpdate(node("n2", { app: "db" }, "192.0.2.2"));
    half.onUpdate(put({ kind: "Node", id: "n1", value: null }));
    expect(members()).toEqual([["net", ["10.0.0.1/32"]], ["net", []]]);
    expect(calls.filter((call) => call.startsWith("delta ")).map((call) => call.replace(/^delta (nodes:)\S+ /, "$1 "))).toEqual(["nodes: +192.0.2.2/32 -", "nodes: + -fd00::1/128", "nodes: + -192.0.2.2/32", "nodes: + -192.0.2.1/32"]);
  });

  it("fails closed on a named port without a protocol", () => {
    const { half } = relayed();
    const loose = (action: Rule["action"], destination: Partial<EntityMatch>): Rule => ({ ...rule({}, destination), action, protocol: null });
    half.onUpdate(ofPolicy(policy("p", "all()", [
      loose("Allow", { namedPorts: ["http"] }), loose("Allow", { notNamedPorts: ["http"] }), loose("Deny", { notNamedPorts: ["http"] }),
    ])));
    const value = half.valueOf("Policy:NetworkPolicy/a/p");
    expect(value?.kind === "Policy" ? value.value.inbound.map(({ action, destination }) => [action, destination.notPortSets]) : null).toEqual([["Deny", []]]);
  });

  it("moves a block with its affinity and drops it without one", () => {
    const { half, calls } = relayed();
    const block = (node: string | null): ClusterUpdate => put({ kind: "Block", id: "b", value: { cidr: "10.0.0.0/26" as Cidr, node, borrowed: [] } });
    for (const node of ["n1", "n2", null]) half.onUpdate(block(node));
    expect(calls).toEqual([
      "value Block:10.0.0.0/26", "start n1 Block:10.0.0.0/26", "stop n1 Block:10.0.0.0/26", "value Block:10.0.0.0/26",
      "start n2 Block:10.0.0.0/26", "stop n2 Block:10.0.0.0/26", "value Block:10.0.0.0/26",
    ]);
  });
});

it("has the same output after any way to the same objects, and its deltas lead there", () => {
  fc.assert(fc.property(fc.array(clusterChange, { maxLength: 40, size: "max" }), (updates) => {
    const { half, interest, sets } = relayed();
    const present = new Map<string, ClusterUpdate>();
    for (const update of updates) {
      half.onUpdate(update);
      present.delete(`${update.kind}:${update.id}`);
      if (update.value !== null) present.set(`${update.kind}:${update.id}`, update);
    }
    const fresh = relayed();
    for (const update of [...present.values()].toReversed()) fresh.half.onUpdate(update);
    expect(picture(half)).toEqual(picture(fresh.half));
    const { evaluations: _a, bitmaps: _c, ...stats } = half.stats();
    const { evaluations: _b, bitmaps: _d, ...freshStats } = fresh.half.stats();
    expect(stats).toEqual(freshStats);
    for (const node of ["n1", "n2"]) expect([...(interest.get(node) ?? []), ...(interest.get("*") ?? [])].toSorted()).toEqual([...half.interestOf(node)].toSorted());
    for (const [key, members] of sets) {
      const value = half.valueOf(key);
      expect([...members].toSorted()).toEqual(value?.kind === "IpSet" ? value.members.toSorted() : null);
    }
  }), { numRuns: 300 });
});
