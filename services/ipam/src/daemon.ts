/** The ipam service, put together. */
import { coreTypes, createAllocationStore, createEventRecorder, openKubernetesDatastore } from "@calico/datastore";
import { NODE_VXLAN_ADDRESS_ANNOTATION } from "@calico/model";
import { ipam, querySubject } from "@calico/proto";
import { createService, every, httpComponent, reportInterval, startGrpcServer, type Component, type ConfigInputs, type GrpcServer, type Logger } from "@calico/service-kit";
import { createAllocator } from "./allocator.ts";
import { createClusterView } from "./cluster-view.ts";
import { ENV_PREFIX, ipamParams } from "./config.ts";
import { createExhaustionReport } from "./exhaustion.ts";
import { createHandleWriter } from "./handle-writer.ts";
import { createIpamService, statusOf } from "./service.ts";
import { createTunnelAddress } from "./tunnel-address.ts";

/** How often blocks that no pool wants are looked for. */
const TIDY_INTERVAL_MS = 10_000;
/** How often a tunnel address that could not be had is tried for again. */
const TUNNEL_INTERVAL_MS = 5_000;

/** Builds the parts in the order in which they start. */
export async function buildIpam(env: ConfigInputs["env"]): Promise<{ components: Component[]; log: Logger }> {
  const service = await createService("ipam", ipamParams, { env, envPrefix: ENV_PREFIX });
  const { config, log, clock, metrics, health, bus, node } = service;
  const datastore = openKubernetesDatastore({ kubeconfig: config.kubeconfig, userAgent: `calico-ipam/${service.version}`, requestTimeoutMs: config.requestTimeout });
  const writes = metrics.counter("calico_ipam_writes_total", "Writes of IPAM objects by kind and outcome.", ["kind", "outcome"]);
  const assigning = metrics.histogram("calico_ipam_assign_duration_seconds", "Time to serve an assignment.", ["ok"]);
  const writeTime = metrics.histogram("calico_ipam_write_duration_seconds", "Time that the datastore takes for a write.", ["kind"]);
  const store = createAllocationStore(datastore, (kind, outcome, seconds) => {
    writes.inc({ kind, outcome });
    writeTime.observe({ kind }, seconds);
  });
  const view = createClusterView(datastore, node, log, () => void tunnel.refresh());
  const handles = createHandleWriter(store, clock, log);
  const now = (): string => new Date(clock.now()).toISOString();
  const allocator = createAllocator({ node, view, store, handles, now });
  const tunnel = createTunnelAddress({
    node, view, allocator, clock, log,
    async announce(address) {
      await datastore.patch(coreTypes.nodes, { name: node }, { metadata: { annotations: { [NODE_VXLAN_ADDRESS_ANNOTATION]: address } } }, { type: "merge" });
    },
  });
  metrics.sampled("calico_ipam_blocks", "Blocks with affinity to this node.", () => allocator.blocks.length);
  metrics.sampled("calico_ipam_allocations", "Addresses in use in the blocks of this node.", () => allocator.blocks.reduce((sum, block) => sum + block.allocations.length - block.unallocated.length, 0));
  metrics.sampled("calico_ipam_handle_backlog", "Handle objects that wait to be written.", () => handles.backlog);
  health.register("ipam", { liveTimeoutMs: 60_000, ready: true });
  const recorder = createEventRecorder({ datastore, component: "calico-ipam", host: node, log });
  metrics.sampled("calico_events_dropped", "Events that were too many or were refused.", () => recorder.dropped);
  const reportExhaustion = createExhaustionReport({ node, view, recorder });
  const implementation = createIpamService({ allocator, view, log, now, reportExhaustion, onAssigned: (seconds, ok) => assigning.observe({ ok: String(ok) }, seconds) });

  let server: GrpcServer | undefined;
  let timers: Disposable[] = [];
  const beat = (): void => health.report("ipam", { live: true, ready: view.missing === null, detail: [view.missing ?? "gives addresses", ...(tunnel.trouble === null ? [] : [tunnel.trouble])].join("; ") });
  const tidy = async (): Promise<void> => {
    // Without knowing the pools every block would look unwanted.
    if (view.missing !== null) return;
    try {
      for (const block of await allocator.tidy()) log.info("An empty block that no pool wants here is given back", { block });
    } catch (error) {
      log.warn("Blocks could not be given back, tried again later", { error });
    }
  };
  const components: Component[] = [
    service.ground,
    httpComponent(service, { host: config.httpHost, port: config.httpPort, portParameter: "IPAM_HTTPPORT", serve: "both" }),
    {
      name: "cluster view",
      start: () => view.start(),
      async stop() {
        view.stop();
        recorder.stop();
        await handles.stop(3_000);
        datastore.close();
      },
    },
    {
      name: "ipam server",
      async start() {
        server = await startGrpcServer({ socket: config.socket }, [{ definition: ipam.IpamServiceService, implementation }]);
        timers = [
          every(clock, reportInterval(health), beat), every(clock, TIDY_INTERVAL_MS, tidy), every(clock, TUNNEL_INTERVAL_MS, () => tunnel.refresh()),
          bus.respond(querySubject(node, "ipam"), () => ipam.StatusResponse.encode(statusOf({ view, allocator })).finish()),
        ];
      },
      async stop() {
        for (const timer of timers) timer[Symbol.dispose]();
        await server?.close();
      },
    },
  ];
  return { components, log };
}
