import type { NodeRule, NodeUpdate } from "@calico/calc";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SyncResponse, Update } from "./gen/calico/sync/v1/sync.ts";
import { encodeMessage, encodeUpdate, fromWireUpdate } from "./sync-codec.ts";

const text = fc.string({ maxLength: 12 });
const texts = fc.array(text, { maxLength: 3 });
const number = fc.nat(4_294_967_295);
const byte = fc.nat(255);
const orNull = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | null> => fc.option(value);
const labels = fc.dictionary(text.filter((key) => key !== "__proto__"), text, { maxKeys: 3 }).map((each) => ({ ...each }));
const ranges = fc.array(fc.record({ first: fc.nat(65_535), last: fc.nat(65_535) }), { maxLength: 2 });
const entity = fc.record({ nets: texts, notNets: texts, ports: ranges, notPorts: ranges, ipSets: texts, notIpSets: texts, portSets: texts, notPortSets: texts });
const icmp = orNull(fc.record({ type: byte, code: orNull(byte) }));
const rule = fc.record({
  action: fc.constantFrom("Allow", "Deny", "Log", "Pass"), ipVersion: fc.constantFrom(0, 4, 6), protocol: orNull(byte), notProtocol: orNull(byte), icmp, notIcmp: icmp, source: entity, destination: entity, index: fc.nat(1000),
}) as unknown as fc.Arbitrary<NodeRule>;
const rules = fc.array(rule, { maxLength: 3 });
const policy = fc.record({
  id: text, kind: fc.constantFrom("NetworkPolicy", "GlobalNetworkPolicy", "KubernetesNetworkPolicy"), namespace: text, name: text, tier: text, order: orNull(fc.double({ noNaN: true })), selector: text, ingress: fc.boolean(), egress: fc.boolean(),
  inbound: rules, outbound: rules, doNotTrack: fc.boolean(), preDnat: fc.boolean(), applyOnForward: fc.boolean(), revision: text,
});
const endpoint = fc.record({
  id: text, uid: text, namespace: text, pod: text, interfaceName: text, addresses: texts, labels, profiles: texts, ports: fc.array(fc.record({ name: text, protocol: byte, port: fc.nat(65_535) }), { maxLength: 2 }), revision: text,
}).chain((each) => fc.oneof(fc.constant(each), fc.array(text, { minLength: 1, maxLength: 2 }).map((allowedSourcePrefixes) => ({ ...each, allowedSourcePrefixes }))));
const speaker = fc.record({ asNumber: number, listenPort: fc.nat(65_535) });
const nonEmpty = text.filter((value) => value !== "");
const hostEndpoint = fc.record({ id: text, name: text, interfaceName: text, expectedIps: texts, labels, profiles: texts, ports: fc.array(fc.record({ name: text, protocol: byte, port: fc.nat(65_535) }), { maxLength: 2 }), revision: text });
const update = fc.oneof(
  fc.record({ kind: fc.constant("IpSet"), id: text, type: fc.constantFrom("net", "ip-port"), members: texts }),
  fc.record({ kind: fc.constant("IpSetDelta"), id: text, added: texts, removed: texts }),
  fc.record({ kind: fc.constant("Policy"), value: policy }),
  fc.record({ kind: fc.constant("Profile"), value: fc.record({ id: text, inbound: rules, outbound: rules }) }),
  fc.record({ kind: fc.constant("Tier"), value: fc.record({ name: text, order: orNull(fc.double({ noNaN: true })), defaultAction: fc.constantFrom("Deny", "Pass") }) }),
  fc.record({ kind: fc.constant("WorkloadEndpoint"), value: endpoint }),
  fc.record({ kind: fc.constant("HostEndpoint"), value: hostEndpoint }),
  fc.record({ kind: fc.constant("IpPool"), value: fc.record({ name: text, cidr: text, ipipMode: text, vxlanMode: text, natOutgoing: fc.boolean(), disableBgpExport: fc.boolean(), disabled: fc.boolean() }) }),
  fc.record({ kind: fc.constant("Block"), value: fc.record({ cidr: text, node: text }) }),
  fc.record({ kind: fc.constant("Node"), value: fc.record({ name: text, ipv4: orNull(nonEmpty), ipv6: orNull(nonEmpty), asNumber: orNull(number.filter((each) => each > 0)), routeReflectorClusterId: orNull(nonEmpty), vxlan: orNull(fc.record({ address: nonEmpty, mac: text })), labels }) }),
  fc.record({ kind: fc.constant("Route"), value: fc.record({ destination: text, node: text, encapsulation: fc.constantFrom("VXLAN", "VXLANCrossSubnet") }) }),
  fc.record({ kind: fc.constant("FelixConfig"), layers: fc.array(fc.record({ source: text, values: labels }), { maxLength: 2 }) }),
  fc.record({ kind: fc.constant("BgpConfig"), value: fc.record({
    nodeToNodeMesh: fc.boolean(), asNumber: number, listenPort: fc.nat(65_535), logSeverity: text, otherNodes: speaker, nodes: fc.dictionary(text.filter((key) => key !== "__proto__"), speaker, { maxKeys: 2 }).map((each) => ({ ...each })),
    meshPassword: orNull(fc.record({ name: text, key: text })), meshMaxRestartTime: text,
  }) }),
  fc.record({ kind: fc.constant("BgpPeer"), name: text, specJson: text }),
  fc.record({ kind: fc.constant("Remove"), of: fc.constantFrom("IpSet", "Policy", "Profile", "Tier", "WorkloadEndpoint", "HostEndpoint", "IpPool", "Block", "Node", "Route", "BgpPeer"), id: text }),
) as unknown as fc.Arbitrary<NodeUpdate>;

