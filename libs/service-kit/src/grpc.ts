/** gRPC servers and clients with the options that every service uses. */
import { chmodSync } from "node:fs";
import {
  credentials, experimental, InterceptingCall, Metadata, Server, ServerCredentials, ServerInterceptingCall, status,
  type ChannelCredentials, type ClientOptions, type Interceptor, type ServerInterceptor, type ServiceError, type handleUnaryCall, type UntypedServiceImplementation, type ServiceDefinition,
} from "@grpc/grpc-js";
import { context } from "@opentelemetry/api";
import { contextFrom, traceparentOf } from "./tracing.ts";
import { PortInUseError } from "./http.ts";
import { describeError, type Logger } from "./log.ts";
import { watchTlsFiles } from "./tls-files.ts";
import { readTlsFile, type TlsFiles } from "./tls-read.ts";
import { clearSocket } from "./unix-socket.ts";

export type { TlsFiles } from "./tls-read.ts";

export type GrpcAddress =
  | { readonly socket: string }
  | { readonly host: string; /** 0: any free port. */ readonly port: number; readonly portParameter: string; readonly tls: TlsFiles | "insecure" };

export type GrpcService = { readonly definition: ServiceDefinition; readonly implementation: UntypedServiceImplementation };

export interface GrpcServer {
  /** The bound port; 0 on a unix socket. */
  readonly port: number;
  /** Refuses new calls and waits for running ones up to `graceMs`, then cuts them. */
  close(graceMs?: number): Promise<void>;
}

const KEEPALIVE = { "grpc.keepalive_time_ms": 20_000, "grpc.keepalive_timeout_ms": 10_000, "grpc.keepalive_permit_without_calls": 1 };
/** Largest message in either direction. */
const MAX_MESSAGE = 16 * 1024 * 1024;

/** Options for clients: keepalive, message size, quick reconnection. */
export const grpcClientOptions: ClientOptions = {
  ...KEEPALIVE, "grpc.max_receive_message_length": MAX_MESSAGE, "grpc.initial_reconnect_backoff_ms": 200, "grpc.max_reconnect_backoff_ms": 5_000,
};

/** The error that a handler gives: the code and a sentence for the caller. */
export function grpcError(code: status, message: string): ServiceError {
  return Object.assign(new Error(message), { code, details: message, metadata: new Metadata() });
}

/** A deadline `ms` from now. */
export function deadlineIn(ms: number): Date {
  return new Date(Date.now() + ms);
}

/**
 * Listens. A unix socket is for its owner only (mode 0600); one that a dead process left is taken over, one that
 * somebody listens on is refused. TLS asks clients for a certificate of the CA; only the names in `clientNames` may stay out.
 */
export async function startGrpcServer(address: GrpcAddress, services: readonly GrpcService[]): Promise<GrpcServer> {
  const server = new Server({ ...KEEPALIVE, "grpc.max_receive_message_length": MAX_MESSAGE, interceptors: [tracingServerInterceptor] });
  for (const { definition, implementation } of services) server.addService(definition, implementation);
  const port = "socket" in address ? await bindSocket(server, address.socket) : await bindPort(server, address);
  return { port, close: (graceMs = 2_000) => closeServer(server, graceMs) };
}

async function bindSocket(server: Server, path: string): Promise<number> {
  await clearSocket(path);
  const before = process.umask(0o177);
  try {
    await bind(server, `unix:${path}`, ServerCredentials.createInsecure());
  } finally {
    process.umask(before);
  }
  chmodSync(path, 0o600);
  return 0;
}

async function bindPort(server: Server, { host, port, portParameter, tls }: Extract<GrpcAddress, { host: string }>): Promise<number> {
  try {
    return await bind(server, `${host.includes(":") ? `[${host}]` : host}:${port}`, tls === "insecure" ? ServerCredentials.createInsecure() : serverTls(tls));
  } catch (error) {
    if (error instanceof Error && error.message.includes("EADDRINUSE")) throw new PortInUseError(host, port, portParameter, error);
    throw error;
  }
}

function bind(server: Server, address: string, creds: ServerCredentials): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(address, creds, (error, port) => (error === null ? resolve(port) : reject(error)));
  });
}

/** Certificates that are replaced are used for the next connection; those that stand go on. */
function serverTls(tls: TlsFiles): ServerCredentials {
  const files = watchTlsFiles(tls);
  return experimental.createCertificateProviderServerCredentials(files, files, true);
}

/** Credentials of a client: plain on a unix socket, mutual TLS elsewhere. Throws when a file cannot be read. */
export function clientCredentials(tls: TlsFiles | "insecure"): ChannelCredentials {
  if (tls === "insecure") return credentials.createInsecure();
  return credentials.createSsl(readTlsFile(tls.caFile), readTlsFile(tls.keyFile), readTlsFile(tls.certFile));
}

function closeServer(server: Server, graceMs: number): Promise<void> {
  return new Promise((resolve) => {
    const cut = setTimeout(() => server.forceShutdown(), graceMs);
    server.tryShutdown(() => {
      clearTimeout(cut);
      resolve();
    });
  });
}

/** A handler made of an async function. A ServiceError (see grpcError) goes to the caller as it is, anything else as `codeOf` says, and to the log. */
export function unaryHandler<Request, Response>(handle: (request: Request) => Response | Promise<Response>, log: Logger, codeOf: (error: unknown) => status = () => status.INTERNAL): handleUnaryCall<Request, Response> {
  return (call, callback) => {
    Promise.resolve().then(() => handle(call.request)).then(
      (response) => callback(null, response),
      (error: unknown) => {
        if (isServiceError(error)) return callback(error);
        log.error("A request failed", { method: call.getPath(), error });
        callback(grpcError(codeOf(error), describeError(error)));
      },
    );
  };
}

function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && "code" in error && typeof error.code === "number" && "details" in error;
}

/** Adds the traceparent of the active span to a call. */
export const tracingClientInterceptor: Interceptor = (options, nextCall) => new InterceptingCall(nextCall(options), {
  start(metadata, listener, next) {
    const traceparent = traceparentOf();
    if (traceparent !== "") metadata.set("traceparent", traceparent);
    next(metadata, listener);
  },
});

/** Runs the handler in the context that the caller sent. */
const tracingServerInterceptor: ServerInterceptor = (_, call) => new ServerInterceptingCall(call, {
  start(next) {
    next({
      onReceiveMetadata(metadata, forward) {
        const [traceparent] = metadata.get("traceparent");
        if (typeof traceparent === "string") context.with(contextFrom(traceparent), () => forward(metadata));
        else forward(metadata);
      },
    });
  },
});
