/** The gRPC face: hello, identity, then a session until the stream ends. */
import { status, type handleBidiStreamingCall, type ServerDuplexStream, type ServiceError } from "@grpc/grpc-js";
import { compareRevisions } from "@calico/datastore";
import { isNodeName } from "@calico/model";
import { PROTOCOL_VERSION, sync } from "@calico/proto";
import { delay, grpcError, type Clock, type GrpcService, type Logger, type Metrics } from "@calico/service-kit";
import type { Hub } from "./hub.ts";
import type { IdentityCheck } from "./identity.ts";
import { createSession, type Session } from "./session.ts";

type Stream = ServerDuplexStream<sync.SyncRequest, Buffer>;

const FELIX_KINDS = new Set(["IpSet", "Policy", "Profile", "Tier", "WorkloadEndpoint", "HostEndpoint", "IpPool", "Block", "Node", "Route", "FelixConfig"]);
const BIRD_KINDS = new Set(["IpPool", "Block", "Node", "BgpConfig", "BgpPeer"]);

/** A node that has seen newer data than this for so long means that the datastore was set back. */
const SET_BACK_MS = 30_000;
const HELLO_TIMEOUT_MS = 10_000;

export type SyncServiceOptions = {
  readonly hub: Hub;
  readonly epoch: string;
  /** Fulfilled when every kind was listed. */
  readonly ready: Promise<void>;
  readonly revisions: () => Record<string, string>;
  /** null: identities are not checked. */
  readonly identity: IdentityCheck | null;
  /** Common name that client certificates must have; "": any. */
  readonly clientCn: string;
  readonly maxConnections: number;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
};

export interface SyncService {
  readonly service: GrpcService;
  readonly connections: number;
  /** Ends every stream: nodes connect to another typha, or to this one again. */
  closeAll(): void;
}