const header = { epoch: "e", sequence: 7n, snapshotStart: true, inSync: false, flush: true, revisions: { pods: "12" } };

describe("the codec", () => {
  it("gives back every update as it was", () => {
    fc.assert(fc.property(fc.array(update, { maxLength: 4 }), (updates) => {
      const decoded = SyncResponse.decode(encodeMessage(header, updates.map((each) => encodeUpdate(each, "00-trace"))));
      expect(decoded).toMatchObject({ ...header, protocolVersion: 1 });
      expect(decoded.updates.map((each) => fromWireUpdate(each))).toEqual(updates);
      expect(decoded.updates.every(({ traceparent }) => traceparent === "00-trace")).toBe(true);
    }), { numRuns: 500 });
  });

  it("never opens anything because of an action that it does not know", () => {
    const decoded = fromWireUpdate(Update.decode(Update.encode({
      traceparent: "", value: { $case: "profile", value: { id: "p", outbound: [], inbound: [{ action: 9 as never, ipVersion: 0, protocol: undefined, notProtocol: undefined, icmp: undefined, notIcmp: undefined, source: undefined, destination: undefined, index: 0 }] } },
    }).finish()));
    expect(decoded).toMatchObject({ kind: "Profile", value: { inbound: [{ action: "Deny" }] } });
  });

  it("takes a route with an encapsulation that it does not know for none", () => {
    const update = Update.decode(Update.encode({ traceparent: "", value: { $case: "route", value: { destination: "10.65.0.0/26", node: "b", encapsulation: 9 as never } } }).finish());
    expect(fromWireUpdate(update)).toEqual({ kind: "Remove", of: "Route", id: "10.65.0.0/26" });
  });

  it("passes over a kind of a newer peer, and survives any bytes", () => {
    expect(fromWireUpdate({ value: undefined, traceparent: "" })).toBeNull();
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      let message: SyncResponse;
      try {
        message = SyncResponse.decode(bytes);
      } catch (error) {
        expect(error).toBeInstanceOf(Error);
        return;
      }
      for (const each of message.updates) fromWireUpdate(each);
    }), { numRuns: 1_000 });
  });
});
