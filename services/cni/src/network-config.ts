/** The network configuration that the runtime hands over: its fields, and those of Calico's plugin that are not for this one. */
import { z } from "zod";
import { CniError, CODE } from "./errors.ts";

export const DNS_NAME = /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/;
/** The plugin waits a minute for an answer, and an ADD does more than wait for policy. */
const MAX_POLICY_TIMEOUT_S = 40;

const schema = z.looseObject({
  cniVersion: z.string().optional(),
  name: z.string().min(1),
  type: z.string().optional(),
  mtu: z.number().int().min(0).max(65_535).optional(),
  /** The namespace of pods whose runtime names the pod alone, as podman does. */
  default_namespace: z.string().regex(DNS_NAME, "is no name of a namespace").optional(),
  /** False: the pod gets no route but that to its gateway. */
  include_default_routes: z.boolean().optional(),
  container_settings: z.looseObject({ allow_ip_forwarding: z.boolean().optional() }).optional(),
  /** 0: what the service's parameter says. */
  policy_setup_timeout_seconds: z.number().min(0).max(MAX_POLICY_TIMEOUT_S).optional(),
  /** What ADD gave back: the runtime hands it over for CHECK. */
  prevResult: z.looseObject({ ips: z.array(z.looseObject({ address: z.string() })).optional() }).optional(),
  /** Attachments that still exist: the runtime hands them over for GC. */
  "cni.dev/valid-attachments": z.array(z.looseObject({ containerID: z.string(), ifname: z.string() })).optional(),
  ipam: z.looseObject({
    type: z.string().optional(),
    assign_ipv4: z.enum(["true", "false"]).optional(),
    assign_ipv6: z.enum(["true", "false"]).optional(),
    ipv4_pools: z.array(z.string()).optional(),
    ipv6_pools: z.array(z.string()).optional(),
  }).optional(),
});
export type NetworkConfig = z.infer<typeof schema>;

/** Reads what comes on standard input. Throws a CniError that names the field. */
export function parseNetworkConfig(text: string): NetworkConfig {
  let raw: unknown;
  try {
    raw = JSON.parse(text);
  } catch (error) {
    throw new CniError(CODE.decode, "the network configuration on standard input is not JSON", error instanceof Error ? error.message : "");
  }
  const parsed = schema.safeParse(raw);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new CniError(CODE.invalidConfig, `network configuration: ${issue?.path.join(".") || "the whole"}: ${issue?.message ?? "is invalid"}`);
}

/** A field that has one meaning here: the values that say just that, and what to do about others. */
type Limit = { readonly field: string; readonly allowed: readonly unknown[]; readonly remedy: string };

const NO_ETCD = "remove it: the datastore is the Kubernetes API";
const NO_RANGES = "remove it: addresses come from IPPools";
const limits = (node: string): readonly Limit[] => [
  { field: "nodename", allowed: ["", node], remedy: `remove it: this node is ${node}, as its parameter nodename says` },
  { field: "kubernetes.node_name", allowed: ["", node], remedy: `remove it: this node is ${node}, as its parameter nodename says` },
  { field: "datastore_type", allowed: ["", "kubernetes"], remedy: NO_ETCD },
  { field: "etcd_endpoints", allowed: [""], remedy: NO_ETCD },
  { field: "etcd_discovery_srv", allowed: [""], remedy: NO_ETCD },
  { field: "calico_api_group", allowed: ["", "projectcalico.org/v3"], remedy: "remove it: resources are of projectcalico.org/v3" },
  { field: "ipam.type", allowed: ["", "calico-ipam"], remedy: "set it to calico-ipam: addresses come from IPPools" },
  { field: "ipam.subnet", allowed: [""], remedy: NO_RANGES },
  { field: "ipam.ranges", allowed: [], remedy: NO_RANGES },
  { field: "policy.type", allowed: ["", "k8s"], remedy: "set it to k8s: Kubernetes' and Calico's policies are always in force" },
  { field: "feature_control.ip_addrs_no_ipam", allowed: [false], remedy: "remove it: a fixed address comes from a pool, by the annotation ipAddrs" },
  { field: "feature_control.floating_ips", allowed: [false], remedy: "remove it: there are no floating addresses" },
  { field: "num_queues", allowed: [0, 1], remedy: "remove it: interfaces have one queue" },
  { field: "device_type", allowed: ["", "veth"], remedy: "remove it: interfaces are veth pairs" },
  { field: "readiness_gates", allowed: [], remedy: "remove it: pods wait for felix and ipam of this node anyway" },
  { field: "runtimeConfig.ips", allowed: [], remedy: "give the pod the annotation cni.projectcalico.org/ipAddrs" },
  { field: "runtimeConfig.mac", allowed: [""], remedy: "give the pod the annotation cni.projectcalico.org/hwAddr" },
];

/** Throws a CniError for a field that asks for what this plugin does not do: passed over, nobody would notice. */
export function requireSupported(config: NetworkConfig, node: string): void {
  for (const { field, allowed, remedy } of limits(node)) {
    const value = valueAt(config, field);
    if (value === undefined || value === null || allowed.includes(value) || (Array.isArray(value) && value.length === 0)) continue;
    throw new CniError(CODE.unsupportedField, `network configuration: ${field} ${JSON.stringify(value).slice(0, 100)} is not supported`, remedy);
  }
}

function valueAt(config: NetworkConfig, field: string): unknown {
  return field.split(".").reduce<unknown>((value, key) => (typeof value === "object" && value !== null ? (value as Record<string, unknown>)[key] : undefined), config);
}
