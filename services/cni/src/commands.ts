/** ADD and DEL. */
import { existsSync, readFileSync } from "node:fs";
import { addressOf, interfaceNameForPod, podHandleId, type IpAddress } from "@calico/model";
import type { FelixClient, IpamClient } from "@calico/proto";
import { describeError, withSpan, type Logger } from "@calico/service-kit";
import { readWishes, type Wishes } from "./annotations.ts";
import type { ContainerRecord, ContainerStore } from "./container-store.ts";
import { CniError, CODE } from "./errors.ts";
import type { PodDirectory, PodInfo, PodNetwork } from "./ports.ts";
import type { CniRequest } from "./request.ts";
import type { AddResult } from "./result.ts";

export type Surroundings = {
  readonly node: string;
  readonly network: PodNetwork;
  readonly pods: PodDirectory;
  readonly ipam: Pick<IpamClient, "autoAssign" | "assignAddress" | "releaseByHandle">;
  readonly felix: Pick<FelixClient, "attachEndpoint" | "detachEndpoint">;
  readonly containers: ContainerStore;
  readonly log: Logger;
  readonly settings: { readonly mtu: number; readonly mtuFile: string; readonly assignIpv6: boolean; readonly policyTimeout: number };
  /** Seconds that a stage took. */
  readonly onStage: (stage: string, seconds: number) => void;
};

const IPAM_TIMEOUT_MS = 10_000;
const DEFAULT_MTU = 1500;
/** Steps that undo what was done, run in reverse when something fails. */
type Undo = { readonly what: string; readonly run: () => Promise<unknown> | void };

/**
 * Gives a pod its address and interface. Resolves when address, route and policy are in the kernel; throws a CniError
 * otherwise, and then everything that was done is undone. A repeated ADD of a container gives the same result.
 */
export async function add(request: CniRequest, surroundings: Surroundings): Promise<AddResult> {
  const { containers, network, pods, log } = surroundings;
  const known = containers.load(request.containerId, request.ifname);
  if (known !== null && known.netns === request.netns && network.isUp(known)) return resultOf(known);
  if (!existsSync(request.netns)) throw new CniError(CODE.unknownContainer, `the network namespace ${request.netns} does not exist`, "the runtime must make it before ADD");
  const stage = stages(surroundings.onStage);
  const undo: Undo[] = [];
  try {
    const pod = await stage("pod", () => pods.find(request.namespace, request.pod));
    if (request.podUid !== "" && request.podUid !== pod.uid) throw new CniError(CODE.failed, `pod ${request.namespace}/${request.pod} is another one now`, `the runtime means uid ${request.podUid}, the API server has ${pod.uid}`);
    const wishes = readWishes(pod);
    const handleId = podHandleId(request.containerId, request.config.name);
    undo.push({ what: "addresses", run: () => surroundings.ipam.releaseByHandle({ handleId }, IPAM_TIMEOUT_MS) });
    const addresses = await stage("ipam", () => assignAddresses(request, pod, wishes, handleId, surroundings));
    const hostInterface = interfaceNameForPod(request.namespace, request.pod);
    const other = containers.list().find((record) => record.hostInterface === hostInterface && (record.namespace !== request.namespace || record.pod !== request.pod));
    if (other !== undefined) throw new CniError(CODE.failed, `the name ${hostInterface} of the pod's interface is that of pod ${other.namespace}/${other.pod} too`, "names are made from a hash; give one of the pods another name");
    const mtu = mtuOf(request, surroundings.settings);
    const made = await stage("interface", async () => network.setUp({
      hostInterface, podInterface: request.ifname, netns: request.netns, mtu, addresses, mac: wishes.mac, defaultRoutes: request.config.include_default_routes ?? true,
      forwarding: request.config.container_settings?.allow_ip_forwarding ?? null,
    }));
    undo.push({ what: "interface", run: () => network.tearDown({ hostInterface, hostIndex: made.hostIndex, netns: request.netns, podInterface: request.ifname }) });
    const record: ContainerRecord = {
      containerId: request.containerId, ifname: request.ifname, netns: request.netns, namespace: request.namespace, pod: request.pod, podUid: pod.uid, hostInterface, hostIndex: made.hostIndex,
      podMac: made.podMac, mtu, addresses: [...addresses],
    };
    undo.push({ what: "endpoint", run: () => surroundings.felix.detachEndpoint(detachment(record), IPAM_TIMEOUT_MS) });
    await stage("felix", () => attach(record, policyTimeoutOf(request, surroundings.settings), surroundings));
    containers.save(record);
    pods.announce(request.namespace, request.pod, pod.uid, request.containerId, addresses);
    return resultOf(record);
  } catch (error) {
    for (const step of undo.reverse()) {
      try {
        await step.run();
      } catch (failure) {
        log.warn("A failed ADD could not be undone entirely; its DEL will", { container: request.containerId, step: step.what, error: failure });
      }
    }
    throw error instanceof CniError ? error : new CniError(CODE.failed, describeError(error), "", { cause: error });
  }
}

