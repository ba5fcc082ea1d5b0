import { selector, type EndpointId, type IpAddress, type Policy, type PolicyId, type ProfileId, type Tier } from "@calico/model";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createClusterHalf } from "./cluster-half.ts";
import { createEvaluator, type Packet } from "./evaluator.ts";
import type { IpSetId, NodeEndpoint, NodeHostEndpoint, NodePolicy, NodeRule, NodeUpdate, ObjectKey } from "./messages.ts";
import { createNodeHalf } from "./node-half.ts";
import type { Attachment, ClusterUpdate } from "./ports.ts";
import { FakeDataplane } from "./testing/dataplane.ts";
import {
  clusterChange, clusterNode, endpoint, hostEndpoint, nodePolicy as policyOfNodes, ofEndpoint, ofHostEndpoint, ofPolicy, ofProfile, policy, profile, rule, selectorTexts, servicePolicy, serviceSlice, stage,
} from "./testing/objects.ts";

const side = { nets: [], notNets: [], ports: [], notPorts: [], ipSets: [], notIpSets: [], portSets: [], notPortSets: [] };
const nodeRule = (action: NodeRule["action"], ...sets: string[]): NodeRule => ({
  action, ipVersion: 0, protocol: 6, notProtocol: null, icmp: null, notIcmp: null, source: { ...side, ipSets: sets as IpSetId[] }, destination: side, index: 0,
});
const nodePolicy = (name: string, applies: string, inbound: readonly NodeRule[], over: Partial<NodePolicy> = {}): NodeUpdate => ({
  kind: "Policy",
  value: {
    id: name as PolicyId, kind: "NetworkPolicy", namespace: "a", name, tier: "default", order: null, selector: applies, ingress: true, egress: false, inbound, outbound: [],
    doNotTrack: false, preDnat: false, applyOnForward: false, revision: "1", ...over,
  },
});
const nodeEndpoint = (pod: string, over: Partial<NodeEndpoint> = {}): NodeUpdate => ({
  kind: "WorkloadEndpoint",
  value: { id: `wep/a/${pod}` as EndpointId, uid: `uid-${pod}`, namespace: "a", pod, interfaceName: `cali${pod}`, addresses: ["10.0.0.1" as IpAddress], labels: { app: "web" }, profiles: ["kns.a" as ProfileId], ports: [], revision: "1", ...over },
});
const nodeHost = (name: string, over: Partial<NodeHostEndpoint> = {}): NodeUpdate => ({
  kind: "HostEndpoint", value: { id: `hep/${name}` as EndpointId, name, interfaceName: "eth0", expectedIps: [], labels: { app: "web" }, profiles: [], ports: [], revision: "1", ...over },
});
const nodeProfile: NodeUpdate = { kind: "Profile", value: { id: "kns.a" as ProfileId, inbound: [nodeRule("Allow")], outbound: [] } };
const set = (id: string, ...members: string[]): NodeUpdate => ({ kind: "IpSet", id: id as IpSetId, type: "net", members });
const attachment = (pod: string, over: Partial<Attachment> = {}): Attachment => ({ uid: `uid-${pod}`, namespace: "a", pod, containerId: "c1", interfaceName: `cali${pod}`, interfaceIndex: 7, addresses: ["10.0.0.9" as IpAddress], ...over });

function started(...updates: NodeUpdate[]): { half: ReturnType<typeof createNodeHalf>; dataplane: FakeDataplane; tell: (...more: NodeUpdate[]) => void } {
  const dataplane = new FakeDataplane();
  const half = createNodeHalf({ node: "n1", sink: dataplane });
  const tell = (...more: NodeUpdate[]): void => {
    for (const update of more) half.onUpdate(update);
    half.flush();
  };
  half.onSnapshotStart();
  for (const update of updates) half.onUpdate(update);
  half.onInSync();
  half.flush();
  return { half, dataplane, tell };
}

