/** Parameters of the cni service. */
import { bool, defineParams, duration, int, port, text, textList, type ServiceDescription } from "@calico/service-kit";

export const cniParams = defineParams({
  httpHost: text("localhost").localOnly().doc("Address on which metrics and health are served."),
  httpPort: port(9096).localOnly().doc("Port of metrics and health."),
  socket: text("/var/run/calico/cni.sock").localOnly().doc("Unix socket on which the plugin calls."),
  felixSocket: text("/var/run/calico/felix.sock").localOnly().doc("Unix socket of felix."),
  ipamSocket: text("/var/run/calico/ipam.sock").localOnly().doc("Unix socket of ipam."),
  stateDir: text("/var/lib/calico/cni").localOnly().doc("Where containers and postponed deletions are kept."),
  pluginSource: text("/opt/calico/bin/calico").localOnly().doc("The plugin program that is installed."),
  extraPlugins: text("/opt/calico/plugins").localOnly().doc("Folder with plugins of others that are put into binDir where they are missing, as the image has it; a file that somebody else put there stays."),
  binDir: text("/opt/cni/bin").localOnly().doc("Directory of plugin programs."),
  netDir: text("/etc/cni/net.d").localOnly().doc("Directory of network configurations."),
  confName: text("10-calico.conflist").localOnly().doc("Name of the network configuration that is written."),
  chainedPlugins: textList(["portmap", "bandwidth"]).localOnly().doc("Plugins of others that follow in the network configuration, of portmap and bandwidth; those whose program is not in binDir are left out."),
  sysctls: textList().localOnly().doc("Settings such as net.core.somaxconn=1024 for the inside of every pod, made by the plugin tuning."),
  mtu: int(0, { min: 0, max: 65_535 }).localOnly().doc("MTU of pod interfaces; 0: that in mtuFile."),
  mtuFile: text("/var/lib/calico/mtu").localOnly().doc("Where felix writes the MTU."),
  assignIpv6: bool(false).localOnly().doc("Give pods an IPv6 address too, unless the network configuration says otherwise."),
  policyTimeout: duration(10_000).localOnly().doc("An ADD fails when route and policy are not in the kernel after this time."),
});
export const ENV_PREFIX = "CNI_";

/** Names of the specification under the same prefix, which a runtime may have set in the environment. */
export const SPEC_VARIABLES = ["CNI_COMMAND", "CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_ARGS", "CNI_PATH", "CNI_NETNS_OVERRIDE"];
export const description: ServiceDescription = {
  name: "cni", does: "installs the CNI plugin and carries out its calls on one node", params: cniParams, envPrefix: ENV_PREFIX,
};
