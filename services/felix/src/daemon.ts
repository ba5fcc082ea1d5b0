/** Felix, put together. */
import { join } from "node:path";
import { createNodeHalf } from "@calico/calc";
import { createEventRecorder, createServiceAddresses, openKubernetesDatastore } from "@calico/datastore";
import { openRtnetlink, openSys } from "@calico/kernel";
import { createSyncClient, events, felix, nodeStateSubject, openRevisionsFile, policyAppliedSubject, querySubject, sync, type SyncStep } from "@calico/proto";
import { changedParams, commonParams, ConfigError, createService, every, httpComponent, readConfigFile, reportInterval, resolveConfig, startGrpcServer, startSpan, type Component, type ConfigInputs, type ConfigLayer, type GrpcServer, type Logger } from "@calico/service-kit";
import { createAttachmentStore } from "./attach/attachment-store.ts";
import { createFelixService } from "./attach/service.ts";
import { CONFIG_FILE, ENV_PREFIX, felixParams, type FelixConfig } from "./config.ts";
import { createDataplane } from "./dataplane/dataplane.ts";
import { createEngine } from "./engine.ts";
import { createConflictReport } from "./node/conflict-report.ts";
import { createNodeConflicts } from "./node/node-conflicts.ts";
import { replaceFile } from "./node/files.ts";
import { createNodeObject } from "./node/node-object.ts";
import { statusOf } from "./status.ts";

