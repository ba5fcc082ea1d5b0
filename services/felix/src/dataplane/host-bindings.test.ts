import type { ResolvedHostEndpoint } from "@calico/calc";
import type { EndpointId, IpAddress } from "@calico/model";
import fc from "fast-check";
import { expect, it } from "vitest";
import { bindHostEndpoints, type HostInterfaces } from "./host-bindings.ts";

const host = (name: string, interfaceName: string, ...expectedIps: string[]): ResolvedHostEndpoint => ({
  id: `hep/${name}` as EndpointId, name, interfaceName, expectedIps: expectedIps as IpAddress[], tiers: [], untracked: [], preDnat: [], forward: [], profiles: [],
});
const interfaces: HostInterfaces = {
  addressesOf: new Map([["lo", ["127.0.0.1"]], ["eth0", ["192.0.2.1", "fd00::1"]], ["eth1", ["198.51.100.1"]]].map(([name, addresses]) => [name as string, new Set(addresses)])), isWorkload: (name) => name.startsWith("cali"),
};
const bind = (...endpoints: ResolvedHostEndpoint[]): unknown => {
  const { bindings, missing } = bindHostEndpoints(endpoints, interfaces);
  return { bindings: Object.fromEntries(bindings.map(({ interfaceName, endpoint }) => [interfaceName, endpoint.name])), missing: Object.fromEntries(missing) };
};

it.each<[string, ResolvedHostEndpoint[], object, object]>([
  ["names its interface", [host("a", "eth0")], { eth0: "a" }, {}],
  ["names one that is not there: its first packet shall meet policy", [host("a", "eth5")], { eth5: "a" }, { "hep/a": "interface eth5 does not exist" }],
  ["names a pod's", [host("a", "cali1")], {}, { "hep/a": "interface cali1 is a pod's" }],
  ["gives an address", [host("a", "", "10.9.9.9", "fd00::1")], { eth0: "a" }, {}],
  ["gives addresses of several interfaces", [host("a", "", "192.0.2.1", "198.51.100.1")], { eth0: "a", eth1: "a" }, {}],
  ["gives an address that nobody has", [host("a", "", "10.9.9.9", "10.9.9.8")], {}, { "hep/a": "no interface of the host has one of the addresses 10.9.9.9, 10.9.9.8" }],
  ["gives neither", [host("a", "")], {}, { "hep/a": "no interface of the host has one of the addresses " }],
  ["names an interface and has an address of another: never by address", [host("a", "eth1", "192.0.2.1")], { eth1: "a" }, {}],
  ["is for every interface", [host("a", "*"), host("b", "eth0")], { "*": "a", eth0: "b" }, {}],
  ["has the lowest id of several", [host("b", "eth0"), host("a", "eth0"), host("d", "*"), host("c", "*")], { "*": "c", eth0: "a" }, { "hep/b": "interface eth0 has the host endpoint a", "hep/d": "every interface has the host endpoint c" }],
  ["has the lowest id of several, by name or by address", [host("b", "eth0"), host("a", "", "192.0.2.1", "198.51.100.1"), host("c", "eth1")], { eth0: "a", eth1: "a" }, { "hep/b": "interface eth0 has the host endpoint a", "hep/c": "interface eth1 has the host endpoint a" }],
])("an endpoint that %s", (_, endpoints, bindings, missing) => {
  expect(bind(...endpoints)).toEqual({ bindings, missing });
});

it("does not depend on the order in which endpoints are told", () => {
  const anyHost = fc.record({ name: fc.constantFrom("a", "b", "c", "d"), interfaceName: fc.constantFrom("", "*", "eth0", "eth1", "eth5", "cali1"), ips: fc.subarray(["192.0.2.1", "198.51.100.1", "10.9.9.9"]) }).map(({ name, interfaceName, ips }) => host(name, interfaceName, ...ips));
  fc.assert(fc.property(fc.uniqueArray(anyHost, { selector: ({ id }) => id, maxLength: 4 }).chain((endpoints) => fc.tuple(fc.constant(endpoints), fc.shuffledSubarray(endpoints, { minLength: endpoints.length }))), ([endpoints, shuffled]) => {
    expect(bind(...shuffled)).toEqual(bind(...endpoints));
    // Who is in force nowhere says why.
    const { bindings, missing } = bindHostEndpoints(endpoints, interfaces);
    for (const { id } of endpoints) expect(missing.has(id) || bindings.some(({ endpoint }) => endpoint.id === id)).toBe(true);
  }));
});
