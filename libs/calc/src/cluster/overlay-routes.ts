/** Routes that an overlay carries: for every block of a VXLAN pool, and every address that another node borrowed from one, whose it is. */
import { cidrOf, contains, familyOf, prefixLengthOf, type Block, type Cidr, type IpPool } from "@calico/model";
import type { NodeRoute, NodeUpdate, ObjectKey } from "../messages.ts";
import { ALL_NODES, type ClusterSink } from "../ports.ts";
import type { Interest } from "./interest.ts";

/** Each route is for every node: which of them it concerns, and how, depends on the node that is told. */
export class OverlayRoutes {
  readonly #sink: Pick<ClusterSink, "onValueChange">;
  readonly #interest: Interest;
  readonly #pools = new Map<string, IpPool>();
  readonly #blocks = new Map<string, Block>();
  readonly #destinationsByBlock = new Map<string, readonly Cidr[]>();
  readonly #routes = new Map<Cidr, NodeRoute>();

  constructor(sink: Pick<ClusterSink, "onValueChange">, interest: Interest) {
    this.#sink = sink;
    this.#interest = interest;
  }

  valueOf(destination: string): NodeUpdate | undefined {
    const value = this.#routes.get(destination as Cidr);
    return value === undefined ? undefined : { kind: "Route", value };
  }

  onPool(id: string, pool: IpPool | null): void {
    const before = this.#pools.get(id);
    if (pool === null) this.#pools.delete(id);
    else this.#pools.set(id, pool);
    if (before?.cidr === pool?.cidr && before?.vxlanMode === pool?.vxlanMode) return;
    const concerned = [before, pool].flatMap((each) => each?.cidr ?? []);
    for (const [name, { cidr }] of this.#blocks) if (concerned.some((range) => contains(range, cidr))) this.#refresh(name);
  }

  onBlock(id: string, block: Block | null): void {
    if (block === null) this.#blocks.delete(id);
    else this.#blocks.set(id, block);
    this.#refresh(id);
  }

  /** What a block gives now, instead of what it gave before. */
  #refresh(id: string): void {
    const block = this.#blocks.get(id);
    const routes = block === undefined ? new Map<Cidr, NodeRoute>() : this.#routesOf(block);
    for (const destination of this.#destinationsByBlock.get(id) ?? []) if (!routes.has(destination)) this.#remove(destination);
    for (const route of routes.values()) this.#set(route);
    if (routes.size === 0) this.#destinationsByBlock.delete(id);
    else this.#destinationsByBlock.set(id, [...routes.keys()]);
  }

  #routesOf({ cidr, node, borrowed }: Block): Map<Cidr, NodeRoute> {
    const mode = familyOf(cidr) === 4 ? this.#poolOf(cidr)?.vxlanMode : undefined;
    if (mode === undefined || mode === "Never") return new Map();
    const encapsulation = mode === "Always" ? "VXLAN" : "VXLANCrossSubnet";
    const routes: NodeRoute[] = node === null ? [] : [{ destination: cidr, node, encapsulation }];
    // After the block's own: one of a single address may be borrowed as a whole.
    for (const lent of borrowed) routes.push({ destination: cidrOf(lent.address), node: lent.node, encapsulation });
    return new Map(routes.map((route) => [route.destination, route]));
  }

  /** The smallest pool around a block; while a pool is replaced there may be two. */
  #poolOf(cidr: Cidr): IpPool | undefined {
    const around = [...this.#pools.values()].filter((pool) => contains(pool.cidr, cidr));
    return around.toSorted((a, b) => prefixLengthOf(b.cidr) - prefixLengthOf(a.cidr) || (a.name < b.name ? -1 : 1))[0];
  }

  #set(route: NodeRoute): void {
    const before = this.#routes.get(route.destination);
    if (before?.node === route.node && before.encapsulation === route.encapsulation) return;
    this.#routes.set(route.destination, route);
    this.#sink.onValueChange(keyOf(route.destination));
    if (before === undefined) this.#interest.start(ALL_NODES, keyOf(route.destination));
  }

  #remove(destination: Cidr): void {
    this.#interest.stop(ALL_NODES, keyOf(destination));
    this.#routes.delete(destination);
    this.#sink.onValueChange(keyOf(destination));
  }
}

function keyOf(destination: Cidr): ObjectKey {
  return `Route:${destination}`;
}
