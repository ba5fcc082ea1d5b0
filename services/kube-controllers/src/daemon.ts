/** kube-controllers, put together: one replica of several works. */
import { randomUUID } from "node:crypto";
import { createAllocationStore, openKubernetesDatastore, runLeaderElection, type LeaderElection } from "@calico/datastore";
import { createBackoff, createService, delay, every, httpComponent, reportInterval, type Component, type ConfigInputs, type Logger } from "@calico/service-kit";
import { settingsOf } from "./auto-host-endpoints.ts";
import { controllersParams, ENV_PREFIX } from "./config.ts";
import { followConfiguration } from "./configuration-follower.ts";
import { checkConfig, ensureDefaults } from "./default-objects.ts";
import { createGarbageCollector } from "./garbage-collector.ts";
import { createHostEndpointKeeper } from "./host-endpoint-keeper.ts";
import { followTiers } from "./tier-controller.ts";

const CREDENTIALS_INTERVAL_MS = 3_600_000;

/** Builds the parts in the order in which they start. */
export async function buildKubeControllers(env: ConfigInputs["env"]): Promise<{ components: Component[]; log: Logger }> {
  const service = await createService("kube-controllers", controllersParams, { env, envPrefix: ENV_PREFIX });
  const { config, log, clock, metrics, health, node } = service;
  checkConfig(config);
  const datastore = openKubernetesDatastore({ kubeconfig: config.kubeconfig, userAgent: `calico-kube-controllers/${service.version}` });
  const store = createAllocationStore(datastore, () => {});
  let leakGraceMs = config.leakGracePeriod;
  const collector = createGarbageCollector({ datastore, store, clock, log, graceMs: () => leakGraceMs, maxReleases: config.maxReleasesPerScan });
  const hostEndpoints = createHostEndpointKeeper({ datastore, clock, log });
  const reclaimed = metrics.counter("ipam_allocations_gc_reclamations", "Addresses released because their pod had vanished.");
  metrics.sampled("ipam_allocations_in_use", "Addresses that are allocated.", () => collector.stats().inUse);
  metrics.sampled("ipam_allocations_gc_candidates", "Handles without a use, not released yet.", () => collector.stats().candidates);
  metrics.sampled("ipam_blocks", "Blocks in the cluster.", () => collector.stats().blocks);
  metrics.sampled("calico_kube_controllers_leader", "1 while this replica works.", () => Number(election?.isLeader ?? false));

  let election: LeaderElection | undefined;
  let defaultsMade = false;
  let lastError = "";

  /** The work of the leader, until the signal. */
  async function lead(signal: AbortSignal): Promise<void> {
    const backoff = createBackoff({ firstMs: 200, maxMs: 10_000 });
    while (!signal.aborted && !defaultsMade) {
      try {
        await ensureDefaults(datastore, config, { guid: randomUUID().replaceAll("-", ""), version: service.version, log });
        defaultsMade = true;
        lastError = "";
      } catch (error) {
        lastError = `default objects: ${error instanceof Error ? error.message : String(error)}`;
        log.warn("Default objects could not be made, trying again", { error });
        await delay(clock, backoff.next(), signal);
      }
    }
    while (!signal.aborted) {
      try {
        reclaimed.inc(await collector.scan(signal));
        lastError = "";
      } catch (error) {
        if (signal.aborted) return;
        lastError = `address scan: ${error instanceof Error ? error.message : String(error)}`;
        log.warn("A scan of the addresses failed", { error });
      }
      await delay(clock, config.leakScanInterval, signal);
    }
  }

  /** Certificates come to their end while nobody upgrades. */
  async function keepCredentials(signal: AbortSignal): Promise<void> {
    if (config.credentials.length === 0) return;
    const { credentialsWanted, ensureCredentials } = await import("./credentials/credentials.ts");
    const wanted = { datastore, namespace: config.leaseNamespace, ...credentialsWanted(config.credentials), natsCertificate: config.natsCertificateSecret, lifetimeMs: config.certificateLifetime, log };
    while (!signal.aborted) {
      try {
        await ensureCredentials({ ...wanted, now: new Date(clock.now()) });
      } catch (error) {
        log.warn("Certificates could not be looked after, trying again", { error });
      }
      await delay(clock, CREDENTIALS_INTERVAL_MS, signal);
    }
  }

  const follow = (signal: AbortSignal): Promise<void> => followConfiguration({
    datastore, inputs: { env, envPrefix: ENV_PREFIX }, clock, log,
    apply(running) {
      log.setLevel(running.logSeverityScreen);
      leakGraceMs = running.leakGraceMs;
      hostEndpoints.configure(settingsOf(running.hostEndpoint));
    },
  }, signal);

  health.register("controllers", { liveTimeoutMs: 60_000, ready: true });
  const beat = (): void => {
    const role = election?.isLeader === true ? "leading" : `standing by for ${election?.leader || "nobody"}`;
    health.report("controllers", { live: true, ready: election?.isLeader !== true || defaultsMade, detail: lastError === "" ? role : lastError });
  };
  let timer: Disposable | undefined;
  let working: Promise<void> = Promise.resolve();
  const components: Component[] = [
    service.ground,
    httpComponent(service, { host: config.httpHost, port: config.httpPort, portParameter: "KUBECONTROLLERS_HTTPPORT", serve: "both" }),
    {
      name: "controllers",
      start() {
        collector.start();
        timer = every(clock, reportInterval(health), beat);
        election = runLeaderElection({
          datastore, namespace: config.leaseNamespace, name: "calico-kube-controllers", identity: `${node}_${randomUUID()}`, log,
          onStarted(signal) {
            working = working.then(async () => {
              await Promise.all([lead(signal), keepCredentials(signal), follow(signal), hostEndpoints.run(signal), followTiers({ datastore, clock, log }, signal)]);
            });
          },
          onStopped() {},
        });
      },
      async stop() {
        timer?.[Symbol.dispose]();
        await election?.stop();
        await working;
        collector.stop();
        datastore.close();
      },
    },
  ];
  return { components, log };
}
