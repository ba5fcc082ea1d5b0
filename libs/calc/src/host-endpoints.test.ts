import { builtInProfiles, selector, type Cidr, type EndpointId, type IpAddress, type Policy, type PolicyId, type Profile, type ProfileId, type Rule } from "@calico/model";
import { describe, expect, it } from "vitest";
import { createClusterHalf } from "./cluster-half.ts";
import { createEvaluator, hostEndpointOf, type HostPath, type Packet, type Verdict } from "./evaluator.ts";
import { defaultFailsafes } from "./failsafes.ts";
import type { NodeHostEndpoint, NodePolicy, NodeUpdate } from "./messages.ts";
import { createNodeHalf } from "./node-half.ts";
import type { ClusterUpdate } from "./ports.ts";
import { FakeDataplane } from "./testing/dataplane.ts";
import { endpoint, hostEndpoint, ofEndpoint, ofHostEndpoint, ofPolicy, ofProfile, policy, profile, put, rule } from "./testing/objects.ts";

const HOST = "192.168.1.1" as IpAddress;
const OUTSIDE = "203.0.113.9" as IpAddress;
const to = (port: number, over: { protocol?: number; from?: number; source?: string } = {}): Packet => ({ protocol: over.protocol ?? 6, source: { address: (over.source ?? OUTSIDE) as IpAddress, port: over.from ?? 40_000 }, destination: { address: HOST, port } });
const from = (port: number, over: { protocol?: number; from?: number } = {}): Packet => ({ protocol: over.protocol ?? 6, source: { address: HOST, port: over.from ?? 40_000 }, destination: { address: OUTSIDE, port } });

const onPorts = (action: Rule["action"], ...ports: readonly number[]): Rule => ({ ...rule({}, { ports: ports.map((port) => ({ first: port, last: port })) }), action });
const gnp = (name: string, rules: readonly Rule[], over: Partial<Policy> = {}): Policy => ({ ...policy(name, "all()", rules), id: `GlobalNetworkPolicy//${name}` as PolicyId, kind: "GlobalNetworkPolicy", namespace: "", outbound: rules, egress: true, ...over });
const untracked = { doNotTrack: true, applyOnForward: true };
const preDnat = { preDnat: true, applyOnForward: true, egress: false, outbound: [] };
const onForward = { applyOnForward: true };

const host = hostEndpoint("h");
const open = hostEndpoint("h", { profiles: builtInProfiles.map(({ id }) => id) });
const judge = (policies: readonly Policy[], path: HostPath, packet: Packet, { its = host, profiles = builtInProfiles, translated }: { its?: typeof host; profiles?: readonly Profile[]; translated?: Packet } = {}): Verdict =>
  createEvaluator({ policies, tiers: [{ name: "default", order: 1, defaultAction: "Deny" }], profiles, endpoints: [], hostEndpoints: [its], networkSets: [], serviceSlices: [], nodes: [] }).hostVerdict(its, path, packet, translated);
const by = (name: string, index = 0): unknown => ({ kind: "policy", tier: "default", policy: `GlobalNetworkPolicy//${name}`, rule: index });

