import { CALICO, calico, chapter, CORE, core, get, namespaceSteps, patch, pod, put, type Step } from "../script.ts";

const NAMESPACE = "applies";
const inside = `${CORE}/namespaces/${NAMESPACE}`;
const pool = `${CALICO}/ippools/applies-a`;
const config = (spec: object, metadata: object = {}): object => calico("IPPool", "applies-a", spec, metadata);
const apply = (id: string, by: string, body: unknown, more = "", path = pool): Step => patch(id, "apply", `${path}?fieldManager=${by}${more}`, body);
const podConfig = (image: string, more: object = {}): object => pod("a", { containers: [{ name: "c", image, ...more }] });

/** Apply on the server: who owns what, conflicts, force. */
export const applies = chapter("applies", [
  ...namespaceSteps(NAMESPACE),
  apply("first", "day", config({ cidr: "10.240.0.0/16", natOutgoing: true }, { labels: { a: "1" } })),
  apply("the same", "day", config({ cidr: "10.240.0.0/16", natOutgoing: true }, { labels: { a: "1" } })),
  apply("conflict", "night", config({ natOutgoing: false, cidr: "10.240.0.0/16" })),
  apply("conflicts", "night", config({ natOutgoing: false, cidr: "10.240.0.0/16" }, { labels: { a: "2" } })),
  apply("shared", "night", config({ cidr: "10.240.0.0/16" }, { labels: { b: "2" } })),
  apply("forced", "night", config({ cidr: "10.240.0.0/16", natOutgoing: false }, { labels: { a: "2" } }), "&force=true"),
  apply("no longer applied", "day", config({ cidr: "10.240.0.0/16" })),
  apply("given up", "night", config({ cidr: "10.240.0.0/16" })),
  patch("merged by another", "merge", `${pool}?fieldManager=editor`, { spec: { disabled: true } }),
  apply("conflict with an update", "day", config({ cidr: "10.240.0.0/16", disabled: false })),
  apply("only tried", "day", config({ cidr: "10.240.0.0/16", disabled: false }), "&force=true&dryRun=All"),
  get("was only tried", pool),
  patch("without a manager", "apply", pool, config({ cidr: "10.240.0.0/16" })),
  apply("with managed fields", "day", config({ cidr: "10.240.0.0/16" }, { managedFields: [{ manager: "x" }] })),
  apply("not valid", "day", config({ cidr: "10.240.0.0/16", vxlanMode: "Perhaps" })),
  apply("unknown field", "day", config({ cidr: "10.240.0.0/16", nothing: 1 })),
  apply("unknown field strictly", "day", config({ cidr: "10.240.0.0/16", nothing: 1 }), "&fieldValidation=Strict"),
  apply("other name", "day", calico("IPPool", "other", { cidr: "10.240.0.0/16" })),
  apply("no kind", "day", { metadata: { name: "applies-a" } }),
  apply("malformed", "day", "{ a: ["),
  apply("YAML", "day", "apiVersion: projectcalico.org/v3\nkind: IPPool\nmetadata:\n  name: applies-a\n  labels:\n    y: aml\nspec:\n  cidr: 10.240.0.0/16\n"),
  apply("stale", "day", config({ cidr: "10.240.0.0/16" }, { resourceVersion: "{{first.metadata.resourceVersion}}" })),
  apply("not there with a uid", "day", calico("IPPool", "applies-none", { cidr: "10.241.0.0/16" }, { uid: "00000000-0000-0000-0000-000000000000" }), "", `${CALICO}/ippools/applies-none`),
  apply("force where nothing is in the way", "day", config({ cidr: "10.240.0.0/16" }), "&force=true"),
  patch("force without apply", "merge", `${pool}?force=true`, {}),
  apply("status", "reporter", { apiVersion: "projectcalico.org/v3", kind: "IPPool", metadata: { name: "applies-a" }, status: { conditions: [{ type: "Allocatable", status: "True", reason: "A", message: "", lastTransitionTime: "2026-01-01T00:00:00Z" }] } }, "", `${pool}/status`),
  get("after the status", pool),
  apply("status of nothing", "reporter", { apiVersion: "projectcalico.org/v3", kind: "IPPool", metadata: { name: "none" }, status: {} }, "", `${CALICO}/ippools/none/status`),
  apply("config map", "day", core("ConfigMap", "a", { data: { a: "1", b: "2" } }), "", `${inside}/configmaps/a`),
  apply("config map of another", "night", core("ConfigMap", "a", { data: { c: "3" } }), "", `${inside}/configmaps/a`),
  apply("config map without one", "day", core("ConfigMap", "a", { data: { a: "1" } }), "", `${inside}/configmaps/a`),
  apply("pod", "day", podConfig("i", { ports: [{ containerPort: 80 }] }), "", `${inside}/pods/a`),
  apply("pod again", "day", podConfig("j", { ports: [{ containerPort: 80 }] }), "", `${inside}/pods/a`),
  apply("pod conflict", "night", podConfig("k"), "", `${inside}/pods/a`),
  apply("labels of a pod", "night", { apiVersion: "v1", kind: "Pod", metadata: { name: "a", labels: { x: "y" } } }, "", `${inside}/pods/a`),
  apply("policy", "day", { apiVersion: "networking.k8s.io/v1", kind: "NetworkPolicy", metadata: { name: "a" }, spec: { podSelector: {}, ingress: [{ ports: [{ port: 80 }] }] } }, "", `/apis/networking.k8s.io/v1/namespaces/${NAMESPACE}/networkpolicies/a`),
  apply("service", "day", core("Service", "a", { spec: { clusterIP: "None", ports: [{ port: 80 }] } }), "", `${inside}/services/a`),
  apply("second port", "night", core("Service", "a", { spec: { ports: [{ port: 81, name: "b" }] } }), "&force=true", `${inside}/services/a`),
  put("updated with managed fields", `${inside}/configmaps/a`, core("ConfigMap", "a", { data: { a: "1" } }, { managedFields: [] })),
]);
