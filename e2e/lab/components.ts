/** The project's services as processes of a lab: where each runs, with which parameters. */
import { join } from "node:path";
import type { Encapsulation } from "./arguments.ts";
import type { ControlPlane } from "./control-plane.ts";
import type { NodeHost } from "./node-host.ts";
import { bundleOf, nodeBinary, repositoryRoot, type LabPaths } from "./paths.ts";
import type { CertificateFiles } from "./pki.ts";
import type { ProcessSpec } from "./supervisor.ts";
import { MARKER } from "./sweep.ts";

export const TYPHA_PORT = 5473;
export const POD_CIDR = "10.65.0.0/16";
export const NODE_COMPONENTS = ["ipam", "felix", "bird", "cni"] as const;
export const CLUSTER_COMPONENTS = ["kube-controllers", "typha"] as const;

/** Metrics and health ports of each component, as its own defaults. */
export const PORTS: Record<string, { metrics: number; health: number }> = {
  felix: { metrics: 9091, health: 9099 },
  typha: { metrics: 9093, health: 9098 },
  "kube-controllers": { metrics: 9094, health: 9094 },
  bird: { metrics: 9095, health: 9095 },
  cni: { metrics: 9096, health: 9096 },
  ipam: { metrics: 9097, health: 9097 },
};

const VXLAN_MODE: Record<Encapsulation, string> = { none: "Never", vxlan: "Always", "vxlan-crosssubnet": "CrossSubnet" };

export type LabCertificates = { readonly typha: CertificateFiles; readonly typhaClient: CertificateFiles };

type Surroundings = { readonly labName: string; readonly paths: LabPaths; readonly control: ControlPlane; readonly certificates: LabCertificates; readonly typhaAddresses: readonly string[]; readonly encapsulation: Encapsulation; readonly parameters: Readonly<Record<string, Readonly<Record<string, string>>>> };

/** What every component is told: how to reach the API and NATS, and who it is. */
function commonEnv(component: string, host: NodeHost, { labName, control, certificates }: Surroundings, perNode: boolean): Record<string, string> {
  const identity = control.identityOf(component, perNode ? host.plan.name : undefined);
  return {
    PATH: process.env["PATH"] ?? "",
    [MARKER]: labName,
    NODENAME: host.plan.name,
    KUBECONFIG: identity.kubeconfig,
    NATS_URL: control.natsUrl,
    NATS_USER: identity.natsUser,
    NATS_PASSWORD: identity.natsPassword,
    NATS_CAFILE: certificates.typha.ca,
    ...(process.env["OTEL_EXPORTER_OTLP_ENDPOINT"] ? { OTEL_EXPORTER_OTLP_ENDPOINT: process.env["OTEL_EXPORTER_OTLP_ENDPOINT"] } : {}),
    ...(process.env["NODE_OPTIONS"] ? { NODE_OPTIONS: process.env["NODE_OPTIONS"] } : {}),
  };
}

/** Parameters of a client of typha, under the prefix of its component. */
function typhaClientEnv(prefix: string, host: NodeHost, component: string, surroundings: Surroundings): Record<string, string> {
  const { certificates, typhaAddresses, control } = surroundings;
  return {
    [`${prefix}_TYPHAADDR`]: typhaAddresses.join(","),
    [`${prefix}_TYPHACAFILE`]: certificates.typhaClient.ca,
    [`${prefix}_TYPHACERTFILE`]: certificates.typhaClient.cert,
    [`${prefix}_TYPHAKEYFILE`]: certificates.typhaClient.key,
    [`${prefix}_TYPHACN`]: "typha-server",
    [`${prefix}_TYPHATOKENFILE`]: control.identityOf(component, host.plan.name).tokenFile,
  };
}

function componentEnv(component: string, host: NodeHost, surroundings: Surroundings): Record<string, string> {
  const { certificates } = surroundings;
  switch (component) {
    case "typha":
      return {
        TYPHA_CAFILE: certificates.typha.ca,
        TYPHA_SERVERCERTFILE: certificates.typha.cert,
        TYPHA_SERVERKEYFILE: certificates.typha.key,
        TYPHA_CLIENTCN: "typha-client",
        TYPHA_HEALTHHOST: "0.0.0.0",
        TYPHA_PROMETHEUSMETRICSENABLED: "true",
        TYPHA_PROMETHEUSMETRICSHOST: "0.0.0.0",
      };
    case "felix":
      return {
        ...typhaClientEnv("FELIX", host, component, surroundings),
        FELIX_FELIXHOSTNAME: host.plan.name,
        FELIX_DEFAULTENDPOINTTOHOSTACTION: "Accept",
        FELIX_HEALTHENABLED: "true",
        FELIX_HEALTHHOST: "0.0.0.0",
        FELIX_PROMETHEUSMETRICSENABLED: "true",
        FELIX_PROMETHEUSMETRICSHOST: "0.0.0.0",
        IP: "autodetect",
        IP_AUTODETECTION_METHOD: "interface=eth0",
        IP6: "autodetect",
        IP6_AUTODETECTION_METHOD: "interface=eth0",
      };
    case "bird":
      return { ...typhaClientEnv("BIRD", host, component, surroundings), BIRD_HTTPHOST: "0.0.0.0" };
    case "ipam":
      return { IPAM_HTTPHOST: "0.0.0.0" };
    case "cni":
      return { CNI_HTTPHOST: "0.0.0.0", CNI_PLUGINSOURCE: join(repositoryRoot, "services", "cni", "dist", "calico") };
    case "kube-controllers":
      return { POD_NAMESPACE: "calico-system", CALICO_IPV4POOL_CIDR: POD_CIDR, CALICO_IPV4POOL_IPIP: "Never", CALICO_IPV4POOL_VXLAN: VXLAN_MODE[surroundings.encapsulation], KUBECONTROLLERS_HTTPHOST: "0.0.0.0" };
    default:
      throw new Error(`${component} is not a component`);
  }
}

/** The process of a component on a node. */
export function componentSpec(component: string, host: NodeHost, perNode: boolean, surroundings: Surroundings): ProcessSpec {
  const id = `${component}@${host.plan.name}`;
  return {
    id,
    command: () => host.enter([nodeBinary, ...memoryFlags(component), bundleOf(component)]),
    env: { ...commonEnv(component, host, surroundings, perNode), ...componentEnv(component, host, surroundings), ...surroundings.parameters[component] },
    logFile: join(surroundings.paths.logs, `${id}.log`),
  };
}

/** As in the images: small young generations keep the resident size down, and typha, which holds the most, collects before its heap has grown by a third. */
const memoryFlags = (component: string): string[] => ["--max-semi-space-size=4", ...(component === "typha" ? ["--heap-growing-percent=30"] : [])];
