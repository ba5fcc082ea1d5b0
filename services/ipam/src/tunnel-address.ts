/** The address of this node's end of the VXLAN overlay: taken while a VXLAN pool is there, announced on the Node, given back when none is. */
import type { AssignRequest, BlockAttribute } from "@calico/ipam";
import { addressOf, canonicalAddress, contains, vxlanTunnelHandleId, type Cidr, type IpPool } from "@calico/model";
import type { Clock, Logger } from "@calico/service-kit";
import type { Allocator } from "./allocator.ts";
import type { ClusterView } from "./cluster-view.ts";

export interface TunnelAddress {
  /** Brings the address up to date with the pools. Passes do not overlap: one that is asked for meanwhile follows. */
  refresh(): Promise<void>;
  /** In words why there is no address although there should be one; null: all is well. */
  readonly trouble: string | null;
}

export type TunnelAddressOptions = {
  readonly node: string;
  readonly view: Pick<ClusterView, "pools" | "nodeLabels" | "nodeUid" | "tunnelAddress" | "unknown">;
  readonly allocator: Pick<Allocator, "autoAssign" | "assignAddress" | "heldBy" | "releaseOthers" | "releaseByHandle">;
  /** Writes it to the Node; null: there is none. */
  readonly announce: (address: string | null) => Promise<void>;
  readonly clock: Pick<Clock, "monotonic">;
  readonly log: Pick<Logger, "info" | "warn">;
};

/** Somebody may have released it behind this node's back: it is looked up again after this time although nothing changed. */
const VERIFY_MS = 300_000;

export function createTunnelAddress({ node, view, allocator, announce, clock, log }: TunnelAddressOptions): TunnelAddress {
  const handleId = vxlanTunnelHandleId(node);
  const attribute: BlockAttribute = { handle_id: handleId, secondary: { node, type: "vxlanTunnelAddress" } };
  /** What the last pass that succeeded was made from, and when. */
  let settled = { input: "", at: 0 };
  let trouble: string | null = null;
  let running: Promise<void> | null = null;
  let again = false;

  /** Where an address may stay: disabled pools and those of other nodes too, because packets of living pods need it. */
  const overlayPools = (): IpPool[] => view.pools.filter(({ vxlanMode, family }) => vxlanMode !== "Never" && family === 4);

  /** An address as long as there is a pool for it, the one that is announced if possible; or in words why there is none to be had. */
  async function obtain(held: readonly Cidr[], pools: readonly IpPool[]): Promise<{ readonly address: Cidr | null; readonly because: string | null }> {
    const have = (address: Cidr | null) => ({ address, because: null });
    const fits = (address: string): boolean => pools.some(({ cidr }) => contains(cidr, address));
    const announced = view.tunnelAddress === null ? null : canonicalAddress(view.tunnelAddress);
    const kept = held.find((cidr) => addressOf(cidr) === announced && fits(addressOf(cidr))) ?? held.find((cidr) => fits(addressOf(cidr)));
    if (kept !== undefined || pools.length === 0) return have(kept ?? null);
    if (announced !== null && fits(announced)) {
      const result = await allocator.assignAddress(announced, attribute);
      if ("cidr" in result) return have(result.cidr as Cidr);
    }
    const selecting = pools.filter((pool) => pool.nodeSelector.evaluate(view.nodeLabels)).map(({ name }) => name);
    if (selecting.length === 0) return { address: null, because: `no VXLAN pool selects this node: ${pools.map(({ name, nodeSelector }) => `${name} (${nodeSelector.text})`).join(", ")}` };
    const request: AssignRequest = { family: 4, count: 1, use: "Tunnel", attribute, requestedPools: selecting, namespaceLabels: {} };
    const [result] = await allocator.autoAssign([request]);
    const [assigned] = result?.addresses ?? [];
    return assigned === undefined ? { address: null, because: result?.because.join("; ") ?? "no answer" } : have(assigned);
  }

  async function pass(): Promise<void> {
    if (view.unknown !== null) return;
    const pools = overlayPools();
    const inputWith = (announced: string | null): string => JSON.stringify([pools.map(({ name, cidr, disabled, allowedUses, nodeSelector }) => [name, cidr, disabled, allowedUses, nodeSelector.text]), view.nodeLabels, view.nodeUid, announced]);
    if (settled.input === inputWith(view.tunnelAddress) && clock.monotonic() - settled.at < VERIFY_MS) return;
    const held = await allocator.heldBy(handleId);
    const { address, because } = await obtain(held, pools);
    const text = address === null ? null : addressOf(address);
    if (text !== view.tunnelAddress) {
      // Others stop using an address before it can be somebody else's, and begin with one that is taken.
      await announce(text);
      log.info("The node's VXLAN tunnel address", { address: text, before: view.tunnelAddress });
    }
    if (address === null && held.length > 0) await allocator.releaseByHandle(handleId);
    else if (address !== null && held.some((other) => other !== address)) await allocator.releaseOthers(handleId, address);
    if (because !== null) throw new Error(because);
    settled = { input: inputWith(text), at: clock.monotonic() };
    trouble = null;
  }

  async function passes(): Promise<void> {
    do {
      again = false;
      try {
        await pass();
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        if (reason !== trouble) log.warn("The VXLAN tunnel address could not be brought up to date, tried again", { error });
        trouble = reason;
      }
    } while (again);
  }

  return {
    refresh() {
      again = true;
      running ??= passes().finally(() => {
        running = null;
      });
      return running;
    },
    get trouble() {
      return trouble === null ? null : `no VXLAN tunnel address: ${trouble}`;
    },
  };
}