describe("node half", () => {
  it("reports nothing before the first snapshot is complete", () => {
    const dataplane = new FakeDataplane();
    const half = createNodeHalf({ node: "n1", sink: dataplane });
    for (const update of [nodeProfile, nodeEndpoint("x")]) half.onUpdate(update);
    half.flush();
    expect(dataplane.calls).toBe(0);
    half.onInSync();
    half.flush();
    expect([...dataplane.endpoints.keys()]).toEqual(["wep/a/x"]);
  });

  it("puts policies into the order of their tiers, orders and names", () => {
    const tier = (name: string, order: number | null): NodeUpdate => ({ kind: "Tier", value: { name, order, defaultAction: "Deny" } satisfies Tier });
    const { dataplane, tell } = started(
      nodeProfile, nodeEndpoint("x"), tier("late", null), tier("early", 1), nodePolicy("b", "all()", [], { order: 5 }), nodePolicy("a", "all()", [], { order: 5 }), nodePolicy("z", "all()", [], { order: 1 }),
      nodePolicy("last", "all()", []), nodePolicy("e", "all()", [], { tier: "early", egress: true, ingress: false }), nodePolicy("l", "all()", [], { tier: "late" }), nodePolicy("other", "app == 'db'", []),
    );
    expect(dataplane.endpoints.get("wep/a/x" as EndpointId)?.tiers).toEqual([
      { name: "early", defaultAction: "Deny", ingress: [], egress: ["e"] }, { name: "late", defaultAction: "Deny", ingress: ["l"], egress: [] }, { name: "default", defaultAction: "Deny", ingress: ["z", "a", "b", "last"], egress: [] },
    ]);
    expect(dataplane.policies.has("other" as PolicyId)).toBe(false);
    tell(nodePolicy("z", "all()", [], { order: 9 }), { kind: "Remove", of: "Tier", id: "late" });
    expect(dataplane.endpoints.get("wep/a/x" as EndpointId)?.tiers.map(({ name, ingress }) => [name, ingress])).toEqual([["early", []], ["default", ["a", "b", "z", "last"]], ["late", ["l"]]]);
  });

  it("reads a selector that is longer than what people may write, and gives the policy to nobody else", () => {
    const long = selector(`app in {${Array.from({ length: 180 }, (_, i) => `'${i}'`).join(",")}}`).text;
    expect(long.length).toBeGreaterThan(1_024);
    const { dataplane } = started(nodeProfile, nodeEndpoint("x"), nodeEndpoint("y", { labels: { app: "7" } }), nodePolicy("p", long, [nodeRule("Allow")]));
    const tiersOf = (pod: string): unknown => dataplane.endpoints.get(`wep/a/${pod}` as EndpointId)?.tiers;
    expect([tiersOf("x"), tiersOf("y")]).toEqual([[], [{ name: "default", defaultAction: "Deny", ingress: ["p"], egress: [] }]]);
  });

  it("closes with a policy whose selector it cannot read for everybody, and opens for nobody", () => {
    const rules = (["Log", "Allow", "Pass", "Deny"] as const).map((action, index) => ({ ...nodeRule(action), index }));
    const { dataplane, tell } = started(nodeProfile, nodeEndpoint("x"), nodePolicy("p", "app matches 'w.*'", rules, { egress: true, outbound: rules }));
    const inForce = (): unknown => [dataplane.endpoints.get("wep/a/x" as EndpointId)?.tiers, [dataplane.policies.get("p" as PolicyId)].map((each) => [each?.inbound, each?.outbound])];
    const tiers = [{ name: "default", defaultAction: "Deny", ingress: ["p"], egress: ["p"] }];
    const denying = [{ ...nodeRule("Deny"), index: 2 }, { ...nodeRule("Deny"), index: 3 }];
    expect(inForce()).toEqual([tiers, [[denying, denying]]]);
    tell(nodePolicy("p", "has(app)", rules, { egress: true, outbound: rules }));
    expect(inForce()).toEqual([tiers, [[rules, rules]]]);
  });

  it("closes rules whose set is missing until it arrives, and again when it goes", () => {
    const { dataplane, tell, half } = started(nodeProfile, nodeEndpoint("x"), nodePolicy("p", "all()", [nodeRule("Allow", "s:1"), nodeRule("Deny", "s:1")]));
    const actions = (): unknown => dataplane.policies.get("p" as PolicyId)?.inbound.map(({ action, source }) => [action, source.ipSets]);
    expect(actions()).toEqual([["Deny", []]]);
    expect(half.waitingFor("uid-x")).toBe("set s:1 of policy p has not arrived");
    tell(set("s:1", "10.0.0.2/32"));
    expect(actions()).toEqual([["Allow", ["s:1"]], ["Deny", ["s:1"]]]);
    expect(half.waitingFor("uid-x")).toBeNull();
    tell({ kind: "Remove", of: "IpSet", id: "s:1" });
    expect(actions()).toEqual([["Deny", []]]);
    expect(dataplane.sets.size).toBe(0);
  });

  it("keeps an endpoint out until its profiles are there, and says so", () => {
    const { dataplane, tell, half } = started(nodeEndpoint("x"));
    expect(dataplane.endpoints.size).toBe(0);
    expect(half.waitingFor("uid-x")).toBe("profile kns.a of pod a/x has not arrived (is its namespace or service account known?)");
    tell(nodeProfile);
    expect(dataplane.endpoints.size).toBe(1);
    tell({ kind: "Remove", of: "Profile", id: "kns.a" });
    expect(dataplane.endpoints.size).toBe(0);
  });

  it("joins the interface with the pod by uid, whichever comes first; another container's detach changes nothing", () => {
    const { dataplane, half, tell } = started(nodeProfile);
    half.onAttach(attachment("x"));
    expect(half.waitingFor("uid-x")).toBe("the pod with uid uid-x was not announced by typha yet");
    tell(nodeEndpoint("x", { addresses: [] }));
    expect(dataplane.endpoints.get("wep/a/x" as EndpointId)?.addresses).toEqual(["10.0.0.9"]);
    half.onDetach("uid-x", "another");
    half.flush();
    expect(dataplane.endpoints.size).toBe(1);
    half.onDetach("uid-x", "c1");
    half.flush();
    expect(dataplane.endpoints.size).toBe(0);
  });

  it("an interface that was taken away leaves nothing behind, whatever addresses the API still shows", () => {
    const { dataplane, half, tell } = started(nodeProfile, nodeEndpoint("x"));
    expect(dataplane.endpoints.size).toBe(1);
    half.onAttach(attachment("x"));
    half.onDetach("uid-x", "c1");
    half.flush();
    expect([dataplane.endpoints.size, half.waitingFor("uid-x")]).toEqual([0, "the interface of pod a/x was taken away"]);
    tell(nodeEndpoint("x", { labels: { changed: "yes" } }));
    expect(dataplane.endpoints.size).toBe(0);
    half.onAttach(attachment("x", { containerId: "c2" }));
    half.flush();
    expect(dataplane.endpoints.size).toBe(1);
  });

  it("forgets in a new snapshot what is not repeated", () => {
    const { dataplane, half } = started(nodeProfile, nodeEndpoint("x"), nodeEndpoint("y"), nodePolicy("p", "all()", [nodeRule("Allow", "s:1")]), set("s:1", "10.0.0.2/32"));
    half.onSnapshotStart();
    for (const update of [nodeProfile, nodeEndpoint("x")]) half.onUpdate(update);
    half.onInSync();
    half.flush();
    expect([[...dataplane.endpoints.keys()], dataplane.policies.size, dataplane.sets.size]).toEqual([["wep/a/x"], 0, 0]);
  });

  it("says nothing to the dataplane when a snapshot repeats everything", () => {
    const everything = [nodeProfile, nodeEndpoint("x"), nodePolicy("p", "all()", [nodeRule("Allow", "s:1")]), set("s:1", "10.0.0.2/32")];
    const { dataplane, half } = started(...everything);
    const { calls } = dataplane;
    half.onSnapshotStart();
    for (const update of everything.toReversed()) half.onUpdate(update);
    half.onInSync();
    half.flush();
    expect(dataplane.calls).toBe(calls);
  });

  it("gives the dataplane one member when one member changed", () => {
    const { dataplane, half } = started(nodeProfile, nodeEndpoint("x"), nodePolicy("p", "all()", [nodeRule("Allow", "s:1")]), set("s:1", ...Array.from({ length: 1_000 }, (_, i) => `10.1.${i >> 8}.${i & 255}/32`)));
    const { calls } = dataplane;
    half.onUpdate({ kind: "IpSetDelta", id: "s:1" as IpSetId, added: ["10.2.0.1/32", "10.2.0.2/32"], removed: ["10.1.0.1/32"] });
    half.onUpdate({ kind: "IpSetDelta", id: "s:1" as IpSetId, added: ["10.1.0.1/32"], removed: ["10.2.0.1/32"] });
    half.flush();
    expect(dataplane.calls).toBe(calls + 1);
    expect(dataplane.sets.get("s:1" as IpSetId)?.members.size).toBe(1_001);
  });
});