export function createSyncService(options: SyncServiceOptions): SyncService {
  const { hub, clock, log, metrics } = options;
  const streams = new Set<Stream>();
  const accepted = metrics.counter("typha_connections_accepted", "Streams accepted.");
  const dropped = metrics.counter("typha_connections_dropped", "Streams refused or ended, by reason.", ["reason"]);
  metrics.sampled("typha_connections_active", "Streams that are open.", () => streams.size);
  const snapshots = metrics.counter("typha_snapshots_generated", "Streams that began with a snapshot.");
  const resumes = metrics.counter("typha_streams_resumed", "Streams that went on where they had stopped.");
  const perStep = metrics.histogram("typha_kvs_per_msg", "Updates in a step.", [], [1, 2, 5, 10, 50, 100, 1_000, 10_000]);
  const sent = metrics.counter("typha_sent_bytes_total", "Bytes of steps sent.");

  async function serve(stream: Stream): Promise<void> {
    const hello = await receiveHello(stream, clock);
    const refusal = await refusalOf(hello, stream);
    if (refusal !== null) throw refusal;
    await options.ready;
    await catchUp(hello, stream);
    if (stream.cancelled) return;
    const resumeAt = hello.resume?.epoch === options.epoch ? Number(hello.resume.sequence) : null;
    const session = createSession({
      hub, node: hello.node, epoch: options.epoch, kinds: hello.client === sync.ClientKind.CLIENT_KIND_BIRD ? BIRD_KINDS : FELIX_KINDS, resumeAt, revisions: options.revisions,
      sink: { write: (message) => stream.write(message), onDrain: (run) => stream.once("drain", run) },
      onFailure(error) {
        log.error("A stream failed", { node: hello.node, error });
        stream.emit("error", grpcError(status.INTERNAL, String(error)));
      },
      onStep(updates, bytes) {
        perStep.observe(updates);
        sent.inc(bytes);
      },
    });
    (session.resumed ? resumes : snapshots).inc();
    log.info("Node connected", { node: hello.node, client: hello.client, version: hello.programVersion, resumed: session.resumed });
    await ended(stream, session);
    log.info("Node disconnected", { node: hello.node, client: hello.client });
  }

  async function refusalOf(hello: sync.Hello, stream: Stream): Promise<ServiceError | null> {
    if (!isNodeName(hello.node)) return grpcError(status.INVALID_ARGUMENT, "hello names no node");
    if (hello.protocolVersion < PROTOCOL_VERSION - 1 || hello.protocolVersion > PROTOCOL_VERSION + 1) {
      return grpcError(status.FAILED_PRECONDITION, `this typha speaks version ${PROTOCOL_VERSION} of the protocol, the node speaks ${hello.protocolVersion}`);
    }
    if (hello.client !== sync.ClientKind.CLIENT_KIND_FELIX && hello.client !== sync.ClientKind.CLIENT_KIND_BIRD) return grpcError(status.INVALID_ARGUMENT, "hello names no kind of client");
    if (options.identity === null) return null;
    const [authorization] = stream.metadata.get("authorization");
    const token = typeof authorization === "string" ? authorization.replace(/^Bearer /, "") : "";
    try {
      const reason = await options.identity.refusal(token, hello.node);
      return reason === null ? null : grpcError(status.PERMISSION_DENIED, reason);
    } catch (error) {
      log.warn("A node's identity could not be checked", { node: hello.node, error });
      return grpcError(status.UNAVAILABLE, "the identity cannot be checked now, the API server is away");
    }
  }

  /** Waits until this typha knows what the node has seen already, of the kinds that it follows; after a while it is the datastore that went back. */
  async function catchUp(hello: sync.Hello, stream: Stream): Promise<void> {
    const since = clock.monotonic();
    for (;;) {
      const own = options.revisions();
      const behind = Object.entries(hello.revisions).find(([kind, revision]) => Object.hasOwn(own, kind) && compareRevisions(own[kind] ?? "", revision) < 0);
      if (behind === undefined || stream.cancelled) return;
      if (clock.monotonic() - since > SET_BACK_MS) {
        log.warn("A node has seen newer objects than the API server has, it is given the present ones", { node: hello.node, kind: behind[0] });
        return;
      }
      await delay(clock, 100);
    }
  }

  const handler: handleBidiStreamingCall<sync.SyncRequest, Buffer> = (stream) => {
    if (streams.size >= options.maxConnections) {
      dropped.inc({ reason: "limit" });
      stream.emit("error", grpcError(status.RESOURCE_EXHAUSTED, `this typha serves ${options.maxConnections} streams already`));
      return;
    }
    const name = clientName(stream);
    if (options.clientCn !== "" && name !== null && name !== options.clientCn) {
      dropped.inc({ reason: "certificate" });
      stream.emit("error", grpcError(status.PERMISSION_DENIED, `the certificate is for ${name}, not for ${options.clientCn}`));
      return;
    }
    accepted.inc();
    streams.add(stream);
    serve(stream).catch((error: unknown) => {
      dropped.inc({ reason: "refused" });
      const refusal = error instanceof Error && "code" in error ? (error as ServiceError) : grpcError(status.INTERNAL, String(error));
      log.warn("A stream was refused", { reason: refusal.message });
      stream.emit("error", refusal);
    }).finally(() => streams.delete(stream));
  };

  return {
    service: {
      definition: { sync: { ...sync.SyncServiceService.sync, responseSerialize: (message: Buffer) => message } },
      implementation: { sync: handler },
    },
    get connections() {
      return streams.size;
    },
    closeAll() {
      for (const stream of streams) stream.end();
    },
  };
}

/** Common name of the client's certificate; null on a connection without TLS. */
function clientName(stream: Stream): string | null {
  const certificate = stream.getAuthContext().sslPeerCertificate;
  if (certificate === undefined) return null;
  const name = certificate.subject.CN;
  return typeof name === "string" ? name : "";
}

function receiveHello(stream: Stream, clock: Clock): Promise<sync.Hello> {
  return new Promise((resolve, reject) => {
    const timer = clock.setTimer(HELLO_TIMEOUT_MS, () => reject(grpcError(status.DEADLINE_EXCEEDED, "no hello came")));
    stream.once("data", (request: sync.SyncRequest) => {
      timer[Symbol.dispose]();
      if (request.body?.$case === "hello") resolve(request.body.value);
      else reject(grpcError(status.INVALID_ARGUMENT, "the first message must be a hello"));
    });
    stream.once("cancelled", () => {
      timer[Symbol.dispose]();
      reject(grpcError(status.CANCELLED, "the stream ended before its hello"));
    });
  });
}

function ended(stream: Stream, session: Session): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      session[Symbol.dispose]();
      resolve();
    };
    stream.on("data", () => {});
    stream.once("end", () => {
      stream.end();
      end();
    });
    stream.once("cancelled", end);
    stream.once("error", end);
    stream.once("close", end);
  });
}