describe("rule 18: what a host endpoint allows", () => {
  const deny = (kind: string): unknown => ({ allowed: false, by: { kind } });
  const endOfTier = { allowed: false, by: { kind: "end of tier", tier: "default" } };
  const forwarded = { allowed: true, by: { kind: "forwarded" } };
  it.each<[string, readonly Policy[], HostPath, Packet, unknown]>([
    ["denies all to the host without policy and profile", [], "to host", to(80), deny("no profile")],
    ["denies all from the host without policy and profile", [], "from host", from(80), deny("no profile")],
    ["allows what is forwarded without a policy for that", [gnp("p", [onPorts("Deny", 80)])], "forwarded in", to(80), forwarded],
    ["allows what a normal policy allows, to the host", [gnp("p", [onPorts("Allow", 80)])], "to host", to(80), { allowed: true, by: by("p") }],
    ["denies the rest of it", [gnp("p", [onPorts("Allow", 80)])], "to host", to(81), endOfTier],
    ["has the same policies for what the host sends", [gnp("p", [onPorts("Allow", 80)])], "from host", from(81), endOfTier],
    ["skips a tier whose policies are for the other direction", [gnp("p", [onPorts("Allow", 80)], { egress: false })], "from host", from(80), deny("no profile")],
    ["asks applyOnForward policies about what is forwarded", [gnp("p", [onPorts("Deny", 80)], onForward)], "forwarded in", to(80), { allowed: false, by: by("p") }],
    ["ends their tier with its default action", [gnp("p", [onPorts("Allow", 80)], onForward)], "forwarded out", from(81), endOfTier],
    ["lets pass on what they pass on: there is no profile for forwarded traffic", [gnp("p", [onPorts("Pass", 80)], onForward)], "forwarded in", to(80), forwarded],
    ["asks applyOnForward policies about local traffic as well", [gnp("p", [onPorts("Allow", 80)], onForward)], "to host", to(80), { allowed: true, by: by("p") }],
    ["asks untracked policies first", [gnp("p", [onPorts("Allow", 80)]), gnp("u", [onPorts("Deny", 80)], untracked)], "to host", to(80), { allowed: false, by: by("u") }],
    ["asks nobody else about what they allow", [gnp("p", [onPorts("Deny", 80)]), gnp("d", [onPorts("Deny", 80)], preDnat), gnp("u", [onPorts("Allow", 80)], untracked)], "to host", to(80), { allowed: true, by: by("u") }],
    ["denies nothing at the end of untracked policies", [gnp("p", [onPorts("Allow", 81)]), gnp("u", [onPorts("Allow", 80)], untracked)], "to host", to(81), { allowed: true, by: by("p") }],
    ["asks untracked policies about what the host sends", [gnp("u", [onPorts("Deny", 80)], untracked)], "from host", from(80), { allowed: false, by: by("u") }],
    ["asks them about what comes in to be forwarded", [gnp("u", [onPorts("Deny", 80)], untracked)], "forwarded in", to(80), { allowed: false, by: by("u") }],
    ["does not ask them about what goes out forwarded: that is tracked", [gnp("u", [onPorts("Deny", 80)], untracked)], "forwarded out", from(80), forwarded],
    ["asks preDNAT policies before normal ones", [gnp("p", [onPorts("Allow", 80)]), gnp("d", [onPorts("Deny", 80)], preDnat)], "to host", to(80), { allowed: false, by: by("d") }],
    ["asks nobody else about what these allow", [gnp("p", [onPorts("Deny", 80)], onForward), gnp("d", [onPorts("Allow", 80)], preDnat)], "forwarded in", to(80), { allowed: true, by: by("d") }],
    ["denies nothing at the end of preDNAT policies", [gnp("d", [onPorts("Allow", 80)], preDnat)], "forwarded in", to(81), forwarded],
    ["has no preDNAT policies for what goes out", [gnp("d", [onPorts("Deny", 80)], { ...preDnat, egress: true, outbound: [onPorts("Deny", 80)] })], "from host", from(80), deny("no profile")],
  ])("%s", (_, policies, path, packet, verdict) => expect(judge(policies, path, packet)).toEqual(verdict));

  it("allows both ways by the profile that always exists, when no policy decides", () => {
    const byProfile = { allowed: true, by: { kind: "profile", profile: "projectcalico-default-allow", rule: 0 } };
    expect([judge([], "to host", to(80), { its: open }), judge([], "from host", from(80), { its: open })]).toEqual([byProfile, byProfile]);
    expect(judge([gnp("p", [onPorts("Allow", 81)])], "to host", to(80), { its: open })).toEqual(endOfTier);
  });

  it("a profile that is not known opens nothing, and the policies of its own labels stay", () => {
    const its = hostEndpoint("h", { profiles: ["kns.gone" as ProfileId] });
    expect(judge([], "to host", to(80), { its })).toEqual(deny("no profile"));
    expect(judge([gnp("p", [onPorts("Allow", 80)], { selector: selector('app == "web"') })], "to host", to(80), { its })).toEqual({ allowed: true, by: by("p") });
    expect(judge([gnp("p", [onPorts("Allow", 80)], { selector: selector('pcns.team == "red"') })], "to host", to(80), { its })).toEqual(deny("no profile"));
    const red = { ...profile("kns.gone", { "pcns.team": "red" }), inbound: [], outbound: [] };
    expect(judge([gnp("p", [onPorts("Allow", 80)], { selector: selector('pcns.team == "red"') })], "to host", to(80), { its, profiles: [red] })).toEqual({ allowed: true, by: by("p") });
  });

  it("judges a translated destination by preDNAT policies as it was written, by the others as it became", () => {
    const written = to(30_080);
    const translated: Packet = { ...written, destination: { address: "10.0.0.1" as IpAddress, port: 8080 } };
    const deny30080 = gnp("d", [onPorts("Deny", 30_080)], preDnat);
    expect(judge([deny30080], "forwarded in", written, { translated })).toEqual({ allowed: false, by: by("d") });
    expect(judge([gnp("p", [onPorts("Deny", 30_080), onPorts("Allow", 8080)], onForward)], "forwarded in", written, { translated })).toMatchObject({ allowed: true });
  });
});