const updates = fc.oneof(
  fc.tuple(fc.constantFrom("s:1", "s:2"), fc.subarray(["10.0.0.1/32", "10.0.0.2/32", "10.0.0.3/32"])).map(([id, members]) => set(id, ...members)),
  fc.tuple(fc.constantFrom("s:1", "s:2"), fc.subarray(["10.0.0.1/32", "10.0.0.4/32"]), fc.subarray(["10.0.0.2/32", "10.0.0.3/32"])).map(([id, added, removed]): NodeUpdate => ({ kind: "IpSetDelta", id: id as IpSetId, added, removed })),
  fc.tuple(fc.constantFrom("p", "q"), fc.constantFrom(...selectorTexts), fc.array(fc.tuple(fc.constantFrom("Allow", "Deny", "Pass"), fc.subarray(["s:1", "s:2", "s:3"])).map(([action, sets]) => nodeRule(action as "Allow", ...sets)), { maxLength: 2 }), fc.record({ order: fc.constantFrom(null, 1, 2), tier: fc.constantFrom("default", "t"), egress: fc.boolean() }), stage)
    .map(([name, applies, rules, over, at]) => nodePolicy(name, applies, rules, { ...over, ...at })),
  fc.tuple(fc.constantFrom("h", "i"), fc.record({ labels: fc.record({ app: fc.constantFrom("web", "db"), team: fc.constantFrom("red") }, { requiredKeys: [] }), profiles: fc.subarray(["kns.a", "ksa.a.s"]) as unknown as fc.Arbitrary<ProfileId[]>, interfaceName: fc.constantFrom("*", "eth0") }))
    .map(([name, over]) => nodeHost(name, over)),
  fc.tuple(fc.constantFrom("kns.a", "ksa.a.s"), fc.subarray(["s:1"])).map(([id, sets]): NodeUpdate => ({ kind: "Profile", value: { id: id as ProfileId, inbound: [nodeRule("Allow", ...sets)], outbound: [] } })),
  fc.tuple(fc.constantFrom("x", "y"), fc.record({ labels: fc.record({ app: fc.constantFrom("web", "db"), team: fc.constantFrom("red") }, { requiredKeys: [] }), profiles: fc.subarray(["kns.a", "ksa.a.s"]) as unknown as fc.Arbitrary<ProfileId[]>, uid: fc.constantFrom("u1", "u2"), addresses: fc.subarray(["10.0.0.1"]) as unknown as fc.Arbitrary<IpAddress[]> }))
    .map(([pod, over]) => nodeEndpoint(pod, { ...over, uid: `${pod}-${over.uid}` })),
  fc.constantFrom("default", "t").map((name): NodeUpdate => ({ kind: "Tier", value: { name, order: 1, defaultAction: "Pass" } })),
  fc.tuple(fc.constantFrom("IpSet:s:1", "IpSet:s:2", "Policy:p", "Policy:q", "Profile:kns.a", "Profile:ksa.a.s", "WorkloadEndpoint:wep/a/x", "WorkloadEndpoint:wep/a/y", "HostEndpoint:hep/h", "HostEndpoint:hep/i", "Tier:t"))
    .map(([key]): NodeUpdate => ({ kind: "Remove", of: key.slice(0, key.indexOf(":")) as "IpSet", id: key.slice(key.indexOf(":") + 1) })),
);
const step = fc.oneof(
  { weight: 8, arbitrary: updates.map((update) => ({ do: "tell" as const, update })) },
  { weight: 3, arbitrary: fc.constant({ do: "flush" as const }) },
  { weight: 1, arbitrary: fc.tuple(fc.constantFrom("x", "y"), fc.constantFrom("u1", "u2"), fc.boolean()).map(([pod, uid, on]) => ({ do: "interface" as const, pod, uid: `${pod}-${uid}`, on })) },
);

