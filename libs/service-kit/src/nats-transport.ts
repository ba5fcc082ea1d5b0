/** The NATS client under names that survive bundling; loaded only by a service that is told a NATS server. */
export { connect, headers } from "@nats-io/transport-node";