describe("rule 18: failsafes", () => {
  const denyAll = [gnp("p", [{ ...rule({}), action: "Deny", protocol: null }]), gnp("d", [{ ...rule({}), action: "Deny", protocol: null }], preDnat), gnp("u", [{ ...rule({}), action: "Deny", protocol: null }], untracked)];
  const failsafe = { allowed: true, by: { kind: "failsafe" } };
  const allowedPorts = (path: HostPath, packet: (port: number, over: { protocol: number }) => Packet): string[] =>
    [6, 17].flatMap((protocol) => Array.from({ length: 7_000 }, (_, port) => port).filter((port) => judge(denyAll, path, packet(port, { protocol })).allowed).map((port) => `${protocol}/${port}`));

  it("are Calico's ports, before all policy", () => {
    expect(allowedPorts("to host", to)).toEqual(["6/22", "6/179", "6/2379", "6/2380", "6/5473", "6/6443", "6/6666", "6/6667", "17/68"]);
    expect(allowedPorts("from host", from)).toEqual(["6/179", "6/2379", "6/2380", "6/5473", "6/6443", "6/6666", "6/6667", "17/53", "17/67"]);
    expect(judge(denyAll, "to host", to(22))).toEqual(failsafe);
  });

  it("keep untracked policies from answers to what they let out, and from nothing else", () => {
    const answer = to(40_000, { protocol: 17, from: 53 });
    const [, , deniesUntracked] = denyAll;
    expect(judge(denyAll.slice(2), "to host", answer)).toEqual({ allowed: false, by: { kind: "no profile" } });
    expect(judge(denyAll.slice(2), "forwarded in", answer)).toEqual({ allowed: true, by: { kind: "forwarded" } });
    expect(judge(denyAll.slice(2), "from host", from(40_000, { from: 22 }))).toEqual({ allowed: false, by: { kind: "no profile" } });
    expect(judge(denyAll.slice(2), "to host", to(40_000, { protocol: 17, from: 54 }))).toEqual({ allowed: false, by: { kind: "policy", tier: "default", policy: deniesUntracked?.id, rule: 0 } });
  });

  it("open nothing of what is forwarded", () => {
    expect(judge([gnp("p", [onPorts("Deny", 22)], onForward), ...denyAll.slice(1)], "forwarded in", to(22))).toEqual({ allowed: false, by: by("p") });
  });

  it("can be for some networks alone, or none", () => {
    const evaluator = (inbound: typeof defaultFailsafes.inbound): ReturnType<typeof createEvaluator> => createEvaluator({ policies: [], tiers: [], profiles: [], endpoints: [], hostEndpoints: [host], networkSets: [], serviceSlices: [], nodes: [], failsafes: { inbound, outbound: [] } });
    const admins = evaluator([{ protocol: 6, port: 22, net: "198.51.100.0/24" as Cidr }]);
    expect([admins.hostVerdict(host, "to host", to(22, { source: "198.51.100.7" })).allowed, admins.hostVerdict(host, "to host", to(22)).allowed, admins.hostVerdict(host, "to host", to(6443)).allowed]).toEqual([true, false, false]);
    expect(evaluator([]).hostVerdict(host, "to host", to(22)).allowed).toBe(false);
  });
});