it("gives the dataplane the same in the end whatever the way, and never something that refers to what is not there", () => {
  fc.assert(fc.property(fc.array(step, { maxLength: 50, size: "max" }), (steps) => {
    const { half, dataplane } = started();
    const told = new Map<string, NodeUpdate>();
    const interfaces = new Map<string, string>();
    /** Pods that had an interface and lost it: as long as they are the same pods. */
    const detached = new Map<string, string>();
    const isTold = (uid: string): boolean => [...told.values()].some((update) => update.kind === "WorkloadEndpoint" && update.value.uid === uid);
    for (const each of steps) {
      if (each.do === "flush") half.flush();
      else if (each.do === "interface") {
        if (each.on) half.onAttach(attachment(each.pod, { uid: each.uid }));
        else half.onDetach(each.uid, "c1");
        if (!each.on && interfaces.has(each.uid) && isTold(each.uid)) detached.set(each.uid, each.pod);
        if (each.on) detached.delete(each.uid);
        if (each.on) interfaces.set(each.uid, each.pod);
        else interfaces.delete(each.uid);
      } else {
        half.onUpdate(each.update);
        remember(told, each.update);
        for (const uid of detached.keys()) if (!isTold(uid)) detached.delete(uid);
      }
    }
    half.flush();
    const fresh = started(...[...told.values()].toReversed());
    for (const [uid, pod] of [...interfaces, ...detached]) fresh.half.onAttach(attachment(pod, { uid }));
    for (const uid of detached.keys()) fresh.half.onDetach(uid, "c1");
    fresh.half.flush();
    expect(dataplane.picture()).toEqual(fresh.dataplane.picture());
  }), { numRuns: 500 });
});

