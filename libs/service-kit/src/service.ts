/** The ground every service stands on, made from its parameters. */
import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { systemClock, type Clock } from "./clock.ts";
import { createHealth, type Health } from "./health.ts";
import { healthRoutes, metricsRoutes, startHttp, type HttpListener } from "./http.ts";
import { ConfigError, type Component } from "./lifecycle.ts";
import { createLogger, LOG_LEVELS, type RootLogger } from "./log.ts";
import { createMetrics, type Metrics } from "./metrics.ts";
import { connectBus, type Bus } from "./nats.ts";
import { defineParams, oneOf, resolveConfig, text, textList, type ConfigInputs, type ParamTable, type ParamValues, type ResolvedConfig } from "./params.ts";
import { startTracing } from "./tracing.ts";

/** Parameters that every service has. */
export const commonParams = defineParams({
  nodename: text("").env("NODENAME").localOnly().doc("Name of the Kubernetes node; the host name when it is empty."),
  kubeconfig: text("").env("KUBECONFIG").localOnly().doc("Path of a kubeconfig; empty inside a cluster."),
  natsUrl: text("").env("NATS_URL").localOnly().doc("NATS server, tls://host:port; empty: no messages."),
  natsUser: text("").env("NATS_USER").localOnly().doc("NATS user."),
  natsPassword: text("").env("NATS_PASSWORD").localOnly().secret().doc("NATS password."),
  natsServerName: text("").env("NATS_SERVERNAME").localOnly().doc("Name that NATS' certificate must have; empty: the host of NATS_URL."),
  natsCaFile: text("").env("NATS_CAFILE").localOnly().doc("PEM file of the CA that signed NATS' certificate."),
  logSeverityScreen: oneOf(LOG_LEVELS, "Info").doc("Least severity of the log lines."),
  otlpEndpoint: text("").env("OTEL_EXPORTER_OTLP_ENDPOINT").localOnly().doc("OpenTelemetry collector (OTLP over HTTP); empty: no traces."),
});

/** Parameters of a client of typha. */
export const typhaClientParams = defineParams({
  typhaK8sServiceName: text("").localOnly().doc("Service whose endpoints are the typhas; empty: none is asked for."),
  typhaK8sNamespace: text("kube-system").localOnly().doc("Namespace of that Service."),
  typhaAddr: textList().localOnly().doc("Addresses of typha, host:port, comma-separated; empty: those of the Service."),
  typhaCaFile: text("").localOnly().doc("PEM file of the CA that signed typha's certificate."),
  typhaCertFile: text("").localOnly().doc("PEM file of the client certificate."),
  typhaKeyFile: text("").localOnly().doc("PEM file of the client's key."),
  typhaCn: text("typha-server").localOnly().doc("Common name that typha's certificate must have."),
  typhaTokenFile: text("").localOnly().doc("File with the service account token that proves this node's name."),
});

type Common = typeof commonParams;

/** What the parts of a service share. */
export interface Service<T extends ParamTable> {
  readonly name: string;
  readonly version: string;
  readonly node: string;
  readonly config: ParamValues<T & Common>;
  readonly resolved: ResolvedConfig<T & Common>;
  readonly log: RootLogger;
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly health: Health;
  readonly bus: Bus;
  /** The last part to stop: closes the bus and sends what tracing holds. */
  readonly ground: Component;
}

/** Version of this build. */
export const VERSION = "0.1.0";

/**
 * Resolves parameters from environment and file, reports those that cannot be used, and makes log, metrics,
 * health and bus. Starts tracing. Throws ConfigError when the environment has a value that cannot be used.
 */
export async function createService<const T extends ParamTable>(name: string, params: T, { env, envPrefix, file }: ConfigInputs): Promise<Service<T>> {
  const resolved: ResolvedConfig<T & Common> = resolveConfig({ ...commonParams, ...params }, file === undefined ? { env, envPrefix } : { env, envPrefix, file });
  const config: ParamValues<T & Common> = resolved.values;
  const common = config as ParamValues<Common>;
  const node = (common.nodename === "" ? hostname() : common.nodename).toLowerCase();
  const log = createLogger(name, common.logSeverityScreen);
  const clock = systemClock;
  for (const issue of resolved.issues) log.warn("A parameter cannot be used", { ...issue });
  const fatal = resolved.issues.find((issue) => issue.source === "environment" && issue.message !== "is no parameter");
  if (fatal !== undefined) throw new ConfigError(`${fatal.name}=${fatal.value} ${fatal.message}${fatal.suggestion === undefined ? "" : `; ${fatal.suggestion}`}`);
  const tracing = await startTracing(`calico-${name}`, node, common.otlpEndpoint);
  const bus = connectBus({
    url: common.natsUrl, user: common.natsUser, password: common.natsPassword, caFile: common.natsCaFile, serverName: common.natsServerName, name: `${name}@${node}`, clock, log,
  });
  const metrics = createMetrics(name);
  metrics.sampled("calico_nats_connected", "1 while NATS is connected.", () => Number(bus.connected));
  metrics.sampled("calico_nats_dropped_messages", "Messages that were dropped because NATS was away.", () => bus.dropped);
  const ground: Component = {
    name: "ground",
    start: () => log.info("Starting", { version: VERSION, node, pid: process.pid }),
    stop: async () => {
      await bus.close();
      await tracing.shutdown();
    },
  };
  return { name, version: VERSION, node, config, resolved, log, clock, metrics, health: createHealth(clock), bus, ground };
}

/** The text of a configuration file, or "" when there is none. */
export function readConfigFile(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return "";
    throw new ConfigError(`cannot read ${path}`, { cause: error });
  }
}

/** A part that serves metrics and health on one port. */
export function httpComponent(service: Pick<Service<ParamTable>, "metrics" | "health" | "log">, options: { host: string; port: number; portParameter: string; serve: "metrics" | "health" | "both" }): Component {
  let listener: HttpListener | undefined;
  const routes = {
    ...(options.serve === "health" ? {} : metricsRoutes(service.metrics.registry)),
    ...(options.serve === "metrics" ? {} : healthRoutes(service.health)),
  };
  return {
    name: `http ${options.serve}`,
    async start() {
      listener = await startHttp({ ...options, routes });
      service.log.info("Listening", { serve: options.serve, host: options.host, port: listener.port });
    },
    stop: () => listener?.close(),
  };
}
