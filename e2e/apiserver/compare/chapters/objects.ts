import { CALICO, calico, chapter, CORE, core, get, namespaceSteps, pod, post, put, remove, type Step } from "../script.ts";

const NAMESPACE = "objects";
const inside = `${CORE}/namespaces/${NAMESPACE}`;
const TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";

/** Makes an object, reads it, puts it back as it is, reads it as a table, removes it. */
function life(plural: string, root: string, name: string, object: object): Step[] {
  const path = `${root}/${plural}`;
  return [
    post(`create ${plural}`, path, object), get(`get ${plural}`, `${path}/${name}`), post(`create ${plural} again`, path, object),
    get(`table of ${plural}`, `${path}/${name}`, { headers: { accept: TABLE } }), remove(`delete ${plural}`, `${path}/${name}`, plural === "pods" ? { gracePeriodSeconds: 0 } : undefined), get(`${plural} is gone`, `${path}/${name}`, { until: 404 }),
  ];
}

const peer = { podSelector: { matchLabels: { app: "a" } } };

/** Every kind that the product writes, with the defaults that it gets. */
export const objects = chapter("objects", [
  ...namespaceSteps(NAMESPACE),
  ...life("pods", inside, "a", pod("a", { containers: [{ name: "c", image: "i", ports: [{ containerPort: 80 }, { containerPort: 53, protocol: "UDP", name: "dns" }] }] }, { labels: { app: "a" } })),
  ...life("services", inside, "a", core("Service", "a", { spec: { clusterIP: "None", selector: { app: "a" }, ports: [{ port: 80 }] } })),
  ...life("configmaps", inside, "a", core("ConfigMap", "a", { data: { key: "value" } })),
  ...life("secrets", inside, "a", core("Secret", "a", { stringData: { key: "value" } })),
  ...life("serviceaccounts", inside, "a", core("ServiceAccount", "a")),
  ...life("endpoints", inside, "a", core("Endpoints", "a", { subsets: [{ addresses: [{ ip: "10.0.0.1" }], ports: [{ port: 80 }] }] })),
  ...life("events", inside, "a", core("Event", "a", { involvedObject: { apiVersion: "v1", kind: "Pod", namespace: NAMESPACE, name: "a" }, reason: "Tested", message: "It was tested.", type: "Normal", count: 1, firstTimestamp: "2026-01-01T00:00:00Z", lastTimestamp: "2026-01-01T00:00:00Z", source: { component: "compare" } })),
  ...life("nodes", CORE, "objects-a", core("Node", "objects-a", { spec: { podCIDR: "10.9.0.0/24" } })),
  ...life("endpointslices", `/apis/discovery.k8s.io/v1/namespaces/${NAMESPACE}`, "a", { apiVersion: "discovery.k8s.io/v1", kind: "EndpointSlice", metadata: { name: "a", labels: { "kubernetes.io/service-name": "a" } }, addressType: "IPv4", endpoints: [{ addresses: ["10.0.0.1"] }], ports: [{ port: 80 }] }),
  ...life("networkpolicies", `/apis/networking.k8s.io/v1/namespaces/${NAMESPACE}`, "a", { apiVersion: "networking.k8s.io/v1", kind: "NetworkPolicy", metadata: { name: "a" }, spec: { podSelector: {}, ingress: [{ from: [peer], ports: [{ port: 80 }] }], egress: [{}] } }),
  ...life("leases", `/apis/coordination.k8s.io/v1/namespaces/${NAMESPACE}`, "a", { apiVersion: "coordination.k8s.io/v1", kind: "Lease", metadata: { name: "a" }, spec: { holderIdentity: "me", leaseDurationSeconds: 15, renewTime: "2026-01-01T00:00:00.000000Z" } }),
  ...life("ippools", CALICO, "objects-a", calico("IPPool", "objects-a", { cidr: "10.200.0.0/16" })),
  ...life("ipreservations", CALICO, "objects-a", calico("IPReservation", "objects-a", { reservedCIDRs: ["10.200.1.0/24"] })),
  ...life("bgpconfigurations", CALICO, "default", calico("BGPConfiguration", "default", { asNumber: 64512 })),
  ...life("bgppeers", CALICO, "objects-a", calico("BGPPeer", "objects-a", { peerIP: "10.0.0.1", asNumber: 64513 })),
  ...life("bgpfilters", CALICO, "objects-a", calico("BGPFilter", "objects-a", { exportV4: [{ action: "Accept", matchOperator: "In", cidr: "10.0.0.0/8" }] })),
  ...life("felixconfigurations", CALICO, "default", calico("FelixConfiguration", "default", { logSeverityScreen: "Info" })),
  ...life("kubecontrollersconfigurations", CALICO, "default", calico("KubeControllersConfiguration", "default", { logSeverityScreen: "Info", controllers: {} })),
  ...life("globalnetworkpolicies", CALICO, "objects-a", calico("GlobalNetworkPolicy", "objects-a", { selector: "all()", ingress: [{ action: "Allow", protocol: "TCP", destination: { ports: [80, "90:95"] } }] })),
  ...life("networkpolicies", `${CALICO}/namespaces/${NAMESPACE}`, "a", calico("NetworkPolicy", "a", { selector: "all()", types: ["Ingress"], ingress: [{ action: "Deny" }] })).map((step) => ({ ...step, id: `own ${step.id}` })),
  ...life("globalnetworksets", CALICO, "objects-a", calico("GlobalNetworkSet", "objects-a", { nets: ["10.0.0.0/8"] })),
  ...life("networksets", `${CALICO}/namespaces/${NAMESPACE}`, "a", calico("NetworkSet", "a", { nets: ["10.0.0.0/8"] })),
  ...life("tiers", CALICO, "objects-a", calico("Tier", "objects-a", { order: 10 })),
  ...life("hostendpoints", CALICO, "objects-a", calico("HostEndpoint", "objects-a", { node: "n", interfaceName: "eth0" })),
  post("pool", `${CALICO}/ippools`, calico("IPPool", "objects-b", { cidr: "10.201.0.0/16" })),
  put("put as it is", `${CALICO}/ippools/objects-b`, { apiVersion: "projectcalico.org/v3", kind: "IPPool", metadata: { name: "objects-b", resourceVersion: "{{pool.metadata.resourceVersion}}" }, spec: { cidr: "10.201.0.0/16" } }),
  put("put a change", `${CALICO}/ippools/objects-b`, { apiVersion: "projectcalico.org/v3", kind: "IPPool", metadata: { name: "objects-b", resourceVersion: "{{put as it is.metadata.resourceVersion}}" }, spec: { cidr: "10.201.0.0/16", natOutgoing: true } }),
  put("put without a revision", `${CALICO}/ippools/objects-b`, { apiVersion: "projectcalico.org/v3", kind: "IPPool", metadata: { name: "objects-b" }, spec: { cidr: "10.201.0.0/16" } }),
  put("put a config map without a revision", `${inside}/configmaps/kube-root`, core("ConfigMap", "kube-root", { data: { a: "b" } })),
  put("put a pod that is not there", `${inside}/pods/none`, pod("none")),
  put("put a pool that is not there", `${CALICO}/ippools/none`, calico("IPPool", "none", { cidr: "10.202.0.0/16" })),
  post("a name is made up", `${inside}/configmaps`, { apiVersion: "v1", kind: "ConfigMap", metadata: { generateName: "made-" } }, { as: "status-only" }),
  post("only tried", `${CALICO}/ippools?dryRun=All`, calico("IPPool", "objects-c", { cidr: "10.203.0.0/16" })),
  get("was only tried", `${CALICO}/ippools/objects-c`),
  put("put is only tried", `${CALICO}/ippools/objects-b?dryRun=All`, { apiVersion: "projectcalico.org/v3", kind: "IPPool", metadata: { name: "objects-b", resourceVersion: "{{put a change.metadata.resourceVersion}}" }, spec: { cidr: "10.201.0.0/16", disabled: true } }),
  get("put was only tried", `${CALICO}/ippools/objects-b`),
  remove("delete is only tried", `${CALICO}/ippools/objects-b?dryRun=All`),
  get("delete was only tried", `${CALICO}/ippools/objects-b`),
  remove("delete is only tried by the body", `${CALICO}/ippools/objects-b`, { dryRun: ["All"] }),
  get("delete was only tried by the body", `${CALICO}/ippools/objects-b`),
]);
