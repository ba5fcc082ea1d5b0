/** The cni service, put together. */
import { join } from "node:path";
import { openKubernetesDatastore } from "@calico/datastore";
import { cni, createFelixClient, createIpamClient, events, nodeStateSubject, querySubject } from "@calico/proto";
import { createService, describeError, every, httpComponent, type Component, type ConfigInputs, type Logger } from "@calico/service-kit";
import { createCallHandler } from "./calls.ts";
import { cniParams, ENV_PREFIX, SPEC_VARIABLES } from "./config.ts";
import { createContainerStore } from "./container-store.ts";
import { installExtraPlugins } from "./extra-plugins.ts";
import { createConflistInstaller, installPlugin, shadowingConflist } from "./install.ts";
import { createKernelPodNetwork } from "./kernel-pod-network.ts";
import { createKubePods } from "./kube-pods.ts";
import { startCniServer, type CniServer } from "./server.ts";
import { createSpool } from "./spool.ts";

const STATUS_TIMEOUT_MS = 2_000;

/** Builds the parts in the order in which they start. */
export async function buildCni(env: ConfigInputs["env"]): Promise<{ components: Component[]; log: Logger }> {
  const own = Object.fromEntries(Object.entries(env).filter(([name]) => !SPEC_VARIABLES.includes(name)));
  const service = await createService("cni", cniParams, { env: own, envPrefix: ENV_PREFIX });
  const { config, log, clock, metrics, health, bus, node } = service;
  const datastore = openKubernetesDatastore({ kubeconfig: config.kubeconfig, userAgent: `calico-cni/${service.version}`, requestTimeoutMs: 5_000 });
  const felix = createFelixClient(config.felixSocket);
  const ipam = createIpamClient(config.ipamSocket);
  const pods = createKubePods(datastore, clock, log);
  const containers = createContainerStore(join(config.stateDir, "containers"));
  const spool = createSpool(join(config.stateDir, "spool"), log);

  const calls = metrics.histogram("calico_cni_call_duration_seconds", "Time of a call, by command and error code (0: success).", ["command", "code"]);
  const stages = metrics.histogram("calico_cni_stage_duration_seconds", "Time of a stage of ADD.", ["stage"]);
  metrics.sampled("calico_cni_spooled_deletions", "Deletions that wait because the daemon was down.", () => spool.size);
  metrics.sampled("calico_cni_containers", "Containers that have an interface.", () => containers.list().length);

  /** Why pods cannot be served, in words. */
  async function notReady(): Promise<string | null> {
    try {
      const [dataplane, addresses] = await Promise.all([felix.status(STATUS_TIMEOUT_MS), ipam.status(STATUS_TIMEOUT_MS)]);
      if (!dataplane.inSync) return `felix is not in sync${dataplane.lastError === "" ? "" : `: ${dataplane.lastError}`}`;
      return addresses.ready ? null : addresses.detail;
    } catch (error) {
      return describeError(error);
    }
  }

  const handler = createCallHandler({
    notReady,
    onCall: (command, seconds, code) => calls.observe({ command, code: String(code) }, seconds),
    surroundings: {
      node, pods, ipam, felix, containers, log, network: createKernelPodNetwork(), settings: config, onStage: (stage, seconds) => stages.observe({ stage }, seconds),
    },
  });

  health.register("cni", { liveTimeoutMs: 60_000, ready: true });
  const install = createConflistInstaller(config, log);
  let installed = false;
  /** The configuration of another plugin that was there before ours when last looked. */
  let shadow: string | null = null;
  let serves = { ready: false, detail: "not looked yet" };
  async function beat(): Promise<void> {
    let reason = await notReady();
    if (reason === null && !installed) {
      reason = install();
      installed = reason === null;
    }
    const other = shadowingConflist(config);
    if (other !== null && other !== shadow && installed) log.warn("Another network configuration comes before this one", { file: join(config.netDir, other) });
    shadow = other;
    serves = { ready: reason === null && installed, detail: reason ?? (other === null ? "serves pods" : `${other} in ${config.netDir} comes before ${config.confName}`) };
    health.report("cni", { live: true, ...serves });
    if (spool.size > 0) await spool.replay(handler);
  }
  const status = (): cni.StatusResponse => ({ ...serves, containers: containers.list().length, spooledDeletions: spool.size });
  const announce = (): void => bus.publish(nodeStateSubject(node, "cni"), events.NodeState.encode({
    node, component: "cni", version: service.version, epoch: "", sequence: 0n, revisions: {}, failures: [], at: new Date(clock.now()).toISOString(),
  }).finish());

  let server: CniServer | undefined;
  let timers: Disposable[] = [];
  const components: Component[] = [
    service.ground,
    httpComponent(service, { host: config.httpHost, port: config.httpPort, portParameter: "CNI_HTTPPORT", serve: "both" }),
    {
      name: "installer",
      start() {
        installPlugin(config);
        for (const { name, outcome } of installExtraPlugins(config)) if (outcome !== "current") log.info("Plugin of others", { plugin: name, outcome });
      },
      stop() {},
    },
    {
      name: "cni server",
      async start() {
        server = await startCniServer(config.socket, handler);
        // Often until the node has its network, then calmly.
        timers = [every(clock, 100, async () => {
          if (!installed) await beat();
        }), every(clock, 5_000, beat), every(clock, 10_000, announce), bus.respond(querySubject(node, "cni"), () => cni.StatusResponse.encode(status()).finish())];
      },
      async stop() {
        for (const timer of timers) timer[Symbol.dispose]();
        await server?.close();
        await pods.stop();
        felix[Symbol.dispose]();
        ipam[Symbol.dispose]();
        datastore.close();
      },
    },
  ];
  return { components, log };
}