describe("rule 19: a pod and its own host", () => {
  const pod = endpoint("x", { labels: { app: "web" } });
  const hostPolicy = gnp("h", [onPorts("Allow", 80)], { selector: selector('role == "host"') });
  const podPolicy = gnp("p", [onPorts("Allow", 80, 81)], { selector: selector('app == "web"') });
  const its = hostEndpoint("h", { labels: { role: "host" } });
  const evaluator = createEvaluator({ policies: [hostPolicy, podPolicy], tiers: [], profiles: [profile("kns.a", {})], endpoints: [pod], hostEndpoints: [its], networkSets: [], serviceSlices: [], nodes: [] });
  it.each([
    ["Drop", 80, { allowed: false, by: { kind: "endpoint to host", action: "Drop" } }], ["Accept", 81, { allowed: true, by: { kind: "endpoint to host", action: "Accept" } }],
    ["Accept", 82, { allowed: false, by: { kind: "end of tier", tier: "default" } }], ["Return", 80, { allowed: true, by: by("h") }], ["Return", 81, { allowed: false, by: { kind: "end of tier", tier: "default" } }],
  ] as const)("%s, port %i", (action, port, verdict) => expect(evaluator.toOwnHost(pod, action, its, to(port, { source: "10.0.0.1" }))).toEqual(verdict));
  it("Return without a host endpoint allows", () => expect(evaluator.toOwnHost(pod, "Return", null, to(81, { source: "10.0.0.1" }))).toEqual({ allowed: true, by: { kind: "endpoint to host", action: "Return" } }));
});

describe("host endpoints among pods", () => {
  const web = selector('app == "web"');
  const its = hostEndpoint("h", { expectedIps: [HOST], labels: { app: "web" } });
  const world = { tiers: [], profiles: [profile("kns.a", {})], endpoints: [endpoint("x"), endpoint("y", { addresses: ["10.0.0.2" as IpAddress], labels: {} })], hostEndpoints: [its], networkSets: [], serviceSlices: [], nodes: [] };
  const toY = (address: string): Packet => ({ protocol: 6, source: { address: address as IpAddress, port: 40_000 }, destination: { address: "10.0.0.2" as IpAddress, port: 80 } });

  it("rule 11: selectors and named ports find them by expectedIPs and ports", () => {
    const evaluator = createEvaluator({ ...world, policies: [gnp("p", [rule({ selector: web })])] });
    expect([HOST, OUTSIDE].map((source) => evaluator.passes(toY(source)))).toEqual([true, false]);
    const named = createEvaluator({ ...world, policies: [gnp("p", [rule({}, { namedPorts: ["http"] })], { ingress: false, inbound: [] })] });
    expect([8080, 8081].map((port) => named.verdict(endpoint("x"), "egress", to(port)).allowed)).toEqual([true, false]);
    expect(evaluator.nearestMiss(endpoint("y", { labels: {} }), "ingress", toY(HOST))).toBeNull();
    expect(createEvaluator({ ...world, policies: [gnp("p", [rule({ selector: selector('role == "edge"') })])] }).nearestMiss(endpoint("y"), "ingress", toY(HOST))?.misses).toEqual([expect.stringContaining("host endpoint h")]);
  });

  it("are in no set while a profile of theirs is not known", () => {
    const unknown = { ...its, profiles: ["kns.gone" as ProfileId] };
    const evaluator = createEvaluator({ ...world, hostEndpoints: [unknown], policies: [gnp("p", [rule({ selector: web })])] });
    expect(evaluator.passes(toY(HOST))).toBe(false);
  });

  it("policies with doNotTrack or preDNAT are never for pods", () => {
    for (const over of [untracked, preDnat]) {
      const evaluator = createEvaluator({ ...world, policies: [gnp("p", [{ ...rule({}), action: "Deny" }], over)] });
      expect(evaluator.verdict(endpoint("y"), "ingress", toY(HOST))).toMatchObject({ allowed: true, by: { kind: "profile" } });
    }
  });

  it("are asked on the way from pod to pod", () => {
    const evaluator = createEvaluator({ ...world, policies: [gnp("p", [{ ...rule({}), action: "Deny" }], { ...onForward, selector: web })] });
    expect([evaluator.passes(toY(OUTSIDE)), evaluator.passes(toY(OUTSIDE), [{ endpoint: its, path: "forwarded in" }])]).toEqual([true, false]);
  });
});