/** What a client that starts now would be told. */
function remember(told: Map<string, NodeUpdate>, update: NodeUpdate): void {
  if (update.kind === "Remove") return void told.delete(`${update.of}:${update.id}`);
  if (update.kind === "IpSetDelta") {
    const before = told.get(`IpSet:${update.id}`);
    if (before?.kind !== "IpSet") return;
    const members = new Set(before.members);
    for (const member of update.removed) members.delete(member);
    for (const member of update.added) members.add(member);
    return void told.set(`IpSet:${update.id}`, { ...before, members: [...members] });
  }
  if (update.kind === "IpSet") return void told.set(`IpSet:${update.id}`, update);
  if (update.kind === "Tier") return void told.set(`Tier:${update.value.name}`, update);
  if (update.kind === "Policy" || update.kind === "Profile" || update.kind === "WorkloadEndpoint" || update.kind === "HostEndpoint") told.set(`${update.kind}:${update.value.id}`, update);
}

const V4 = ["10.0.0.1", "10.0.0.2", "192.168.1.1"];
const V6 = ["fd00::1", "fd00::2"];
/** Both ends are of one family; ICMP has a type and a code. */
const packetWith = (sourcePorts: readonly number[], ports: readonly number[]): fc.Arbitrary<Packet> => fc.constantFrom(V4, V4, V6).chain((addresses) => {
  const end = (of: readonly number[]): fc.Arbitrary<Packet["source"]> => fc.record({ address: fc.constantFrom(...addresses) as unknown as fc.Arbitrary<IpAddress>, port: fc.constantFrom(...of) });
  const transport: fc.Arbitrary<Packet> = fc.record({ protocol: fc.constantFrom(6, 17), source: end(sourcePorts), destination: end(ports) });
  const icmp: fc.Arbitrary<Packet> = fc.record({ protocol: fc.constant(addresses === V4 ? 1 : 58), source: end([0]), destination: end([0]), icmp: fc.constantFrom({ type: 8, code: 0 }, { type: 8, code: 1 }, { type: 128, code: 0 }) });
  return fc.oneof({ weight: 5, arbitrary: transport }, { weight: 1, arbitrary: icmp });
});
const packet = packetWith([80, 8080, 53], [80, 85, 8080, 53]);

