/** Who stands behind a Service, as the cluster's controller would find out. */
import type { KubeObject } from "@calico/datastore";
import { protocolNumber, type ServiceSlice, type WorkloadEndpoint } from "@calico/model";

type Port = { readonly port?: unknown; readonly targetPort?: unknown; readonly protocol?: unknown };
type Container = { readonly ports?: readonly { readonly name?: string; readonly containerPort?: number; readonly protocol?: string }[] };

/** One slice for each pod that the Service selects: a named target port may be another number in each. None without a selector. */
export function sliceOf(service: KubeObject, rawPods: readonly KubeObject[], pods: ReadonlyMap<string, WorkloadEndpoint>): ServiceSlice[] {
  const { selector, ports = [] } = (service as KubeObject & { spec?: { selector?: Record<string, string>; ports?: readonly Port[] } }).spec ?? {};
  const { namespace = "", name } = service.metadata;
  if (selector === undefined || Object.keys(selector).length === 0) return [];
  return rawPods.flatMap((raw) => {
    const pod = pods.get(`${namespace}/${raw.metadata.name}`);
    const labels = raw.metadata.labels as Record<string, string> | undefined;
    if (raw.metadata.namespace !== namespace || pod === undefined || !Object.entries(selector).every(([key, value]) => labels?.[key] === value)) return [];
    const { containers = [] } = (raw as KubeObject & { spec?: { containers?: readonly Container[] } }).spec ?? {};
    return [{ id: `${namespace}/${name}-${pod.pod}`, service: { namespace, name }, addresses: pod.addresses, ports: ports.flatMap((port) => servedBy(port, containers)) }];
  });
}

/** The port of a pod that a port of a Service leads to; none when the pod does not name it. */
function servedBy({ port, targetPort = port, protocol: written = "TCP" }: Port, containers: readonly Container[]): ServiceSlice["ports"] {
  const protocol = protocolNumber(written);
  if (protocol === null) return [];
  if (typeof targetPort === "number") return [{ protocol, port: targetPort }];
  const found = containers.flatMap(({ ports = [] }) => ports).find(({ name, protocol: of = "TCP" }) => name === targetPort && protocolNumber(of) === protocol);
  return found?.containerPort === undefined ? [] : [{ protocol, port: found.containerPort }];
}
