/** Parameters of felix, under Calico's names. */
import { bool, defineParams, duration, int, oneOf, pattern, port, text, typhaClientParams, type ParamValues, type ServiceDescription } from "@calico/service-kit";
import { FAILSAFE_INBOUND, FAILSAFE_OUTBOUND, failsafePorts } from "./rules/failsafe-ports.ts";

export const felixParams = defineParams({
  ...typhaClientParams,
  felixHostname: text("").localOnly().doc("Name of this node; empty: NODENAME, else the host name."),
  interfacePrefix: text("cali").restartsDataplane().doc("What the names of pods' host interfaces begin with."),
  defaultEndpointToHostAction: oneOf(["Drop", "Return", "Accept"], "Drop").restartsDataplane().doc("What happens to packets from a pod to its own node that egress policy allows."),
  iptablesFilterDenyAction: oneOf(["Drop", "Reject"], "Drop").restartsDataplane().doc("What Deny does."),
  failsafeInboundHostPorts: failsafePorts(FAILSAFE_INBOUND).restartsDataplane().doc("Ports of this host that no policy of host endpoints closes, \"tcp:22,udp:68,tcp:10.0.0.0/8:22\" (with the net: for machines in it); none: policy decides about all."),
  failsafeOutboundHostPorts: failsafePorts(FAILSAFE_OUTBOUND).restartsDataplane().doc("Ports of other machines that no policy of host endpoints closes for this host, written in the same way."),
  workloadSourceSpoofing: oneOf(["Disabled", "Any"], "Disabled").restartsDataplane().doc("Any: pods may also send from the prefixes that their annotation cni.projectcalico.org/allowedSourcePrefixes lists."),
  natPortRange: text("").restartsDataplane().doc("Source ports of masqueraded traffic, \"first:last\"; empty: the kernel chooses."),
  natOutgoingAddress: text("").restartsDataplane().doc("Source address of traffic that leaves the pools; empty: that of the interface."),
  disableConntrackInvalidCheck: bool(false).restartsDataplane().doc("Let packets pass that connection tracking calls invalid."),
  allowVXLANPacketsFromWorkloads: bool(false).restartsDataplane().doc("Let pods send VXLAN."),
  allowIPIPPacketsFromWorkloads: bool(false).restartsDataplane().doc("Let pods send IPIP."),
  ipv6Support: bool(true).restartsDataplane().doc("Program IPv6."),
  bpfEnabled: bool(false).doc("The eBPF dataplane. Not part of this version: true is reported and nftables stays."),
  nftablesMode: oneOf(["Auto", "Enabled", "Disabled"], "Auto").doc("Disabled asks for iptables, which is not part of this version: it is reported and nftables stays."),
  nftablesRefreshInterval: duration(180_000).doc("How often the kernel's rules are compared with what they should be; 0: only when something changed them."),
  routeRefreshInterval: duration(90_000).doc("How often the kernel's routes are compared with what they should be; 0: only when something changed them."),
  dataplaneWatchdogTimeout: duration(90_000).doc("The dataplane counts as dead when it was silent for this long."),
  logPrefix: text("calico-packet").restartsDataplane().doc("What the kernel's log lines of Log rules begin with; %t is the tier, %k the kind (np, gnp, knp, kcnp, pro), %n the name and %p namespace/name of the policy."),
  logActionRateLimit: pattern("", /^$|^[1-9]\d{0,4}\/(?:second|minute|hour|day)$/, "a number and second, minute, hour or day, such as 10/minute").restartsDataplane().doc("How many packets each Log rule may log, \"10/minute\"; empty: all."),
  logActionRateLimitBurst: int(5, { min: 1, max: 10_000 }).restartsDataplane().doc("How many packets a Log rule may log at once beyond its rate."),
  healthEnabled: bool(false).doc("Serve /liveness and /readiness."),
  healthHost: text("localhost").doc("Address of the health port."),
  healthPort: port(9099).doc("Port of health."),
  prometheusMetricsEnabled: bool(false).doc("Serve metrics."),
  prometheusMetricsHost: text("").doc("Address of the metrics port; empty: every address."),
  prometheusMetricsPort: port(9091).doc("Port of /metrics."),
  reportingInterval: duration(10_000).doc("How often this node's state goes to NATS."),
  socket: text("/var/run/calico/felix.sock").localOnly().doc("Unix socket on which the CNI daemon calls."),
  stateDir: text("/var/run/calico/felix").localOnly().doc("Where attachments and revisions are kept over a restart."),
  libDir: text("/var/lib/calico").localOnly().doc("Where nodename and mtu are written for others."),
  attachTimeout: duration(10_000).localOnly().doc("A pod that is not in the kernel after this time is refused."),
  ip: text("autodetect").env("IP").localOnly().doc("IPv4 address of the node: autodetect, none, or address/length."),
  ipAutodetectionMethod: text("first-found").env("IP_AUTODETECTION_METHOD").localOnly().doc("first-found, can-reach=, interface=, skip-interface=, cidr= or kubernetes-internal-ip."),
  ip6: text("none").env("IP6").localOnly().doc("IPv6 address of the node."),
  ip6AutodetectionMethod: text("first-found").env("IP6_AUTODETECTION_METHOD").localOnly().doc("As IP_AUTODETECTION_METHOD."),
  ipAutodetectionInterval: duration(60_000).localOnly().doc("How often the addresses are looked for again."),
  mtu: int(0, { min: 0, max: 65_535 }).restartsDataplane().doc("MTU of pods; 0: what the node's interfaces and the overlay leave room for."),
  mtuIfacePattern: text("^((en|wl|ww|sl|ib)[Pcopsvx].*|(eth|wlan|wwan).*)").restartsDataplane().doc("Regular expression for the names of the node's own interfaces, the smallest MTU of which counts."),
  vxlanEnabled: oneOf(["Auto", "true", "false"], "Auto").restartsDataplane().doc("The VXLAN overlay; Auto: as long as an IPv4 pool has a vxlanMode other than Never."),
  vxlanVNI: int(4_096, { min: 1, max: 16_777_215 }).restartsDataplane().doc("Network identifier of the overlay."),
  vxlanPort: int(4_789, { min: 1, max: 65_535 }).restartsDataplane().doc("UDP port of the overlay; the same on every node."),
  vxlanMTU: int(0, { min: 0, max: 65_535 }).restartsDataplane().doc("MTU of the VXLAN device; 0: that of the node's interfaces less 50."),
  featureDetectOverride: text("").restartsDataplane().doc("What is known better of the kernel: \"ChecksumOffloadBroken=true\" has the kernel make the checksums of what goes into the VXLAN tunnel; false leaves them to the device."),
});
export const ENV_PREFIX = "FELIX_";
export const CONFIG_FILE = "/etc/calico/felix.cfg";
export type FelixConfig = ParamValues<typeof felixParams>;
export const description: ServiceDescription = {
  name: "felix", does: "puts policy, sets and routes of one node into its kernel", params: felixParams, envPrefix: ENV_PREFIX,
  otherSources: [`the file ${CONFIG_FILE} (${ENV_PREFIX}CONFIGFILE)`, "FelixConfiguration node.NODENAME", "FelixConfiguration default"],
};
