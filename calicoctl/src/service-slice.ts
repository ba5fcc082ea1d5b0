/** Who stands behind a Service, as the cluster's controller would find out. */
import type { KubeObject } from "@calico/datastore";
import { listOf, objectOf, protocolNumber, specOf, type ServiceSlice, type WorkloadEndpoint } from "@calico/model";

/** One slice for each of its namespace's pods that the Service selects: a named target port may be another number in each. None without a selector. */
export function sliceOf(service: KubeObject, rawPods: readonly KubeObject[], pods: ReadonlyMap<string, WorkloadEndpoint>): ServiceSlice[] {
  const { selector, ports } = specOf(service);
  const wanted = Object.entries(objectOf(selector));
  const { namespace = "", name } = service.metadata;
  if (wanted.length === 0) return [];
  return rawPods.flatMap((raw) => {
    const labels = objectOf(raw.metadata.labels);
    if (!wanted.every(([key, value]) => labels[key] === value)) return [];
    const pod = pods.get(`${namespace}/${raw.metadata.name}`);
    if (pod === undefined) return [];
    const containerPorts = listOf(specOf(raw)["containers"]).flatMap((container) => listOf(objectOf(container)["ports"])).map(objectOf);
    return [{ id: `${namespace}/${name}-${pod.pod}`, service: { namespace, name }, addresses: pod.addresses, ports: listOf(ports).flatMap((port) => servedBy(objectOf(port), containerPorts)) }];
  });
}

type Fields = Readonly<Record<string, unknown>>;

/** The port of a pod that a port of a Service leads to; none when the pod does not name it. */
function servedBy({ port, targetPort = port, protocol: written = "TCP" }: Fields, containerPorts: readonly Fields[]): ServiceSlice["ports"] {
  const protocol = protocolNumber(written);
  if (protocol === null) return [];
  const number = typeof targetPort === "number" ? targetPort : containerPorts.find(({ name, protocol: of = "TCP" }) => name === targetPort && protocolNumber(of) === protocol)?.["containerPort"];
  return typeof number === "number" ? [{ protocol, port: number }] : [];
}
