/** What a pod's annotations ask of ADD. */
import { canonicalAddress, type IpAddress } from "@calico/model";
import { CniError, CODE } from "./errors.ts";
import type { PodInfo } from "./ports.ts";

export type Wishes = {
  /** Exactly these addresses; null: any. */
  readonly addresses: readonly IpAddress[] | null;
  /** Names or CIDRs of pools; null: whatever the network configuration says. */
  readonly ipv4Pools: readonly string[] | null;
  readonly ipv6Pools: readonly string[] | null;
  /** Of the pod's interface; null: one that the kernel makes. */
  readonly mac: string | null;
};

const PREFIX = "cni.projectcalico.org/";
/** Annotations of Calico that change what ADD does and are not put into effect: refused, so that nobody relies on them. */
const UNSUPPORTED = ["ipAddrsNoIpam", "floatingIPs", "allowedSourcePrefixes", "ipFamilies"];

/**
 * Reads the annotations of a pod; those about pools also from its namespace, where the pod says nothing. Throws a CniError
 * for one that cannot be read or is not supported.
 */
export function readWishes(pod: PodInfo): Wishes {
  const unsupported = UNSUPPORTED.find((name) => pod.annotations[PREFIX + name] !== undefined);
  if (unsupported !== undefined) throw new CniError(CODE.unsupportedField, `annotation ${PREFIX}${unsupported} is not supported`, "remove it from the pod");
  const ofPod = (name: string): string[] | null => listIn(pod.annotations, name, "");
  const ofEither = (name: string): string[] | null => ofPod(name) ?? listIn(pod.namespaceAnnotations, name, " of the namespace");
  return { addresses: ofPod("ipAddrs")?.map(fixedAddress) ?? null, ipv4Pools: ofEither("ipv4pools"), ipv6Pools: ofEither("ipv6pools"), mac: macIn(pod.annotations) };
}

function fixedAddress(text: string): IpAddress {
  const address = canonicalAddress(text);
  if (address === null) throw new CniError(CODE.invalidConfig, `annotation ${PREFIX}ipAddrs: ${JSON.stringify(text)} is no address`, "write addresses without a prefix length");
  return address;
}

function listIn(annotations: PodInfo["annotations"], name: string, whose: string): string[] | null {
  const text = annotations[PREFIX + name];
  if (text === undefined) return null;
  try {
    const list: unknown = JSON.parse(text);
    if (Array.isArray(list) && list.length > 0 && list.every((item): item is string => typeof item === "string")) return list;
  } catch {
    // Reported below.
  }
  throw new CniError(CODE.invalidConfig, `annotation ${PREFIX}${name}${whose} is not a JSON list of strings`, `${text.slice(0, 200)}; write for instance ["10.65.0.9"]`);
}

/** A unicast MAC address in small letters. */
function macIn(annotations: PodInfo["annotations"]): string | null {
  const text = annotations[`${PREFIX}hwAddr`];
  if (text === undefined) return null;
  const isMac = /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i.test(text) && !/^0{2}(:0{2}){5}$/.test(text);
  if (!isMac) throw new CniError(CODE.invalidConfig, `annotation ${PREFIX}hwAddr: ${JSON.stringify(text.slice(0, 40))} is no MAC address`, "write for instance 02:00:5e:10:00:01");
  if ((Number.parseInt(text.slice(0, 2), 16) & 1) === 1) throw new CniError(CODE.invalidConfig, `annotation ${PREFIX}hwAddr: ${text} is a multicast address`, "an interface needs one whose first byte is even");
  return text.toLowerCase();
}
