/** `ipam show`, `ipam check` and `ipam release`. */
import { calicoTypes, coreTypes, createAllocationStore, isDatastoreError, type Datastore, type KubeObject, type ResourceType } from "@calico/datastore";
import { releaseOne, type BlockSpec, type HandleSpec } from "@calico/ipam";
import { canonicalAddress } from "@calico/model";
import type { Command } from "./arguments.ts";
import type { Say } from "./commands.ts";
import { allocationOf, problemsOf, usage, type Pod, type Pool } from "./ipam.ts";
import { grid } from "./print.ts";
import { CommandError, UsageError } from "./usage.ts";

type Spec<T> = KubeObject & { readonly spec: T };
type PodObject = KubeObject & { readonly spec?: { readonly nodeName?: string; readonly hostNetwork?: boolean }; readonly status?: { readonly phase?: string; readonly podIPs?: readonly { readonly ip: string }[] } };

const specs = async <T>(datastore: Datastore, type: ResourceType): Promise<T[]> => (await datastore.list<Spec<T>>(type)).items.map(({ spec }) => spec);

async function poolsOf(datastore: Datastore): Promise<Pool[]> {
  const { items } = await datastore.list<Spec<{ cidr: string; disabled?: boolean }>>(calicoTypes.ipPools);
  return items.map(({ metadata, spec }) => ({ name: metadata.name, cidr: spec.cidr, disabled: spec.disabled === true }));
}

export async function ipamShow({ address, blocks: withBlocks, configuration }: Extract<Command, { verb: "ipam show" }>, datastore: Datastore, say: Say): Promise<void> {
  if (configuration) return showConfiguration(datastore, say);
  const blocks = await specs<BlockSpec>(datastore, calicoTypes.ipamBlocks);
  if (address !== null) return showAddress(blocks, address, say);
  const rows = usage({ pools: await poolsOf(datastore), blocks }, withBlocks).map(({ grouping, cidr, total, inUse }) => [grouping, cidr, amount(total), `${inUse} (${share(inUse, total)}%)`, `${amount(total - inUse)} (${share(total - inUse, total)}%)`]);
  say(grid(["GROUPING", "CIDR", "IPS TOTAL", "IPS IN USE", "IPS FREE"], rows));
}

function showAddress(blocks: readonly BlockSpec[], written: string, say: Say): void {
  const address = canonicalAddress(written);
  if (address === null) throw new UsageError(`--ip ${written}: is no IP address`);
  const found = allocationOf({ blocks }, address);
  if (found === null) return say(`${address} is not assigned\n`);
  const attributes = Object.entries({ handle_id: found.allocation.handleId, ...found.allocation.secondary }).map(([key, value]) => `  ${key}: ${value}\n`);
  say(`IP ${address} is in use\nBlock: ${found.block.cidr} (${found.block.affinity ?? "no affinity"})\nAttributes:\n${attributes.join("")}`);
}

async function showConfiguration(datastore: Datastore, say: Say): Promise<void> {
  let spec: { strictAffinity?: boolean; autoAllocateBlocks?: boolean; maxBlocksPerHost?: number } = {};
  try {
    ({ spec } = await datastore.get<Spec<typeof spec>>(calicoTypes.ipamConfigurations, { name: "default" }));
  } catch (error) {
    if (!isDatastoreError(error, "NotFound")) throw error;
  }
  say(grid(["PROPERTY", "VALUE"], [["StrictAffinity", String(spec.strictAffinity ?? false)], ["AutoAllocateBlocks", String(spec.autoAllocateBlocks ?? true)], ["MaxBlocksPerHost", String(spec.maxBlocksPerHost ?? 0)]]));
}

/** Rejects when something does not agree, so that scripts see it. */
export async function ipamCheck(command: Extract<Command, { verb: "ipam check" }>, datastore: Datastore, say: Say): Promise<void> {
  const [pools, blocks, handles, pods, nodes] = await Promise.all([
    poolsOf(datastore), specs<BlockSpec>(datastore, calicoTypes.ipamBlocks), specs<HandleSpec>(datastore, calicoTypes.ipamHandles), datastore.list<PodObject>(coreTypes.pods), datastore.list<KubeObject>(coreTypes.nodes),
  ]);
  const problems = problemsOf({ pools, blocks, handles, pods: pods.items.flatMap(podOf), nodes: nodes.items.map(({ metadata }) => metadata.name) });
  if (command.output === "json") say(`${JSON.stringify({ problems }, null, 2)}\n`);
  else {
    say(`Checking IPAM: ${pools.length} pools, ${blocks.length} blocks, ${handles.length} handles, ${pods.items.length} pods, ${nodes.items.length} nodes\n`);
    for (const { about, what } of problems) say(`  ${about}: ${what}\n`);
    say(`Check complete; found ${problems.length} problems.\n`);
  }
  if (problems.length > 0) throw new CommandError(`${problems.length} problems; an address that a moment ago came or went may be among them: check again`);
}

/** Frees an address that nobody uses; one that a pod has only with --force, because somebody else may get it then. */
export async function ipamRelease({ address: written, force }: Extract<Command, { verb: "ipam release" }>, datastore: Datastore, say: Say): Promise<void> {
  const address = canonicalAddress(written);
  if (address === null) throw new UsageError(`--ip ${written}: is no IP address`);
  const [blocks, pods] = await Promise.all([specs<BlockSpec>(datastore, calicoTypes.ipamBlocks), datastore.list<PodObject>(coreTypes.pods)]);
  const found = allocationOf({ blocks }, address);
  if (found === null) return say(`${address} is not assigned\n`);
  const { secondary } = found.allocation;
  const user = pods.items.flatMap(podOf).find((pod) => !pod.finished && (pod.addresses.includes(address) || (pod.namespace === secondary["namespace"] && pod.name === secondary["pod"] && pod.uid === secondary["podUID"])));
  if (user !== undefined && !force) throw new CommandError(`${address} is the address of pod ${user.namespace}/${user.name}; delete the pod, or release the address all the same with --force`);
  const handle = await createAllocationStore(datastore, () => {}).run(releaseOne(address));
  say(handle === null ? `${address} is not assigned any more\n` : `${address} is released (${handle === "" ? "no handle" : handle})\n`);
}

function podOf({ metadata, spec, status }: PodObject): Pod[] {
  if (spec?.hostNetwork === true) return [];
  const finished = status?.phase === "Succeeded" || status?.phase === "Failed";
  return [{ namespace: metadata.namespace ?? "", name: metadata.name, uid: metadata.uid ?? "", node: spec?.nodeName ?? "", addresses: (status?.podIPs ?? []).map(({ ip }) => ip), finished }];
}

/** Large IPv6 pools are told by their order of magnitude. */
function amount(count: bigint): string {
  return count < 10n ** 9n ? String(count) : Number(count).toExponential(4);
}

function share(part: bigint, whole: bigint): string {
  return whole === 0n ? "0" : String(Number((part * 100n) / whole));
}
