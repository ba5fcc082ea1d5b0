/** The ipam service, put together. */
import { createAllocationStore, createEventRecorder, openKubernetesDatastore } from "@calico/datastore";
import { ipam } from "@calico/proto";
import { createService, httpComponent, startGrpcServer, type Component, type ConfigInputs, type GrpcServer, type Logger } from "@calico/service-kit";
import { createAllocator } from "./allocator.ts";
import { createClusterView } from "./cluster-view.ts";
import { ENV_PREFIX, ipamParams } from "./config.ts";
import { createExhaustionReport } from "./exhaustion.ts";
import { createHandleWriter } from "./handle-writer.ts";
import { createIpamService } from "./service.ts";

/** Builds the parts in the order in which they start. */
export async function buildIpam(env: ConfigInputs["env"]): Promise<{ components: Component[]; log: Logger }> {
  const service = await createService("ipam", ipamParams, { env, envPrefix: ENV_PREFIX });
  const { config, log, clock, metrics, health, node } = service;
  const datastore = openKubernetesDatastore({ kubeconfig: config.kubeconfig, userAgent: `calico-ipam/${service.version}`, requestTimeoutMs: config.requestTimeout });
  const writes = metrics.counter("calico_ipam_writes_total", "Writes of IPAM objects by kind and outcome.", ["kind", "outcome"]);
  const assigning = metrics.histogram("calico_ipam_assign_duration_seconds", "Time to serve an assignment.", ["ok"]);
  const writeTime = metrics.histogram("calico_ipam_write_duration_seconds", "Time that the datastore takes for a write.", ["kind"]);
  const store = createAllocationStore(datastore, (kind, outcome, seconds) => {
    writes.inc({ kind, outcome });
    writeTime.observe({ kind }, seconds);
  });
  const view = createClusterView(datastore, node, log);
  const handles = createHandleWriter(store, clock, log);
  const now = (): string => new Date(clock.now()).toISOString();
  const allocator = createAllocator({ node, view, store, handles, now });
  metrics.sampled("calico_ipam_blocks", "Blocks with affinity to this node.", () => allocator.blocks.length);
  metrics.sampled("calico_ipam_allocations", "Addresses in use in the blocks of this node.", () => allocator.blocks.reduce((sum, block) => sum + block.allocations.length - block.unallocated.length, 0));
  metrics.sampled("calico_ipam_handle_backlog", "Handle objects that wait to be written.", () => handles.backlog);
  health.register("ipam", { liveTimeoutMs: 60_000, ready: true });
  const recorder = createEventRecorder({ datastore, component: "calico-ipam", host: node, log });
  metrics.sampled("calico_events_dropped", "Events that were too many or were refused.", () => recorder.dropped);
  const reportExhaustion = createExhaustionReport({ node, view, recorder });
  const implementation = createIpamService({ allocator, view, log, now, reportExhaustion, onAssigned: (seconds, ok) => assigning.observe({ ok: String(ok) }, seconds) });

  let server: GrpcServer | undefined;
  let heartbeat: NodeJS.Timeout | undefined;
  const beat = (): void => health.report("ipam", { live: true, ready: view.missing === null, detail: view.missing ?? "gives addresses" });
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
        heartbeat = setInterval(beat, 1_000);
      },
      async stop() {
        clearInterval(heartbeat);
        await server?.close();
      },
    },
  ];
  return { components, log };
}