/** Builds the parts in the order in which they start. */
export async function buildFelix(env: ConfigInputs["env"]): Promise<{ components: Component[]; log: Logger }> {
  const file = readConfigFile(env["FELIX_CONFIGFILE"] ?? CONFIG_FILE);
  const inputs = { env, envPrefix: ENV_PREFIX, file };
  const service = await createService("felix", felixParams, inputs);
  const { config, log, clock, metrics, health, bus } = service;
  const node = config.felixHostname === "" ? service.node : config.felixHostname.toLowerCase();
  if (process.getuid?.() !== 0) throw new ConfigError("felix programs the kernel and must run as root (or with CAP_NET_ADMIN and CAP_SYS_ADMIN as uid 0)");
  if (config.typhaAddr.length === 0 && config.typhaK8sServiceName === "") throw new ConfigError("neither FELIX_TYPHAADDR nor FELIX_TYPHAK8SSERVICENAME is set: no typha to ask");
  reportUnbuilt(config, log);
  const datastore = openKubernetesDatastore({ kubeconfig: config.kubeconfig, userAgent: `calico-felix/${service.version}` });
  const attachments = createAttachmentStore(join(config.stateDir, "endpoints"));
  const revisions = openRevisionsFile(join(config.stateDir, "revisions.json"), clock);

  let resolved = resolveConfig({ ...commonParams, ...felixParams }, inputs);
  const dataplane = createDataplane({
    log, clock, config: resolved.values, onDrift: () => engine.trigger(),
    onPodMtu(mtu) {
      replaceFile(join(config.libDir, "mtu"), String(mtu));
      log.info("MTU of new pods", { mtu });
    },
  });
  const conflicts = createNodeConflicts(node);
  const recorder = createEventRecorder({ datastore, component: "calico-felix", host: node, log });
  const reportConflict = createConflictReport({ node, conflicts, recorder, log });
  metrics.sampled("calico_events_dropped", "Events that were too many or were refused.", () => recorder.dropped);
  const nodeObject = createNodeObject({ datastore, node, libDir: config.libDir, settings: config, clock, log, onAnnounced: (addresses) => conflicts.onAnnounced(addresses), isForgotten: () => conflicts.isForgotten });
  let nodeReady = false;
  const applyTime = metrics.histogram("felix_int_dataplane_apply_time_seconds", "Time to bring the kernel up to date.");
  const engine = createEngine({
    createNodeHalf: (sink) => createNodeHalf({ node, sink }), dataplane, clock, log,
    onApplied(steps, seconds) {
      applyTime.observe(seconds);
      if (engine.isInSync && !nodeReady) {
        nodeReady = true;
        nodeObject.onReady();
      }
      if (steps.length > 0) reportApplied(steps);
    },
  });
  metrics.sampled("felix_active_local_endpoints", "Endpoints of this node in the dataplane.", () => engine.endpoints.size);
  metrics.sampled("felix_active_local_policies", "Policies in the dataplane.", () => engine.policies.size);
  metrics.sampled("felix_int_dataplane_failures", "Times that the kernel could not be brought up to date.", () => engine.commitErrors);
  metrics.sampled("felix_resync_state", "3 in sync, 2 connected, 1 waiting.", () => (engine.isInSync ? 3 : connected ? 2 : 1));
  for (const [name, help, read] of dataplane.gauges()) metrics.sampled(name, help, read);

  let connected = false;
  let connection = "not connected to typha yet";

  /** FelixConfiguration as typha sends it, least specific first; applied without a restart. */
  function onLayers(layers: readonly ConfigLayer[]): void {
    const next = resolveConfig({ ...commonParams, ...felixParams }, { ...inputs, layers: [...layers].reverse() });
    const changed = changedParams(resolved, next);
    for (const issue of next.issues) if (issue.source !== "environment") log.warn("A parameter cannot be used", { ...issue });
    resolved = next;
    if (changed.length === 0) return;
    log.info("Configuration changed", { parameters: changed });
    log.setLevel(next.values.logSeverityScreen);
    reportUnbuilt(next.values, log);
    if (changed.some((name) => name in felixParams && felixParams[name as keyof typeof felixParams].needsRender)) dataplane.reconfigure(next.values);
  }

  async function onStep(step: SyncStep): Promise<void> {
    if (step.snapshot) conflicts.onSnapshotStart();
    for (const { update } of step.updates) {
      conflicts.onUpdate(update);
      if (update.kind === "FelixConfig") onLayers(update.layers);
    }
    if (conflicts.isForgotten) nodeObject.onForgotten();
    await engine.onStep(step);
    if (engine.lastError === "") revisions.save(step.revisions);
  }

  function reportApplied(steps: readonly SyncStep[]): void {
    const policies = steps.flatMap(({ updates }) => updates.flatMap(({ update }) => (update.kind === "Policy" ? [{ id: update.value.id as string, revision: update.value.revision }] : [])));
    const last = steps.at(-1);
    if (last === undefined) return;
    const traceparent = steps.flatMap(({ updates }) => updates.map((update) => update.traceparent)).find((text) => text !== "") ?? "";
    if (traceparent !== "") startSpan("felix.apply", { policies: policies.length }, traceparent).end();
    if (policies.length === 0) return;
    bus.publish(policyAppliedSubject(node), events.PolicyApplied.encode({
      node, sequence: last.sequence, policies, receivedAtUs: BigInt(Math.round(last.receivedAt * 1000)), committedAtUs: BigInt(Math.round((performance.timeOrigin + performance.now()) * 1000)), traceparent,
    }).finish());
  }

  const typhaAddresses = config.typhaAddr.length > 0
    ? () => Promise.resolve(config.typhaAddr)
    : createServiceAddresses({ datastore, namespace: config.typhaK8sNamespace, service: config.typhaK8sServiceName, cacheFile: join(config.libDir, "felix-typha.json"), log });
  const syncClient = createSyncClient({
    addresses: typhaAddresses, serverName: config.typhaCn, tokenFile: config.typhaTokenFile,
    tls: config.typhaCaFile === "" ? "insecure" : { caFile: config.typhaCaFile, certFile: config.typhaCertFile, keyFile: config.typhaKeyFile },
    node, client: sync.ClientKind.CLIENT_KIND_FELIX, programVersion: service.version, revisions: revisions.load(), clock, log, onStep,
    onStatus(isConnected, detail) {
      connected = isConnected;
      connection = detail;
    },
  });

  const status = (request: felix.StatusRequest): felix.StatusResponse => statusOf({ node, version: service.version, engine, dataplane, connection }, request);

  health.register("sync", { liveTimeoutMs: 60_000, ready: true });
  health.register("dataplane", { liveTimeoutMs: config.dataplaneWatchdogTimeout, ready: true });
  health.register("node", { liveTimeoutMs: false, ready: true });
  const beat = (): void => {
    health.report("sync", { ready: engine.isInSync, detail: engine.isInSync ? connection : `not in sync: ${connection}` });
    const failures = dataplane.failures();
    const detail = engine.lastError !== "" ? engine.lastError : !engine.isApplied ? "nothing was applied yet" : failures.length > 0 ? failures.map(({ id, reason }) => `${id}: ${reason}`).join("; ") : "up to date";
    health.report("dataplane", { ready: engine.isApplied, detail: [detail, ...dataplane.obstacles()].join("; ") });
    const conflict = reportConflict();
    health.report("node", { ready: nodeObject.trouble === null && conflict === null, detail: nodeObject.trouble ?? conflict ?? "announced" });
  };
  const announce = (): void => bus.publish(nodeStateSubject(node, "felix"), events.NodeState.encode({
    node, component: "felix", version: service.version, epoch: engine.step?.epoch ?? "", sequence: engine.step?.sequence ?? 0n, revisions: { ...engine.step?.revisions }, failures: [...dataplane.failures()],
    at: new Date(clock.now()).toISOString(),
  }).finish());

  let server: GrpcServer | undefined;
  let timers: Disposable[] = [];
  const running = new AbortController();
  let loops: Promise<unknown> = Promise.resolve();
  const components: Component[] = [
    service.ground,
    ...(config.healthEnabled ? [httpComponent(service, { host: config.healthHost, port: config.healthPort, portParameter: "FELIX_HEALTHPORT", serve: "health" })] : []),
    ...(config.prometheusMetricsEnabled
      ? [httpComponent(service, { host: config.prometheusMetricsHost === "" ? "::" : config.prometheusMetricsHost, port: config.prometheusMetricsPort, portParameter: "FELIX_PROMETHEUSMETRICSPORT", serve: "metrics" })]
      : []),
    {
      name: "dataplane",
      async start() {
        await dataplane.start();
        const indexes = interfaceIndexes();
        engine.restore(attachments.list().filter((attachment) => {
          if (indexes.get(attachment.interfaceName) === attachment.interfaceIndex) return true;
          attachments.remove(attachment.uid, attachment.containerId);
          return false;
        }));
        loops = Promise.all([engine.run(running.signal), nodeObject.run(running.signal)]);
        timers = [
          every(clock, reportInterval(health), beat), every(clock, config.reportingInterval, announce), bus.respond(querySubject(node, "felix"), ({ data }) => felix.StatusResponse.encode(status(felix.StatusRequest.decode(data))).finish()),
        ];
      },
      async stop() {
        running.abort();
        for (const timer of timers) timer[Symbol.dispose]();
        await loops;
        revisions[Symbol.dispose]();
        await dataplane.stop();
        recorder.stop();
        datastore.close();
      },
    },
    { name: "sync client", start: () => syncClient.start(), stop: () => syncClient.stop() },
    {
      name: "felix server",
      async start() {
        const implementation = createFelixService({ engine, store: attachments, timeoutMs: config.attachTimeout, status, log });
        server = await startGrpcServer({ socket: config.socket }, [{ definition: felix.FelixServiceService, implementation }]);
      },
      stop: () => server?.close(),
    },
  ];
  return { components, log };
}

/** What is asked for and not part of this version is said, once per change; the nftables dataplane goes on. */
function reportUnbuilt(config: Pick<FelixConfig, "bpfEnabled" | "nftablesMode">, log: Logger): void {
  if (config.bpfEnabled) log.error("bpfEnabled is true, but the eBPF dataplane is not part of this version; nftables stays in force");
  if (config.nftablesMode === "Disabled") log.error("nftablesMode is Disabled, but the iptables dataplane is not part of this version; nftables stays in force");
}

/** The interfaces of this network namespace; what is mounted at /sys may be another one's. */
function interfaceIndexes(): ReadonlyMap<string, number> {
  using rtnetlink = openRtnetlink(openSys());
  return new Map(rtnetlink.listLinks().map(({ name, index }) => [name, index]));
}
