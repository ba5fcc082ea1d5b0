/** Two machines with one address, or with one name, or a Node that lost this machine's: seen in what typha tells of the nodes. Pure. */
import type { NodeUpdate, PeerNode } from "@calico/calc";
import { addressOf, type Cidr } from "@calico/model";

export type NodeConflict = { readonly reason: "DuplicateAddress" | "DuplicateName"; readonly message: string };

export interface NodeConflicts {
  /** What follows repeats every node. */
  onSnapshotStart(): void;
  onUpdate(update: NodeUpdate): void;
  /** This machine writes these addresses to its Node object. */
  onAnnounced(addresses: readonly (Cidr | null)[]): void;
  /** The first conflict, by name of the other node; null: there is none. */
  readonly conflict: NodeConflict | null;
  /** The Node has none but a part of the addresses that this machine wrote: it was made anew, or somebody took them off. */
  readonly isForgotten: boolean;
}

export function createNodeConflicts(node: string): NodeConflicts {
  const addressesByNode = new Map<string, readonly string[]>();
  let announced: readonly string[] = [];
  /** The API said once what this machine announced: another text was written by somebody else since. */
  let confirmed = false;

  function set({ name, ipv4, ipv6 }: PeerNode): void {
    addressesByNode.set(name, bare([ipv4, ipv6]));
    if (name === node && sameList(addressesByNode.get(node), announced)) confirmed = true;
  }

  function duplicateAddress(): NodeConflict | null {
    for (const other of [...addressesByNode.keys()].sort()) {
      const shared = other === node ? undefined : addressesByNode.get(other)?.find((address) => announced.includes(address));
      if (shared === undefined) continue;
      return { reason: "DuplicateAddress", message: `node ${other} has the address ${shared} of node ${node}: give one of them another address, or delete the Node object of a machine that is gone` };
    }
    return null;
  }

  /** What this node's object says instead of what this machine wrote; null: the same, or nothing is known. */
  function otherAddresses(): readonly string[] | null {
    const present = addressesByNode.get(node);
    return !confirmed || present === undefined || sameList(present, announced) ? null : present;
  }
  const isPart = (present: readonly string[]): boolean => present.every((address) => announced.includes(address));

  function duplicateName(): NodeConflict | null {
    const present = otherAddresses();
    if (present === null || isPart(present)) return null;
    return { reason: "DuplicateName", message: `somebody else announced node ${node} with ${present.join(" and ")} instead of ${announced.join(" and ")}: another machine has this name, or the annotations were edited; give it another name (NODENAME) and restart felix here` };
  }

  return {
    onSnapshotStart: () => addressesByNode.clear(),
    onUpdate(update) {
      if (update.kind === "Node") set(update.value);
      else if (update.kind === "Remove" && update.of === "Node") addressesByNode.delete(update.id);
    },
    onAnnounced(addresses) {
      announced = bare(addresses);
      confirmed = sameList(addressesByNode.get(node), announced);
    },
    get conflict() {
      return duplicateAddress() ?? duplicateName();
    },
    get isForgotten() {
      const present = otherAddresses();
      return present !== null && isPart(present);
    },
  };
}

/** Without prefix lengths: two machines may see different ones. */
function bare(addresses: readonly (Cidr | null)[]): string[] {
  return addresses.filter((address) => address !== null).map((address) => addressOf(address));
}

function sameList(a: readonly string[] | undefined, b: readonly string[]): boolean {
  return a !== undefined && a.length === b.length && a.every((item, i) => item === b[i]);
}
