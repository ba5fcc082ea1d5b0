/** The NATS client under names that survive bundling; loaded only by a program that is told a NATS server. */
import { connect, type NatsConnection } from "@nats-io/transport-node";

export { headers, NoRespondersError, RequestError, TimeoutError, type NatsConnection } from "@nats-io/transport-node";

export type NatsServer = {
  /** "tls://host:4222" or "nats://...". */
  readonly url: string;
  /** Shown in the server's list of connections. */
  readonly name: string;
  readonly user?: string | undefined;
  readonly password?: string | undefined;
  /** PEM text of the CA that signed the server's certificate; empty: those that the machine trusts. */
  readonly ca?: string | undefined;
  /** Name that the server's certificate must have; empty: the host of the URL. */
  readonly serverName?: string | undefined;
};

/** Connects once, and does not connect again when the connection is lost. With "tls://" nothing is told to a server without TLS. */
export function connectNats({ url, name, user, password, ca, serverName }: NatsServer): Promise<NatsConnection> {
  const server = bracketed(url.replace(/^(tls|nats):\/\//, ""));
  // The client names a server to TLS by its DNS name alone; a certificate for an address is checked against `host`.
  const host = serverName !== undefined && serverName !== "" ? { servername: serverName } : { host: server.replace(/:\d+$/, "").replace(/^\[|\]$/g, "") };
  const hasCa = ca !== undefined && ca !== "";
  return connect({
    servers: server,
    name,
    reconnect: false,
    timeout: 3_000,
    pingInterval: 10_000,
    ...(user === undefined || user === "" ? {} : { user, pass: password ?? "" }),
    ...(url.startsWith("tls://") || hasCa ? { tls: { ...(hasCa ? { ca } : {}), ...host } } : {}),
  });
}

/** "fd00::1:4222" is "[fd00::1]:4222": the kubelet gives the address of a Service without brackets. */
export function bracketed(server: string): string {
  return server.replace(/^([0-9a-f]*:[0-9a-f:]*):(\d+)$/i, "[$1]:$2");
}
