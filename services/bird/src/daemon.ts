/** The bird service, put together. */
import { createServiceAddresses, openKubernetesDatastore } from "@calico/datastore";
import { bird, bgpSessionSubject, createSyncClient, events, nodeStateSubject, openRevisionsFile, querySubject, sync, type SyncStep } from "@calico/proto";
import { ConfigError, createService, every, httpComponent, reportInterval, startGrpcServer, unaryHandler, type Component, type ConfigInputs, type GrpcServer, type Logger } from "@calico/service-kit";
import { birdParams, ENV_PREFIX } from "./config.ts";
import { createBirdProcess } from "./control/process.ts";
import { createMonitor } from "./monitor.ts";
import { createReconciler } from "./reconciler.ts";
import { secretsNeeded } from "./render/secrets.ts";
import { createClusterState } from "./render/view.ts";
import { createSecretSource } from "./secrets.ts";

/** Builds the parts in the order in which they start. */
export async function buildBird(env: ConfigInputs["env"]): Promise<{ components: Component[]; log: Logger }> {
  const service = await createService("bird", birdParams, { env, envPrefix: ENV_PREFIX });
  const { config, log, clock, metrics, health, bus, node } = service;
  if (config.typhaAddr.length === 0 && config.typhaK8sServiceName === "") throw new ConfigError("neither BIRD_TYPHAADDR nor BIRD_TYPHAK8SSERVICENAME is set: no typha to ask");
  const files = { birdPath: config.birdPath, configFile: config.configFile, controlSocket: config.controlSocket };
  const state = createClusterState(node);
  let step: SyncStep | null = null;
  let connected = "not connected to typha yet";

  const process = createBirdProcess({ ...files, pidFile: config.pidFile, silenceTimeoutMs: config.silenceTimeout, onEnd: () => monitor.poke(), clock, log });
  const reconfigurations = metrics.counter("calico_bird_reconfigurations_total", "Configurations by result.", ["result"]);
  const reconciler = createReconciler({
    view() {
      if (step === null) return { waitingFor: "the sync stream" };
      // A session that is up with its password must not go because this service has just started.
      const unread = [...secretsNeeded(state.view)].filter((name) => !secrets.contents.has(name));
      return unread.length > 0 ? { waitingFor: `the secret ${unread.join(", ")}` } : { ...state.view, secrets: secrets.contents };
    },
    process, files, clock, log,
    onApplied(rendered, result) {
      if (result !== "unchanged") reconfigurations.inc({ result });
      for (const peer of rendered.refused) log.warn("A BGP peer is left out", { ...peer });
      monitor.poke();
    },
  });
  const open = (): ReturnType<typeof openKubernetesDatastore> => openKubernetesDatastore({ kubeconfig: config.kubeconfig, userAgent: `calico-bird/${service.version}` });
  const secrets = createSecretSource({
    open, namespace: config.secretNamespace, onChange: () => reconciler.trigger(), clock, log,
  });
  const monitor = createMonitor({
    controlSocket: config.controlSocket, applied: () => reconciler.applied, clock, log,
    onChange: (session) => bus.publish(bgpSessionSubject(node), events.BgpSessionChange.encode({
      node, peerAddress: session.peer.address, peerNode: session.peer.node, state: session.status.bgpState, info: session.explanation, at: new Date(clock.now()).toISOString(),
    }).finish()),
    onSilence: () => reconciler.restart(),
  });
  const established = (): number => monitor.sessions.filter(({ status }) => status.bgpState === "Established").length;
  const peers = metrics.gauge("bgp_peers", "BGP peers by state.", ["status"]);
  const routes = metrics.gauge("bgp_routes", "Routes by peer and direction.", ["peer", "direction"]);
  metrics.sampled("calico_bird_starts", "How often BIRD was started by this process.", () => process.starts);
  metrics.sampled("calico_bird_blocks", "Blocks of this node.", () => state.view.blocks.size);

  // The API server is asked where typha is only when nobody said it.
  const directory = config.typhaAddr.length > 0 ? null : open();
  const typhaAddresses = directory === null
    ? () => Promise.resolve(config.typhaAddr)
    : createServiceAddresses({ datastore: directory, namespace: config.typhaK8sNamespace, service: config.typhaK8sServiceName, cacheFile: config.typhaAddressFile, log });
  const revisions = openRevisionsFile(config.stateFile, clock);
  const syncClient = createSyncClient({
    addresses: typhaAddresses, serverName: config.typhaCn, tokenFile: config.typhaTokenFile,
    tls: config.typhaCaFile === "" ? "insecure" : { caFile: config.typhaCaFile, certFile: config.typhaCertFile, keyFile: config.typhaKeyFile },
    node, client: sync.ClientKind.CLIENT_KIND_BIRD, programVersion: service.version, revisions: revisions.load(), clock, log,
    onStatus(_, detail) {
      connected = detail;
    },
    onStep(received) {
      if (received.snapshot) state.onSnapshotStart();
      for (const { update } of received.updates) state.onUpdate(update);
      step = received;
      secrets.follow(secretsNeeded(state.view));
      revisions.save(received.revisions);
      reconciler.trigger();
    },
  });

  /** Ready: in sync, a configuration in effect, a BIRD that answers, and not all sessions down or left out. */
  function readiness(): { ready: boolean; detail: string } {
    if (step === null) return { ready: false, detail: connected };
    if (reconciler.waitingFor !== null) return { ready: false, detail: `waiting for ${reconciler.waitingFor}` };
    if (monitor.trouble !== null) return { ready: false, detail: monitor.trouble };
    const { peers: wanted = [], refused = [] } = reconciler.applied ?? {};
    const up = established();
    const down = monitor.sessions.filter(({ status }) => status.bgpState !== "Established").map(({ peer, status, explanation }) => `${peer.node || peer.address} ${status.bgpState}${explanation === "" ? "" : ` (${explanation})`}`);
    const leftOut = refused.map(({ kind, name, field, reason }) => `${kind} ${name} is left out (${field}: ${reason})`);
    const detail = [`${up} of ${wanted.length} BGP sessions established${down.length === 0 ? "" : `: ${down.join("; ")}`}`, ...leftOut, ...(reconciler.refused === "" ? [] : [`the last configuration was refused: ${reconciler.refused}`])].join("; ");
    return { ready: up > 0 || (wanted.length === 0 && refused.length === 0), detail };
  }

  const status = (): bird.StatusResponse => {
    const { ready, detail } = readiness();
    return {
      node, ready, detail, birdVersion: process.version, routerId: /router id (\S+);/.exec(reconciler.applied?.text ?? "")?.[1] ?? "", configError: reconciler.refused,
      sessions: monitor.sessions.map(({ peer, status: is, explanation }) => ({
        name: peer.protocol, peerAddress: peer.address, peerType: peer.type, peerNode: peer.node, peerAs: peer.asNumber, protocolState: is.state, state: is.bgpState,
        since: is.since, info: explanation, routesImported: is.imported, routesExported: is.exported,
      })),
    };
  };

  health.register("bird", { liveTimeoutMs: 60_000, ready: true });
  const beat = (): void => {
    health.report("bird", { live: true, ...readiness() });
    const byState = new Map<string, number>();
    for (const { status: is, peer } of monitor.sessions) {
      byState.set(is.bgpState, (byState.get(is.bgpState) ?? 0) + 1);
      routes.set({ peer: peer.address, direction: "imported" }, is.imported);
      routes.set({ peer: peer.address, direction: "exported" }, is.exported);
    }
    peers.reset();
    for (const [name, count] of byState) peers.set({ status: name }, count);
  };
  const announce = (): void => bus.publish(nodeStateSubject(node, "bird"), events.NodeState.encode({
    node, component: "bird", version: service.version, epoch: step?.epoch ?? "", sequence: step?.sequence ?? 0n, revisions: { ...step?.revisions }, at: new Date(clock.now()).toISOString(),
    failures: [...(reconciler.applied?.refused ?? []).map(({ kind, name, field, reason }) => ({ id: `${kind}/${name}`, reason: `${field} ${reason}` })), ...(reconciler.refused === "" ? [] : [{ id: "bird.cfg", reason: reconciler.refused }])],
  }).finish());

  let server: GrpcServer | undefined;
  let timers: Disposable[] = [];
  const running = new AbortController();
  let loops: Promise<unknown> = Promise.resolve();
  const components: Component[] = [
    service.ground,
    httpComponent(service, { host: config.httpHost, port: config.httpPort, portParameter: "BIRD_HTTPPORT", serve: "both" }),
    {
      name: "reconciler",
      start() {
        loops = Promise.all([reconciler.run(running.signal), monitor.run(running.signal)]);
        timers = [every(clock, reportInterval(health), beat), every(clock, 10_000, announce), bus.respond(querySubject(node, "bird"), () => bird.StatusResponse.encode(status()).finish())];
      },
      async stop() {
        running.abort();
        for (const timer of timers) timer[Symbol.dispose]();
        await loops;
        secrets.stop();
        directory?.close();
        revisions[Symbol.dispose]();
        await process.stop();
      },
    },
    { name: "sync client", start: () => syncClient.start(), stop: () => syncClient.stop() },
    {
      name: "bird server",
      async start() {
        server = await startGrpcServer({ socket: config.socket }, [{ definition: bird.BirdServiceService, implementation: { status: unaryHandler(status, log) } }]);
      },
      stop: () => server?.close(),
    },
  ];
  return { components, log };
}
