/** The demo: two namespaces, five pods, a default-deny and an allow policy. Pure data. */

export const DEMO_PORT = 8080;
/** Waits; the lab itself listens on the declared ports, inside the pod's network namespace. */
export const SERVER_IMAGE = "localhost/lab/server:1";

/** The pods with a server of another image, which says of itself how it listens on the port. */
export const demoPodsOf = (image: string, more: { container: object; pod: object } = { container: {}, pod: {} }): object[] =>
  PODS.map(({ namespace, name }) => ({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { namespace, name, labels: { app: name } },
    spec: { ...more.pod, containers: [{ name: "server", image, ports: [{ name: "http", containerPort: DEMO_PORT, protocol: "TCP" }], ...more.container }] },
  }));

const PODS = [
  { namespace: "shop", name: "frontend" },
  { namespace: "shop", name: "backend" },
  { namespace: "shop", name: "database" },
  { namespace: "monitoring", name: "scraper" },
  { namespace: "monitoring", name: "curious" },
];

const namespace = (name: string, labels: Record<string, string>): object => ({ apiVersion: "v1", kind: "Namespace", metadata: { name, labels } });

export const demoNamespaces = [namespace("shop", { team: "shop" }), namespace("monitoring", { team: "operations" })];

export const demoPods = demoPodsOf(SERVER_IMAGE);

/** Nothing may enter the pods of the shop. */
export const defaultDeny = {
  apiVersion: "networking.k8s.io/v1",
  kind: "NetworkPolicy",
  metadata: { namespace: "shop", name: "default-deny" },
  spec: { podSelector: {}, policyTypes: ["Ingress"] },
};

/** The frontend may ask the backend; the scraper may ask all pods of the shop. */
export const allowPolicies = [
  {
    apiVersion: "networking.k8s.io/v1",
    kind: "NetworkPolicy",
    metadata: { namespace: "shop", name: "backend-from-frontend" },
    spec: {
      podSelector: { matchLabels: { app: "backend" } },
      policyTypes: ["Ingress"],
      ingress: [{ from: [{ podSelector: { matchLabels: { app: "frontend" } } }], ports: [{ protocol: "TCP", port: DEMO_PORT }] }],
    },
  },
  {
    apiVersion: "networking.k8s.io/v1",
    kind: "NetworkPolicy",
    metadata: { namespace: "shop", name: "all-from-scraper" },
    spec: {
      podSelector: {},
      policyTypes: ["Ingress"],
      ingress: [{ from: [{ namespaceSelector: { matchLabels: { team: "operations" } }, podSelector: { matchLabels: { app: "scraper" } } }], ports: [{ protocol: "TCP", port: "http" }] }],
    },
  },
];