describe("which host endpoint an interface has", () => {
  const named = (name: string, over: Parameters<typeof hostEndpoint>[1] = {}): ReturnType<typeof hostEndpoint> => hostEndpoint(name, { expectedIps: [], ...over });
  const eth0 = { name: "eth0", addresses: [HOST] };
  it.each([
    ["none of another node", [named("a", { node: "n2" })], null],
    ["the one that names it", [named("b", { interfaceName: "*" }), named("c")], "c"],
    ["the one that expects its address", [named("b", { interfaceName: "*" }), named("c", { interfaceName: "", expectedIps: [HOST] })], "c"],
    ["of several the one with the lowest id", [named("d"), named("c", { interfaceName: "", expectedIps: [HOST] })], "c"],
    ["not one for another interface that expects its address", [named("a", { interfaceName: "eth1", expectedIps: [HOST] }), named("d")], "d"],
    ["the one for all interfaces when there is no other", [named("b", { interfaceName: "*" }), named("a", { interfaceName: "*" }), named("c", { interfaceName: "eth1" })], "a"],
  ])("%s", (_, endpoints, name) => expect(hostEndpointOf(endpoints, "n1", eth0)?.name ?? null).toBe(name));
});

describe("host endpoints in the cluster half", () => {
  const start = (...updates: readonly ClusterUpdate[]): { half: ReturnType<typeof createClusterHalf>; calls: string[]; keys: (node: string) => string[] } => {
    const calls: string[] = [];
    const half = createClusterHalf({
      onValueChange: (key) => void calls.push(`value ${key}`), onIpSetDelta: (id, added, removed) => void calls.push(`delta ${id} +${added.join(" ")} -${removed.join(" ")}`),
      onInterestStart: (node, key) => void calls.push(`start ${node} ${key}`), onInterestStop: (node, key) => void calls.push(`stop ${node} ${key}`),
    });
    for (const update of updates) half.onUpdate(update);
    return { half, calls, keys: (node) => [...half.interestOf(node)].toSorted() };
  };
  const web = selector('app == "web"');
  const allow = { ...profile("projectcalico-default-allow", {}) };

  it("go to their node with the policies and profiles that they use, the sets of these first", () => {
    const { half, calls } = start(ofProfile(allow), ofPolicy(gnp("p", [rule({ selector: web })], { selector: web })), ofHostEndpoint(hostEndpoint("h", { profiles: [allow.id] })));
    expect(calls.slice(-5)).toEqual(["value HostEndpoint:hep/h", "start n1 Profile:projectcalico-default-allow", `start n1 IpSet:${web.id}`, "start n1 Policy:GlobalNetworkPolicy//p", "start n1 HostEndpoint:hep/h"]);
    const { node: _node, ...told } = hostEndpoint("h", { profiles: [allow.id] });
    expect(half.valueOf("HostEndpoint:hep/h")).toEqual({ kind: "HostEndpoint", value: told });
    expect(half.valueOf(`IpSet:${web.id}`)).toMatchObject({ members: [`${HOST}/32`] });
    expect(half.stats()).toMatchObject({ endpoints: 0, hostEndpoints: 1 });
  });

  it("leave nothing behind when they move or go", () => {
    const { half, keys } = start(ofPolicy(gnp("p", [rule({ selector: web })], { selector: web })), ofHostEndpoint(hostEndpoint("h")));
    half.onUpdate(ofHostEndpoint(hostEndpoint("h", { node: "n2" })));
    expect([keys("n1"), keys("n2")]).toEqual([[], ["HostEndpoint:hep/h", `IpSet:${web.id}`, "Policy:GlobalNetworkPolicy//p"]]);
    half.onUpdate(put({ kind: "HostEndpoint", id: "hep/h", value: null }));
    expect([keys("n2"), half.valueOf("HostEndpoint:hep/h"), half.valueOf(`IpSet:${web.id}`)]).toEqual([[], undefined, expect.objectContaining({ members: [] })]);
  });

  it("keep their policies while a profile is not known, and are in no set", () => {
    const { half, calls, keys } = start(ofPolicy(gnp("p", [rule({ selector: web })], { selector: web })), ofHostEndpoint(hostEndpoint("h", { profiles: ["kns.a" as ProfileId] })));
    expect([keys("n1"), half.valueOf(`IpSet:${web.id}`)]).toMatchObject([["HostEndpoint:hep/h", `IpSet:${web.id}`, "Policy:GlobalNetworkPolicy//p"], { members: [] }]);
    half.onUpdate(ofProfile(profile("kns.a", { "pcns.team": "red" })));
    expect([keys("n1").length, half.valueOf(`IpSet:${web.id}`), half.valueOf("HostEndpoint:hep/h")]).toMatchObject([4, { members: [`${HOST}/32`] }, { value: { labels: { app: "web", "pcns.team": "red" } } }]);
    calls.length = 0;
    half.onUpdate(put({ kind: "Profile", id: "kns.a", value: null }));
    expect([keys("n1"), half.valueOf("HostEndpoint:hep/h"), calls.filter((call) => call.startsWith("delta"))]).toMatchObject([["HostEndpoint:hep/h", `IpSet:${web.id}`, "Policy:GlobalNetworkPolicy//p"], { value: { labels: { app: "web" } } }, [`delta ${web.id} + -${HOST}/32`]]);
  });

  it("policies with doNotTrack or preDNAT go to nodes with a host endpoint of theirs, and to no pod's", () => {
    const { half, keys } = start(ofProfile(profile("kns.a", {})), ofEndpoint(endpoint("x", { node: "n2" })), ofHostEndpoint(hostEndpoint("h")), ofPolicy(gnp("p", [], preDnat)));
    const has = (): boolean[] => ["n1", "n2"].map((node) => keys(node).includes("Policy:GlobalNetworkPolicy//p"));
    expect(has()).toEqual([true, false]);
    half.onUpdate(ofPolicy(gnp("p", [])));
    expect(has()).toEqual([true, true]);
    half.onUpdate(ofPolicy(gnp("p", [], untracked)));
    expect(has()).toEqual([true, false]);
  });
});