/** Takes everything of a container away. What is gone already is fine; a DEL that fails is repeated by the runtime. */
export async function del(request: CniRequest, { containers, network, pods, ipam, felix, log }: Surroundings): Promise<void> {
  const known = containers.load(request.containerId, request.ifname);
  const hostInterface = known?.hostInterface ?? interfaceNameForPod(request.namespace, request.pod);
  if (known !== null) {
    try {
      await felix.detachEndpoint(detachment(known), IPAM_TIMEOUT_MS);
    } catch (error) {
      // Felix sees the interface go, and forgets the endpoint then.
      log.warn("Felix could not be told that a pod goes", { container: request.containerId, error });
    }
  }
  // A late DEL of a sandbox whose namespace a newer one uses meanwhile: the interface is the newer one's.
  const netns = known?.netns ?? request.netns;
  const owner = containers.ownerOf(netns, request.ifname);
  if (owner === null || owner.containerId === request.containerId) network.tearDown({ hostInterface, hostIndex: known?.hostIndex ?? null, netns, podInterface: request.ifname });
  try {
    await ipam.releaseByHandle({ handleId: podHandleId(request.containerId, request.config.name) }, IPAM_TIMEOUT_MS);
  } catch (error) {
    throw new CniError(CODE.tryLater, "the addresses could not be released", describeError(error), { cause: error });
  }
  containers.remove(request.containerId, request.ifname);
  if (known !== null) pods.withdraw(request.namespace, request.pod, request.containerId);
}

async function assignAddresses(request: CniRequest, pod: PodInfo, wishes: Wishes, handleId: string, { ipam, node, settings }: Surroundings): Promise<readonly IpAddress[]> {
  const owner = { node, namespace: request.namespace, pod: request.pod, podUid: pod.uid };
  if (wishes.addresses !== null) {
    for (const address of wishes.addresses) {
      await ipam.assignAddress({ handleId, owner, address }, IPAM_TIMEOUT_MS).catch((error: unknown) => {
        throw ipamError(error);
      });
    }
    return wishes.addresses;
  }
  const conf = request.config.ipam;
  const wants4 = conf?.assign_ipv4 !== "false";
  const wants6 = conf?.assign_ipv6 === undefined ? settings.assignIpv6 : conf.assign_ipv6 === "true";
  const answer = await ipam.autoAssign({
    handleId, owner, ipv4Count: Number(wants4), ipv6Count: Number(wants6), ipv4Pools: [...(wishes.ipv4Pools ?? conf?.ipv4_pools ?? [])],
    ipv6Pools: [...(wishes.ipv6Pools ?? conf?.ipv6_pools ?? [])], namespaceLabels: { ...pod.namespaceLabels },
  }, IPAM_TIMEOUT_MS).catch((error: unknown) => {
    throw ipamError(error);
  });
  if ((wants4 && answer.ipv4.length === 0) || (wants6 && answer.ipv6.length === 0)) throw new CniError(CODE.tryLater, "no address is free for the pod", answer.because.join("; "));
  return [...answer.ipv4, ...answer.ipv6].map((cidr) => addressOf(cidr));
}

function ipamError(error: unknown): CniError {
  return new CniError(CODE.tryLater, "ipam gave no address", describeError(error), { cause: error });
}

async function attach(record: ContainerRecord, timeoutMs: number, { felix }: Surroundings): Promise<void> {
  const { namespace, pod, podUid, containerId, hostInterface, hostIndex, podMac, addresses } = record;
  try {
    await felix.attachEndpoint({ namespace, pod, podUid, containerId, interfaceName: hostInterface, interfaceIndex: hostIndex, addresses: [...addresses], mac: podMac }, timeoutMs);
  } catch (error) {
    throw new CniError(CODE.tryLater, "route and policy of the pod are not in the kernel", describeError(error), { cause: error });
  }
}

function detachment({ podUid, containerId, hostInterface, addresses }: ContainerRecord): Parameters<FelixClient["detachEndpoint"]>[0] {
  return { podUid, containerId, interfaceName: hostInterface, addresses: [...addresses] };
}

function resultOf(record: ContainerRecord): AddResult {
  return { hostInterface: record.hostInterface, podInterface: record.ifname, podMac: record.podMac, netns: record.netns, mtu: record.mtu, addresses: record.addresses as IpAddress[] };
}

/** In milliseconds: the configuration's, else the service's. */
function policyTimeoutOf(request: CniRequest, { policyTimeout }: Surroundings["settings"]): number {
  const seconds = request.config.policy_setup_timeout_seconds ?? 0;
  return seconds > 0 ? seconds * 1000 : policyTimeout;
}

/** The configuration's, else the service's, else what felix found out. */
function mtuOf(request: CniRequest, { mtu, mtuFile }: Surroundings["settings"]): number {
  for (const candidate of [request.config.mtu ?? 0, mtu]) if (candidate > 0) return candidate;
  try {
    const found = Number(readFileSync(mtuFile, "utf8").trim());
    return Number.isInteger(found) && found >= 576 && found <= 65_535 ? found : DEFAULT_MTU;
  } catch {
    return DEFAULT_MTU;
  }
}

function stages(onStage: Surroundings["onStage"]): <T>(name: string, run: () => Promise<T>) => Promise<T> {
  return async (name, run) => {
    const started = performance.now();
    try {
      return await withSpan(`cni.${name}`, {}, run);
    } finally {
      onStage(name, (performance.now() - started) / 1000);
    }
  };
}