/** With ports that are always open, on either side. */
const hostPacket = packetWith([40_000, 22, 53, 6443], [80, 8080, 22, 53, 68, 179]);

/** Both halves and the evaluator on the same changes: every packet, at every endpoint of n1, in both directions. How many verdicts were compared. */
function compareVerdicts(changes: readonly ClusterUpdate[], packets: readonly Packet[]): number {
  let judged = 0;
  const dataplane = new FakeDataplane();
  const node = createNodeHalf({ node: "n1", sink: dataplane });
  node.onInSync();
  const valueOf = (key: ObjectKey): NodeUpdate => {
    const value = cluster.valueOf(key);
    if (value === undefined) throw new Error(`${key} has no value`);
    return value;
  };
  const wanted = new Set<ObjectKey>();
  const cluster: ReturnType<typeof createClusterHalf> = createClusterHalf({
    onValueChange: (key) => void (wanted.has(key) && node.onUpdate(valueOf(key))),
    onIpSetDelta: (id, added, removed) => void (wanted.has(`IpSet:${id}`) && node.onUpdate({ kind: "IpSetDelta", id, added, removed })),
    onInterestStart(name, key) {
      if (name !== "n1" && name !== "*") return;
      wanted.add(key);
      node.onUpdate(valueOf(key));
    },
    onInterestStop(name, key) {
      if (name !== "n1" && name !== "*") return;
      wanted.delete(key);
      node.onUpdate({ kind: "Remove", of: key.slice(0, key.indexOf(":")) as "Policy", id: key.slice(key.indexOf(":") + 1) });
    },
  });
  const present = new Map<string, ClusterUpdate>();
  for (const change of changes) {
    cluster.onUpdate(change);
    present.delete(`${change.kind}:${change.id}`);
    if (change.value !== null) present.set(`${change.kind}:${change.id}`, change);
    node.flush();
  }
  const all = <K extends ClusterUpdate["kind"]>(kind: K): NonNullable<Extract<ClusterUpdate, { kind: K }>["value"]>[] => [...present.values()].flatMap((change) => (change.kind === kind ? [change.value as never] : []));
  const evaluator = createEvaluator({
    policies: all("Policy"), tiers: all("Tier"), profiles: all("Profile"), endpoints: all("WorkloadEndpoint"), hostEndpoints: all("HostEndpoint"), networkSets: all("NetworkSet"), serviceSlices: all("ServiceSlice"), nodes: all("Node"),
  });
  for (const endpoint of all("WorkloadEndpoint")) {
    for (const each of packets) {
      for (const direction of ["ingress", "egress"] as const) {
        const allowed = dataplane.allows(endpoint.id, direction, each);
        if (endpoint.node !== "n1") expect(allowed).toBeNull();
        if (allowed === null) continue;
        judged += 1;
        expect({ allowed, endpoint: endpoint.id, direction, packet: each }).toEqual({ allowed: evaluator.verdict(endpoint, direction, each).allowed, endpoint: endpoint.id, direction, packet: each });
      }
    }
  }
  for (const endpoint of all("HostEndpoint")) {
    for (const each of packets) {
      for (const path of ["to host", "from host", "forwarded in", "forwarded out"] as const) {
        const allowed = dataplane.allowsHost(endpoint.id, path, each);
        expect([endpoint.id, allowed === null]).toEqual([endpoint.id, endpoint.node !== "n1"]);
        if (allowed === null) continue;
        judged += 1;
        expect({ allowed, endpoint: endpoint.id, path, packet: each }).toEqual({ allowed: evaluator.hostVerdict(endpoint, path, each).allowed, endpoint: endpoint.id, path, packet: each });
      }
    }
  }
  return judged;
}

it("both halves together judge packets as the evaluator does", () => {
  let judged = 0;
  fc.assert(fc.property(fc.array(clusterChange, { maxLength: 30, size: "max" }), fc.array(packet, { minLength: 1, maxLength: 8 }), (changes, packets) => {
    judged += compareVerdicts(changes, packets);
  }), { numRuns: 1_500 });
  expect(judged).toBeGreaterThan(1_000);
}, 30_000);

