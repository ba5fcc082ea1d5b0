/** Typha, put together. */
import { randomUUID } from "node:crypto";
import { createClusterHalf } from "@calico/calc";
import { createEventRecorder, openKubernetesDatastore } from "@calico/datastore";
import { events, nodeStateSubject } from "@calico/proto";
import { ConfigError, createService, every, httpComponent, reportInterval, startGrpcServer, type Component, type ConfigInputs, type GrpcServer, type Logger } from "@calico/service-kit";
import { ENV_PREFIX, typhaParams } from "./config.ts";
import { createFindings } from "./findings.ts";
import { createHub } from "./hub.ts";
import { createIdentityCheck } from "./identity.ts";
import { createNodeConfigStore } from "./node-config.ts";
import { createSources, type Sources } from "./sources.ts";
import { createSyncService } from "./sync-service.ts";

/** Builds the parts in the order in which they start. */
export async function buildTypha(env: ConfigInputs["env"]): Promise<{ components: Component[]; log: Logger }> {
  const service = await createService("typha", typhaParams, { env, envPrefix: ENV_PREFIX });
  const { config, log, clock, metrics, health, bus, node } = service;
  if (config.insecure && !["127.0.0.1", "::1", "localhost"].includes(config.serverHost)) throw new ConfigError("TYPHA_INSECURE=true needs TYPHA_SERVERHOST to be a loopback address");
  for (const [name, value] of [["TYPHA_CAFILE", config.caFile], ["TYPHA_SERVERCERTFILE", config.serverCertFile], ["TYPHA_SERVERKEYFILE", config.serverKeyFile]] as const) {
    if (!config.insecure && value === "") throw new ConfigError(`${name} is not set: typha serves nodes over mutual TLS only`);
  }
  const datastore = openKubernetesDatastore({ kubeconfig: config.kubeconfig, userAgent: `calico-typha/${service.version}` });
  const epoch = randomUUID();
  const nodeConfig = createNodeConfigStore();
  const sourcesOf: { current: Sources | null } = { current: null };
  const hub = createHub({
    clock, config: nodeConfig, labelsOf: (name) => sourcesOf.current?.labelsOf(name) ?? {}, retentionMs: config.resumeRetention, maxTombstones: config.maxTombstones, log,
  });
  const half = createClusterHalf(hub);
  hub.attach(half);
  const updates = metrics.counter("typha_updates_total", "Objects that changed, by kind.", ["kind"]);
  metrics.sampled("typha_breadcrumb_seq_number", "Sequence of the last change.", () => hub.sequence);
  metrics.sampled("calico_typha_node_views", "Nodes whose needs are tracked.", () => hub.views);
  const recorder = createEventRecorder({ datastore, component: "calico-typha", host: node, log });
  metrics.sampled("calico_events_dropped", "Events that were too many or were refused.", () => recorder.dropped);
  const sources = createSources({ datastore, half, hub, config: nodeConfig, log, findings: createFindings({ bus, log, metrics, recorder }), onUpdate: (kind) => updates.inc({ kind }) });
  sourcesOf.current = sources;
  const syncService = createSyncService({
    hub, epoch, ready: sources.ready, revisions: () => sources.revisions(), clock, log, metrics, maxConnections: config.maxConnections,
    identity: config.insecure || !config.verifyNodeTokens ? null : createIdentityCheck(datastore, clock), clientCn: config.insecure ? "" : config.clientCn,
  });

  health.register("datastore", { liveTimeoutMs: 60_000, ready: true });
  const beat = (): void => {
    const waiting = sources.isReady ? null : `not in sync: ${sources.trouble ?? "listing"}`;
    health.report("datastore", { live: true, ready: sources.isReady, detail: waiting ?? sources.trouble ?? `in sync, ${syncService.connections} streams` });
  };
  const announce = (): void => bus.publish(nodeStateSubject(node, "typha"), events.NodeState.encode({
    node, component: "typha", version: service.version, epoch, sequence: BigInt(hub.sequence), revisions: sources.revisions(), failures: [], at: new Date(clock.now()).toISOString(),
  }).finish());

  let server: GrpcServer | undefined;
  let timers: Disposable[] = [];
  const components: Component[] = [
    service.ground,
    httpComponent(service, { host: config.healthHost, port: config.healthPort, portParameter: "TYPHA_HEALTHPORT", serve: "health" }),
    ...(config.prometheusMetricsEnabled
      ? [httpComponent(service, { host: config.prometheusMetricsHost, port: config.prometheusMetricsPort, portParameter: "TYPHA_PROMETHEUSMETRICSPORT", serve: "metrics" })]
      : []),
    {
      name: "sources",
      start() {
        sources.start();
        timers = [every(clock, reportInterval(health), beat), every(clock, 10_000, announce)];
      },
      stop() {
        for (const timer of timers) timer[Symbol.dispose]();
        sources.stop();
        recorder.stop();
        datastore.close();
      },
    },
    {
      name: "sync server",
      async start() {
        const tls = config.insecure ? "insecure" : { caFile: config.caFile, certFile: config.serverCertFile, keyFile: config.serverKeyFile };
        server = await startGrpcServer({ host: config.serverHost, port: config.serverPort, portParameter: "TYPHA_SERVERPORT", tls }, [syncService.service]);
        log.info("Serving nodes", { host: config.serverHost, port: server.port, epoch });
      },
      async stop() {
        syncService.closeAll();
        await server?.close();
      },
    },
  ];
  return { components, log };
}
