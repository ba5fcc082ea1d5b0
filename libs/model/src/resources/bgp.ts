/** BGPConfiguration and BGPPeer. */
import { z } from "zod";
import { canonicalAddress } from "../ip.ts";
import { address, asNumber, duration, net, portNumber, secretKeyRef, selector, word } from "./shapes.ts";
import { withRules } from "./rules.ts";

const communities = z.array(z.strictObject({ name: z.string().max(253), value: z.string().regex(/^(\d+):(\d+)$|^(\d+):(\d+):(\d+)$/, "write aa:nn or aa:nn:mm") })).max(256);
const serviceNets = z.array(z.strictObject({ cidr: net })).max(256).optional();

export const bgpConfigurationSpec = z.strictObject({
  logSeverityScreen: word("Trace", "Debug", "Info", "Warning", "Error", "Fatal").optional(),
  nodeToNodeMeshEnabled: z.boolean().optional(),
  asNumber: asNumber.optional(),
  listenPort: portNumber.optional(),
  bindMode: z.enum(["None", "NodeIP"]).optional(),
  serviceClusterIPs: serviceNets,
  serviceExternalIPs: serviceNets,
  serviceLoadBalancerIPs: serviceNets,
  serviceLoadBalancerAggregation: z.enum(["Enabled", "Disabled"]).optional(),
  communities: communities.optional(),
  prefixAdvertisements: z.array(z.strictObject({ cidr: net, communities: z.array(z.string().max(253)).max(64) })).max(256).optional(),
  ignoredInterfaces: z.array(z.string().max(15)).max(64).optional(),
  nodeMeshPassword: z.strictObject({ secretKeyRef }).optional(),
  nodeMeshMaxRestartTime: duration.optional(),
});

/** "192.0.2.1", "192.0.2.1:1790" or "[2001:db8::1]:1790". */
const PEER_HINT = 'an IP address is needed, alone or with a port: "192.0.2.1", "192.0.2.1:1790", "[2001:db8::1]:1790"';
const peerAddress = z.string().max(64).refine(isPeerAddress, PEER_HINT).meta({
  "x-kubernetes-validations": [{ rule: "isIP(self) || self.matches('^([0-9.]+|[[][0-9a-fA-F:.]+[]]):[0-9]{1,5}$')", message: PEER_HINT }],
});

function isPeerAddress(text: string): boolean {
  if (canonicalAddress(text) !== null) return true;
  const [, v6, v4, port] = /^(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+)):(\d{1,5})$/.exec(text) ?? [];
  return canonicalAddress(v6 ?? v4 ?? "") !== null && Number(port) >= 1 && Number(port) <= 65_535;
}

export const bgpPeerSpec = withRules(
  z.strictObject({
    node: z.string().max(253).optional(),
    nodeSelector: selector.optional(),
    peerIP: peerAddress.optional(),
    asNumber: asNumber.optional(),
    peerSelector: selector.optional(),
    localASNumber: asNumber.optional(),
    keepOriginalNextHop: z.boolean().optional(),
    nextHopMode: z.enum(["Auto", "Self", "Keep"]).optional(),
    password: z.strictObject({ secretKeyRef }).optional(),
    sourceAddress: z.enum(["UseNodeIP", "None"]).optional(),
    maxRestartTime: duration.optional(),
    keepaliveTime: duration.optional(),
    numAllowedLocalASNumbers: z.int().min(0).max(255).optional(),
    ttlSecurity: z.int().min(1).max(255).optional(),
    reachableBy: address.optional(),
    filters: z.array(z.string().max(253)).max(64).optional(),
    reversePeering: z.enum(["Auto", "Manual"]).optional(),
    localWorkloadSelector: selector.optional(),
  }),
  [
    { cel: "!has(self.node) || !has(self.nodeSelector)", path: ["nodeSelector"], message: "node and nodeSelector exclude each other", check: (peer) => peer.node === undefined || peer.nodeSelector === undefined },
    { cel: "!has(self.peerSelector) || !(has(self.peerIP) || has(self.asNumber))", path: ["peerSelector"], message: "peerSelector excludes peerIP and asNumber: they come from the nodes that it selects", check: (peer) => peer.peerSelector === undefined || (peer.peerIP === undefined && peer.asNumber === undefined) },
    { cel: "has(self.peerIP) || has(self.peerSelector) || has(self.localWorkloadSelector)", path: ["peerIP"], message: "a peer needs a peerIP or a peerSelector", check: (peer) => peer.peerIP !== undefined || peer.peerSelector !== undefined || peer.localWorkloadSelector !== undefined },
    { cel: "!has(self.peerIP) || has(self.asNumber)", path: ["asNumber"], message: "a peer with a peerIP needs an asNumber", check: (peer) => peer.peerIP === undefined || peer.asNumber !== undefined },
    { cel: "!has(self.keepOriginalNextHop) || !has(self.nextHopMode)", path: ["nextHopMode"], message: "keepOriginalNextHop is the older form of nextHopMode: give one of them", check: (peer) => peer.keepOriginalNextHop === undefined || peer.nextHopMode === undefined },
    { cel: "!has(self.reachableBy) || has(self.peerIP)", path: ["reachableBy"], message: "reachableBy needs a peerIP", check: (peer) => peer.reachableBy === undefined || peer.peerIP !== undefined },
  ],
);