it("both halves together judge what hosts send, receive and forward as the evaluator does", () => {
  const hosts = [ofProfile(profile("kns.a", {})), ofEndpoint(endpoint("x")), ofHostEndpoint(hostEndpoint("h"))];
  const stagedPolicy = fc.tuple(fc.constantFrom("p", "q", "r"), fc.constantFrom(...selectorTexts), fc.array(fc.tuple(fc.constantFrom("Allow", "Deny", "Pass"), fc.constantFrom(null, 6, 17), fc.option(fc.constantFrom(...selectorTexts).map(selector)))
    .map(([action, protocol, from]) => ({ ...rule({ selector: from }), action: action as "Allow", protocol })), { maxLength: 2 }), fc.constantFrom("default", "t"), fc.boolean(), stage)
    .map(([name, applies, rules, tier, egress, at]) => ofPolicy({ ...policy(name, applies, rules), outbound: rules, egress, tier, ...at }));
  let judged = 0;
  fc.assert(fc.property(fc.array(fc.oneof({ weight: 3, arbitrary: stagedPolicy }, { weight: 1, arbitrary: clusterChange }), { maxLength: 20, size: "max" }), fc.array(hostPacket, { minLength: 1, maxLength: 8 }), (changes, packets) => {
    judged += compareVerdicts([...hosts, ...changes], packets);
  }), { numRuns: 500 });
  expect(judged).toBeGreaterThan(5_000);
}, 30_000);

it("both halves together judge rules that name Services as the evaluator does", () => {
  const pod = [ofProfile(profile("kns.a", {})), ofEndpoint(endpoint("x"))];
  let judged = 0;
  fc.assert(fc.property(fc.array(fc.oneof(serviceSlice, servicePolicy), { maxLength: 12 }), fc.array(packet, { minLength: 1, maxLength: 8 }), (changes, packets) => {
    judged += compareVerdicts([...pod, ...changes], packets);
  }), { numRuns: 500 });
  expect(judged).toBeGreaterThan(1_000);
});

it("both halves together judge rules about Nodes as the evaluator does", () => {
  const pod = [ofProfile(profile("kns.a", {})), ofEndpoint(endpoint("x"))];
  let judged = 0;
  fc.assert(fc.property(fc.array(fc.oneof(clusterNode, policyOfNodes), { maxLength: 12 }), fc.array(packet, { minLength: 1, maxLength: 8 }), (changes, packets) => {
    judged += compareVerdicts([...pod, ...changes], packets);
  }), { numRuns: 500 });
  expect(judged).toBeGreaterThan(1_000);
});

describe("evaluator", () => {
  it("skips a tier without a policy for the direction and ends others with their default action", () => {
    const world = { profiles: [], networkSets: [], serviceSlices: [], nodes: [], endpoints: [], tiers: [{ name: "t", order: 1, defaultAction: "Deny" as const }] };
    const base: Policy = { id: "p" as PolicyId, kind: "GlobalNetworkPolicy", namespace: "", name: "p", tier: "t", order: null, selector: selector("all()"), ingress: true, egress: false, inbound: [], outbound: [], doNotTrack: false, preDnat: false, applyOnForward: false, revision: "" };
    const evaluator = createEvaluator({ ...world, policies: [base] });
    const pod = { id: "e" as EndpointId, uid: "", node: "n1", namespace: "a", pod: "x", interfaceName: "", addresses: [], labels: {}, profiles: [], ports: [], revision: "" };
    const tcp: Packet = { protocol: 6, source: { address: "10.0.0.1" as IpAddress, port: 1 }, destination: { address: "10.0.0.2" as IpAddress, port: 80 } };
    expect(evaluator.verdict(pod, "ingress", tcp)).toEqual({ allowed: false, by: { kind: "end of tier", tier: "t" } });
    expect(evaluator.verdict(pod, "egress", tcp)).toEqual({ allowed: false, by: { kind: "no profile" } });
  });
});
