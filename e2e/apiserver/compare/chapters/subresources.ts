import { CALICO, calico, chapter, CORE, core, get, namespaceSteps, patch, pod, post, put } from "../script.ts";

const NAMESPACE = "subresources";
const inside = `${CORE}/namespaces/${NAMESPACE}`;
const pool = `${CALICO}/ippools/subresources-a`;
const condition = { type: "Allocatable", status: "True", reason: "A", message: "", lastTransitionTime: "2026-01-01T00:00:00Z" };
const binding = (name: string, node: string): object => ({ apiVersion: "v1", kind: "Binding", metadata: { name, namespace: NAMESPACE }, target: { apiVersion: "v1", kind: "Node", name: node } });
const review = (spec: object): object => ({ apiVersion: "authentication.k8s.io/v1", kind: "TokenReview", metadata: {}, spec });
const access = (kind: string, spec: object): object => ({ apiVersion: "authorization.k8s.io/v1", kind, spec });

/** Status, bindings, tokens, and the questions about who may what. */
export const subresources = chapter("subresources", [
  ...namespaceSteps(NAMESPACE),
  post("pool", `${CALICO}/ippools`, { ...calico("IPPool", "subresources-a", { cidr: "10.252.0.0/16" }), status: { conditions: [condition] } }),
  get("status of a pool", `${pool}/status`),
  patch("status is merged", "merge", `${pool}/status`, { spec: { disabled: true }, status: { conditions: [condition] } }),
  patch("status is not spec", "merge", pool, { spec: { natOutgoing: true }, status: { conditions: [] } }),
  put("status is put", `${pool}/status`, { ...calico("IPPool", "subresources-a", { cidr: "10.253.0.0/16" }), metadata: { name: "subresources-a", resourceVersion: "{{status is not spec.metadata.resourceVersion}}", labels: { a: "b" } }, status: { conditions: [] } }),
  patch("status is not valid", "merge", `${pool}/status`, { status: { conditions: [{ type: 1 }] } }),
  patch("status by operations", "json", `${pool}/status`, [{ op: "add", path: "/status", value: { conditions: [condition] } }]),
  patch("status with a stale revision", "merge", `${pool}/status`, { metadata: { resourceVersion: "{{pool.metadata.resourceVersion}}" }, status: {} }),
  patch("status of what has none", "merge", `${CALICO}/tiers/none/status`, { status: {} }),
  patch("status of nothing there", "merge", `${CALICO}/ippools/none/status`, { status: {} }),
  post("pod", `${inside}/pods`, { ...(pod("a") as object), status: { phase: "Running" } }),
  post("binding", `${inside}/pods/a/binding`, binding("a", "n")),
  get("bound", `${inside}/pods/a`),
  post("binding again", `${inside}/pods/a/binding`, binding("a", "m")),
  post("binding of nothing", `${inside}/pods/none/binding`, binding("none", "n")),
  post("binding without a node", `${inside}/pods/a/binding`, { apiVersion: "v1", kind: "Binding", metadata: { name: "a" }, target: {} }),
  post("pod b", `${inside}/pods`, pod("b")),
  post("binding of another kind", `${inside}/pods/b/binding`, { ...binding("b", "n"), target: { kind: "Pod", name: "n" } }),
  post("binding by the older way", `${inside}/bindings`, binding("b", "n")),
  patch("pod runs", "merge", `${inside}/pods/a/status`, { metadata: { annotations: { "example.org/a": "1" }, labels: { status: "b" } }, spec: { nodeName: "x" }, status: { phase: "Running", podIP: "10.0.0.1", podIPs: [{ ip: "10.0.0.1" }], conditions: [{ type: "Ready", status: "True" }] } }),
  patch("spec of a pod keeps its status", "merge", `${inside}/pods/a`, { metadata: { annotations: { b: "2" } }, status: { phase: "Failed" } }),
  get("status of a pod", `${inside}/pods/a/status`),
  put("status of a pod is put", `${inside}/pods/a/status`, { ...(pod("a", { nodeName: "n" }) as object), status: { phase: "Succeeded" } }),
  post("node", `${CORE}/nodes`, core("Node", "subresources-n")),
  patch("status of a node", "merge", `${CORE}/nodes/subresources-n/status`, { status: { conditions: [{ type: "Ready", status: "True", reason: "A", message: "b", lastHeartbeatTime: "2026-01-01T00:00:00Z", lastTransitionTime: "2026-01-01T00:00:00Z" }] } }),
  patch("condition of a node", "strategic", `${CORE}/nodes/subresources-n/status`, { status: { conditions: [{ type: "NetworkUnavailable", status: "False" }] } }),
  patch("annotation of a node", "merge", `${CORE}/nodes/subresources-n`, { metadata: { annotations: { a: "b" } }, status: { conditions: [] } }),
  patch("unschedulable", "strategic", `${CORE}/nodes/subresources-n`, { spec: { unschedulable: true } }),
  post("token", `${inside}/serviceaccounts/default/token`, { apiVersion: "authentication.k8s.io/v1", kind: "TokenRequest", spec: { expirationSeconds: 3600 } }, { as: "status-only" }),
  post("token of nobody", `${inside}/serviceaccounts/nobody/token`, { apiVersion: "authentication.k8s.io/v1", kind: "TokenRequest", spec: {} }),
  post("token for too short", `${inside}/serviceaccounts/default/token`, { apiVersion: "authentication.k8s.io/v1", kind: "TokenRequest", spec: { expirationSeconds: 10 } }),
  post("review of a wrong token", "/apis/authentication.k8s.io/v1/tokenreviews", review({ token: "nonsense" })),
  post("review of no token", "/apis/authentication.k8s.io/v1/tokenreviews", review({})),
  post("review without a spec", "/apis/authentication.k8s.io/v1/tokenreviews", { apiVersion: "authentication.k8s.io/v1", kind: "TokenReview" }),
  get("reviews are not read", "/apis/authentication.k8s.io/v1/tokenreviews"),
  post("who am I", "/apis/authentication.k8s.io/v1/selfsubjectreviews", { apiVersion: "authentication.k8s.io/v1", kind: "SelfSubjectReview" }),
  post("may I", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", access("SelfSubjectAccessReview", { resourceAttributes: { namespace: NAMESPACE, verb: "create", resource: "pods" } })),
  post("what may I", "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", access("SelfSubjectRulesReview", { namespace: NAMESPACE })),
  get("logs", `${inside}/pods/a/log`),
  post("eviction", `${inside}/pods/b/eviction`, { apiVersion: "policy/v1", kind: "Eviction", metadata: { name: "b", namespace: NAMESPACE } }),
]);
