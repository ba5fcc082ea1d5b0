/** Parameters of the bird service. */
import { defineParams, duration, port, text, typhaClientParams, type ServiceDescription } from "@calico/service-kit";

export const birdParams = defineParams({
  ...typhaClientParams,
  httpHost: text("localhost").localOnly().doc("Address on which metrics and health are served."),
  httpPort: port(9095).localOnly().doc("Port of metrics and health."),
  socket: text("/var/run/calico/bird-service.sock").localOnly().doc("Unix socket that answers for this service."),
  birdPath: text("bird").localOnly().doc("The BIRD 2 program."),
  configFile: text("/etc/calico/bird/bird.cfg").localOnly().doc("Where the rendered configuration is written."),
  controlSocket: text("/var/run/calico/bird.ctl").localOnly().doc("BIRD's own control socket."),
  pidFile: text("/var/run/calico/bird.pid").localOnly().doc("Where BIRD writes its process id."),
  secretNamespace: text("kube-system").localOnly().doc("Namespace of the Secrets that BGPPeers and BGPConfiguration name for passwords."),
  silenceTimeout: duration(10_000).localOnly().doc("A BIRD that runs and does not answer for this long is ended and started again."),
  typhaAddressFile: text("/var/lib/calico/bird-typha.json").localOnly().doc("Addresses of typha as last seen, for a start while the API server is away."),
  stateFile: text("/var/run/calico/bird-revisions.json").localOnly().doc("Revisions seen, kept over restarts of the service."),
});
export const ENV_PREFIX = "BIRD_";
export const description: ServiceDescription = {
  name: "bird", does: "configures and watches BIRD on one node", params: birdParams, envPrefix: ENV_PREFIX,
};
