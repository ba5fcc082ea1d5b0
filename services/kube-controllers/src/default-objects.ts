/** Objects that every cluster has: made when they are missing, never changed. */
import { calicoTypes, isDatastoreError, type Datastore, type KubeObject, type ResourceType } from "@calico/datastore";
import { familyOf } from "@calico/model";
import { ConfigError, type Logger } from "@calico/service-kit";
import type { ParamValues } from "@calico/service-kit";
import type { controllersParams } from "./config.ts";
import { differences, parsePools } from "./pools.ts";

type Config = Pick<
  ParamValues<typeof controllersParams>,
  "ipv4PoolCidr" | "ipv4PoolBlockSize" | "ipv4PoolNatOutgoing" | "ipv4PoolIpip" | "ipv4PoolVxlan" | "ipv6PoolCidr" | "ipv6PoolBlockSize" | "ipv6PoolNatOutgoing" | "ipPools" | "leakGracePeriod"
>;
type WithSpec = KubeObject & { spec: Record<string, unknown> };
export type DefaultObject = { readonly type: ResourceType; readonly name: string; readonly spec: Record<string, unknown> };

/** Throws a ConfigError for what this version does not build. */
export function checkConfig(config: Config): void {
  parsePools(config.ipPools);
  if (config.ipv4PoolIpip !== "Never") throw new ConfigError(`CALICO_IPV4POOL_IPIP=${config.ipv4PoolIpip}: IPIP is not built yet; set it to Never, and CALICO_IPV4POOL_VXLAN to Always or CrossSubnet for an overlay`);
}

/** The pools of the configuration. Used only for a family that has no pool yet. */
export function defaultPools(config: Config): DefaultObject[] {
  const pool = (name: string, cidr: string, blockSize: number, natOutgoing: boolean, modes: object): DefaultObject[] => (cidr === "none" || cidr === "" ? [] : [{
    type: calicoTypes.ipPools, name, spec: { cidr, blockSize, ...modes, natOutgoing, nodeSelector: "all()", allowedUses: ["Workload", "Tunnel"], assignmentMode: "Automatic" },
  }]);
  return [
    ...pool("default-ipv4-ippool", config.ipv4PoolCidr, config.ipv4PoolBlockSize, config.ipv4PoolNatOutgoing, { ipipMode: config.ipv4PoolIpip, vxlanMode: config.ipv4PoolVxlan }),
    ...pool("default-ipv6-ippool", config.ipv6PoolCidr, config.ipv6PoolBlockSize, config.ipv6PoolNatOutgoing, { ipipMode: "Never", vxlanMode: "Never" }),
  ];
}

/** Everything else with a name that tools and people expect. */
export function defaultObjects(config: Config): DefaultObject[] {
  return [
    { type: calicoTypes.tiers, name: "kube-admin", spec: { order: 1_000, defaultAction: "Pass" } },
    { type: calicoTypes.tiers, name: "default", spec: { order: 1_000_000, defaultAction: "Deny" } },
    { type: calicoTypes.tiers, name: "kube-baseline", spec: { order: 10_000_000, defaultAction: "Pass" } },
    { type: calicoTypes.felixConfigurations, name: "default", spec: {} },
    { type: calicoTypes.bgpConfigurations, name: "default", spec: { nodeToNodeMeshEnabled: true, asNumber: 64_512, logSeverityScreen: "Info" } },
    { type: calicoTypes.ipamConfigurations, name: "default", spec: { strictAffinity: false, autoAllocateBlocks: true, maxBlocksPerHost: 0 } },
    { type: calicoTypes.kubeControllersConfigurations, name: "default", spec: { controllers: { node: { leakGracePeriod: `${Math.round(config.leakGracePeriod / 1000)}s` } } } },
  ];
}

/** Makes what is missing. The cluster counts as ready only after its pools are there. */
export async function ensureDefaults(datastore: Datastore, config: Config, { guid, version, log }: { guid: string; version: string; log: Logger }): Promise<void> {
  for (const object of defaultObjects(config)) await createIfMissing(datastore, object, log);
  await ensurePools(datastore, config, log);
  await createIfMissing(datastore, { type: calicoTypes.clusterInformations, name: "default", spec: { clusterGUID: guid, clusterType: "k8s", calicoVersion: version, datastoreReady: true } }, log);
}

/** Pools that are listed are made one by one; the first pools only for a family that has none. What is there is never changed. */
async function ensurePools(datastore: Datastore, config: Config, log: Logger): Promise<void> {
  const { items: pools } = await datastore.list<WithSpec>(calicoTypes.ipPools);
  for (const { name, spec } of parsePools(config.ipPools)) {
    const present = pools.find((pool) => pool.metadata.name === name || pool.spec["cidr"] === spec.cidr);
    if (present === undefined) await createIfMissing(datastore, { type: calicoTypes.ipPools, name, spec }, log);
    else for (const difference of differences(spec, present.spec)) log.warn("A pool is not as it is configured and stays as it is", { pool: present.metadata.name, ...difference });
  }
  if (config.ipPools !== "") return;
  for (const pool of defaultPools(config)) {
    const cidr = String(pool.spec["cidr"]);
    const present = pools.filter((other) => typeof other.spec["cidr"] === "string" && familyOf(other.spec["cidr"]) === familyOf(cidr));
    if (present.length === 0) await createIfMissing(datastore, pool, log);
    else if (!present.some((other) => other.spec["cidr"] === cidr)) log.warn("A pool exists already, the configured one is not made", { configured: cidr, present: present.map((other) => other.spec["cidr"]) });
  }
}

async function createIfMissing(datastore: Datastore, { type, name, spec }: DefaultObject, log: Logger): Promise<void> {
  try {
    await datastore.create<WithSpec>(type, { apiVersion: "projectcalico.org/v3", kind: type.kind, metadata: { name }, spec });
    log.info("Default object made", { kind: type.kind, name });
  } catch (error) {
    if (!isDatastoreError(error, "AlreadyExists")) throw error;
  }
}
