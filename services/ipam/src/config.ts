/** Parameters of the ipam service. */
import { defineParams, duration, port, text, type ServiceDescription } from "@calico/service-kit";

export const ipamParams = defineParams({
  httpHost: text("localhost").localOnly().doc("Address on which metrics and health are served."),
  httpPort: port(9097).localOnly().doc("Port of metrics and health."),
  socket: text("/var/run/calico/ipam.sock").localOnly().doc("Unix socket on which the CNI daemon asks."),
  requestTimeout: duration(8_000).localOnly().doc("A request that could not be served in this time fails."),
});
export const ENV_PREFIX = "IPAM_";
export const description: ServiceDescription = {
  name: "ipam", does: "gives out addresses on one node", params: ipamParams, envPrefix: ENV_PREFIX,
};