describe("host endpoints in the node half", () => {
  const nodePolicy = (name: string, over: Partial<NodePolicy> = {}): NodeUpdate => {
    const { selector: _selector, ...rest } = gnp(name, []);
    return { kind: "Policy", value: { ...rest, selector: "all()", inbound: [], outbound: [], ...over } };
  };
  const nodeHost = (over: Partial<NodeHostEndpoint> = {}): NodeUpdate => {
    const { node: _node, ...rest } = host;
    return { kind: "HostEndpoint", value: { ...rest, ...over } };
  };
  const tier = (name: string, ingress: string[], egress: string[]): unknown => ({ name, defaultAction: "Deny", ingress, egress });
  const started = (...updates: readonly NodeUpdate[]): { dataplane: FakeDataplane; tell: (...more: NodeUpdate[]) => void } => {
    const dataplane = new FakeDataplane();
    const half = createNodeHalf({ node: "n1", sink: dataplane });
    half.onInSync();
    const tell = (...more: NodeUpdate[]): void => {
      for (const update of more) half.onUpdate(update);
      half.flush();
    };
    tell(...updates);
    return { dataplane, tell };
  };
  const id = (name: string): string => `GlobalNetworkPolicy//${name}`;

  it("have a list of tiers for each place, of the policies that belong there", () => {
    const { dataplane } = started(
      nodeHost({ profiles: ["kns.gone", "projectcalico-default-allow"] as ProfileId[] }), { kind: "Profile", value: { id: "projectcalico-default-allow" as ProfileId, inbound: [], outbound: [] } },
      nodePolicy("n", { order: 2 }), nodePolicy("f", { ...onForward, order: 1, egress: false }), nodePolicy("u", untracked), nodePolicy("d", { preDnat: true, applyOnForward: true, tier: "other" }), nodePolicy("e", { preDnat: true, ingress: false }),
    );
    expect(dataplane.hostEndpoints.get(host.id)).toEqual({
      id: "hep/h", name: "h", interfaceName: "eth0", expectedIps: [HOST], profiles: ["projectcalico-default-allow"],
      tiers: [tier("default", [id("f"), id("n")], [id("n")])], untracked: [tier("default", [id("u")], [id("u")])], preDnat: [tier("other", [id("d")], [])], forward: [tier("default", [id("f")], [])],
    });
  });

  it("are reported without a profile that is missing, and with it when it comes", () => {
    const { dataplane, tell } = started(nodeHost({ profiles: ["kns.a" as ProfileId] }));
    expect(dataplane.hostEndpoints.get(host.id)?.profiles).toEqual([]);
    tell({ kind: "Profile", value: { id: "kns.a" as ProfileId, inbound: [], outbound: [] } });
    expect(dataplane.hostEndpoints.get(host.id)?.profiles).toEqual(["kns.a"]);
    tell({ kind: "Remove", of: "Profile", id: "kns.a" });
    expect([dataplane.hostEndpoints.get(host.id)?.profiles, dataplane.profiles.size]).toEqual([[], 0]);
  });

  it("follow a policy from stage to stage, and take with them what only they used", () => {
    const { dataplane, tell } = started(nodeHost(), nodePolicy("p"));
    const stages = (): unknown => {
      const { tiers, untracked: raw, preDnat: early, forward } = dataplane.hostEndpoints.get(host.id as EndpointId) ?? {};
      return [tiers, raw, early, forward].map((list) => list?.length);
    };
    expect(stages()).toEqual([1, 0, 0, 0]);
    tell(nodePolicy("p", onForward));
    expect(stages()).toEqual([1, 0, 0, 1]);
    tell(nodePolicy("p", untracked));
    expect(stages()).toEqual([0, 1, 0, 0]);
    tell({ kind: "Remove", of: "HostEndpoint", id: host.id });
    expect([dataplane.hostEndpoints.size, dataplane.policies.size]).toEqual([0, 0]);
  });

  it("rules whose set is missing are closed for hosts too", () => {
    const side = { nets: [], notNets: [], ports: [], notPorts: [], ipSets: ["s:1"], notIpSets: [], portSets: [], notPortSets: [] } as unknown as NodePolicy["inbound"][number]["source"];
    const bound = (action: Rule["action"]): NodePolicy["inbound"][number] => ({ ...rule({}), action, source: side, destination: { ...side, ipSets: [] } });
    const { dataplane } = started(nodeHost(), nodePolicy("p", { inbound: [bound("Allow"), bound("Deny")] }));
    expect(dataplane.policies.get(id("p") as PolicyId)?.inbound.map(({ action, source }) => [action, source.ipSets])).toEqual([["Deny", []]]);
  });
});

