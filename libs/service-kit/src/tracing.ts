/**
 * OpenTelemetry tracing. Without OTEL_EXPORTER_OTLP_ENDPOINT no span is made and nothing is loaded;
 * contexts travel as W3C traceparent texts in gRPC metadata, NATS headers and messages of the sync stream.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { context, ROOT_CONTEXT, SpanStatusCode, trace, TraceFlags, type Context, type ContextManager, type Span, type SpanContext } from "@opentelemetry/api";

export type { Span } from "@opentelemetry/api";

const TRACEPARENT = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/;
const TRACER_NAME = "calico";

export interface Tracing {
  readonly enabled: boolean;
  /** Sends what is pending. */
  shutdown(): Promise<void>;
}

/** Starts tracing when `endpoint` is set. Spans go out in batches over OTLP/HTTP; a collector that is away costs spans, nothing else. */
export async function startTracing(service: string, node: string, endpoint: string | undefined): Promise<Tracing> {
  if (endpoint === undefined || endpoint === "") return { enabled: false, shutdown: async () => {} };
  const [{ TracerProvider, BatchSpanProcessor }, { OTLPTraceExporter }, { resourceFromAttributes }] = await Promise.all([
    import("@opentelemetry/sdk-trace"), import("@opentelemetry/exporter-trace-otlp-http"), import("@opentelemetry/resources"),
  ]);
  const exporter = new OTLPTraceExporter({ url: `${endpoint.replace(/\/$/, "")}/v1/traces` });
  const provider = new TracerProvider({
    resource: resourceFromAttributes({ "service.name": service, "host.name": node }),
    spanProcessors: [new BatchSpanProcessor({ exporter })],
  });
  context.setGlobalContextManager(new AsyncContextManager());
  trace.setGlobalTracerProvider(provider);
  return { enabled: true, shutdown: () => provider.shutdown() };
}

/** Runs `fn` inside a span; its error becomes the span's. `traceparent` continues the trace of another process. */
export async function withSpan<T>(name: string, attributes: Record<string, string | number | boolean>, fn: (span: Span) => Promise<T>, traceparent?: string): Promise<T> {
  const parent = traceparent === undefined ? context.active() : contextFrom(traceparent);
  const span = trace.getTracer(TRACER_NAME).startSpan(name, { attributes }, parent);
  try {
    return await context.with(trace.setSpan(parent, span), () => fn(span));
  } catch (error) {
    span.setStatus({ code: SpanStatusCode.ERROR, message: error instanceof Error ? error.message : String(error) });
    throw error;
  } finally {
    span.end();
  }
}

/** A span that is ended by its caller, for work that does not fit one function. */
export function startSpan(name: string, attributes: Record<string, string | number | boolean>, traceparent?: string): Span {
  return trace.getTracer(TRACER_NAME).startSpan(name, { attributes }, traceparent === undefined ? context.active() : contextFrom(traceparent));
}

/** The traceparent of a span, or of the active one; "" when there is none. */
export function traceparentOf(span: Span | undefined = trace.getActiveSpan()): string {
  const spanContext = span?.spanContext();
  if (spanContext === undefined || !isUsable(spanContext)) return "";
  return `00-${spanContext.traceId}-${spanContext.spanId}-${spanContext.traceFlags.toString(16).padStart(2, "0")}`;
}

/** The context of a traceparent; the root context when the text is none. */
export function contextFrom(traceparent: string): Context {
  const match = TRACEPARENT.exec(traceparent);
  if (match === null) return ROOT_CONTEXT;
  const [, traceId = "", spanId = "", flags = "0"] = match;
  return trace.setSpanContext(ROOT_CONTEXT, { traceId, spanId, traceFlags: Number.parseInt(flags, 16) & TraceFlags.SAMPLED, isRemote: true });
}

function isUsable({ traceId, spanId }: SpanContext): boolean {
  return !/^0*$/.test(traceId) && !/^0*$/.test(spanId);
}

/** Contexts that follow asynchronous calls. */
class AsyncContextManager implements ContextManager {
  readonly #storage = new AsyncLocalStorage<Context>();

  active(): Context {
    return this.#storage.getStore() ?? ROOT_CONTEXT;
  }

  with<A extends unknown[], F extends (...args: A) => ReturnType<F>>(active: Context, fn: F, thisArg?: ThisParameterType<F>, ...args: A): ReturnType<F> {
    return this.#storage.run(active, () => fn.call(thisArg as never, ...args));
  }

  bind<T>(bound: Context, target: T): T {
    if (typeof target !== "function") return target;
    return ((...args: unknown[]) => this.with(bound, () => target(...args))) as T;
  }

  enable(): this {
    return this;
  }

  disable(): this {
    this.#storage.disable();
    return this;
  }
}
