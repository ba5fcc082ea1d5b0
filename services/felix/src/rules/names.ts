/** Names of chains and sets: from what they are for, so that a restart finds its own again. */
import { createHash } from "node:crypto";
import type { IpSetId } from "@calico/calc";
import type { Family } from "@calico/kernel";

export type Direction = "ingress" | "egress";

/**
 * Where policy meets a packet. Of workloads there is one place; of host endpoints: what this host itself sends and receives,
 * the same after its destination was translated (only where that takes other rules), what it forwards, and what comes before
 * destinations are translated and before connection tracking.
 */
export type Stage = "workload" | "host" | "translated" | "forward" | "pre-dnat" | "untracked";
export const STAGES: readonly Stage[] = ["workload", "host", "translated", "forward", "pre-dnat", "untracked"];

/** Chains of workloads are named without their stage. */
const staged = (prefix: string, stage: Stage): string => (stage === "workload" ? prefix : `${prefix}-${stage}`);

function hash(...parts: readonly string[]): string {
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex").slice(0, 20);
}

/** The names of one object are asked for one after the other. */
let latest = { id: "", digest: "" };
function digestOf(id: string): string {
  if (latest.id !== id) latest = { id, digest: hash(id) };
  return latest.digest;
}

export function policyChain(id: string, direction: Direction, stage: Stage = "workload"): string {
  return `${staged(direction === "ingress" ? "pi" : "po", stage)}-${digestOf(id)}`;
}

export function profileChain(id: string, direction: Direction, stage: Stage = "workload"): string {
  return `${staged(direction === "ingress" ? "pri" : "pro", stage)}-${digestOf(id)}`;
}

/** One tier of one list: shared by all endpoints that have the same policies in it. */
export function tierChain(tier: string, policies: readonly string[], direction: Direction, stage: Stage = "workload"): string {
  let digest = listDigests.get(policies);
  if (digest === undefined) listDigests.set(policies, (digest = hash(...policies)));
  return `${staged(direction === "ingress" ? "ti" : "to", stage)}-${hash(tier, digest)}`;
}

/** Endpoints with the same policies mostly have the same list of them, which may be long. */
const listDigests = new WeakMap<readonly string[], string>();

/** A run of policies: shared by all lists that have it. */
export function pieceChain(policies: readonly string[]): string {
  return `pl-${hash(...policies)}`;
}

/** The rules of some policies of a long list, one after the other. */
export function blockChain(policies: readonly string[]): string {
  return `pk-${hash(...policies)}`;
}

/** The policies that have something to say about some ports. */
export function bucketChain(policies: readonly string[]): string {
  return `pb-${hash(...policies)}`;
}

/** Policies that are asked only for who is in one of their sets. */
export function groupChain(policies: readonly string[]): string {
  return `pg-${hash(...policies)}`;
}

/** A set of all members of these sets. */
export function unionSetName(sets: readonly string[], family: Family): string {
  return `u-${hash(...sets)}-h${family}`;
}

/** A map of ports that belongs to one chain with these rules, by their hashes; which of several, `index` says. */
export function portMapName(chain: string, index: number, rules: readonly string[]): string {
  return `pm-${chain}-${index}-${hash(...rules).slice(0, 8)}`;
}

/** The same as long as the rules around it are not known. */
export function unfinishedMapName(index: number): string {
  return `pm-${index}`;
}

/** A set of what one interface may send from, beside its own addresses. */
export function sourcesSet(interfaceName: string, family: Family): string {
  return `from${family}-${interfaceName}`;
}

/** All tiers and profiles of an endpoint: shared by all endpoints that have the same. */
export function listChain(tiers: readonly string[], profiles: readonly string[], direction: Direction, stage: Stage = "workload"): string {
  return `${staged(direction === "ingress" ? "li" : "le", stage)}-${hash(...tiers, "|", ...profiles)}`;
}

export function fromEndpointChain(interfaceName: string): string {
  return `from-${interfaceName}`;
}

export function toEndpointChain(interfaceName: string): string {
  return `to-${interfaceName}`;
}

/** From an endpoint's own chain to the list of its policies. By a rule and not by a map, so that a packet finds the list that was there when it came. */
export function policiesChain(interfaceName: string, direction: Direction): string {
  return `${direction}-${interfaceName}`;
}

/** A set of the calculation in the kernel; "h" holds single addresses, "i" ranges. */
export function ipSetName(id: IpSetId, family: Family, shape: "h" | "i"): string {
  return `${id.replace(":", "-")}-${shape}${family}`;
}

/** A set that holds a list written in a rule: equal lists share it. */
export function literalSetName(kind: "nets" | "ports", family: Family | 0, items: readonly string[]): string {
  return `${kind}${family === 0 ? "" : family}-${hash(...items)}`;
}
