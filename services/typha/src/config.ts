/** Parameters of typha. Names are Calico's where Calico has them. */
import { bool, defineParams, duration, int, port, text, type ServiceDescription } from "@calico/service-kit";

export const typhaParams = defineParams({
  serverHost: text("0.0.0.0").localOnly().doc("Address on which nodes are served."),
  serverPort: port(5473).localOnly().doc("Port on which nodes are served."),
  caFile: text("").localOnly().doc("PEM file of the CA that signs the certificates of nodes."),
  serverCertFile: text("").localOnly().doc("PEM file of the server certificate."),
  serverKeyFile: text("").localOnly().doc("PEM file of the server key."),
  clientCn: text("typha-client").localOnly().doc("Common name that a node's certificate must have; empty: any that the CA signed."),
  insecure: bool(false).localOnly().doc("Serve without TLS and without identities; refused unless serverHost is a loopback address."),
  verifyNodeTokens: bool(true).localOnly().doc("Ask the API server (TokenReview) whether a client's token belongs to the node that it names."),
  maxConnections: int(10_000, { min: 1 }).localOnly().doc("Streams served at a time."),
  resumeRetention: duration(300_000).localOnly().doc("How long a node that went away can resume without a snapshot."),
  maxTombstones: int(20_000, { min: 100 }).localOnly().doc("Removals remembered per node for resuming."),
  healthHost: text("localhost").localOnly().doc("Address of the health port."),
  healthPort: port(9098).localOnly().doc("Port of /liveness and /readiness."),
  prometheusMetricsEnabled: bool(false).localOnly().doc("Serve metrics."),
  prometheusMetricsHost: text("localhost").localOnly().doc("Address of the metrics port."),
  prometheusMetricsPort: port(9093).localOnly().doc("Port of /metrics."),
});
export const ENV_PREFIX = "TYPHA_";
export const description: ServiceDescription = {
  name: "typha", does: "watches the API, works out what each node needs, and streams it to the nodes", params: typhaParams, envPrefix: ENV_PREFIX,
};
