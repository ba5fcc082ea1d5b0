/** How this node reaches what other nodes have: its own end of the overlay, theirs, and a route for each range. */
import { addressOf, contains, type Cidr } from "@calico/model";
import type { NodeRoute, PeerNode } from "../messages.ts";
import type { LocalNode, OverlaySink, RemoteRoute, Vtep } from "../ports.ts";

type NodeFacts = Pick<PeerNode, "ipv4" | "vxlan">;

/** Reports what changed; a route whose other end is not known waits. */
export class Overlay {
  readonly #node: string;
  readonly #sink: OverlaySink;
  readonly #nodes = new Map<string, NodeFacts>();
  readonly #routes = new Map<string, NodeRoute>();
  readonly #destinationsByNode = new Map<string, Set<string>>();
  readonly #dirtyNodes = new Set<string>();
  readonly #dirtyRoutes = new Set<string>();
  /** What the sink was told last, as text. */
  #told = { local: "null", vteps: new Map<string, string>(), routes: new Map<string, string>() };

  constructor(node: string, sink: OverlaySink) {
    this.#node = node;
    this.#sink = sink;
  }

  get nodeNames(): Iterable<string> {
    return this.#nodes.keys();
  }

  get destinations(): Iterable<string> {
    return this.#routes.keys();
  }

  /** null: it is gone. */
  setNode(name: string, node: NodeFacts | null): void {
    const before = this.#nodes.get(name);
    if (node === null) this.#nodes.delete(name);
    else this.#nodes.set(name, { ipv4: node.ipv4, vxlan: node.vxlan });
    // Labels and BGP settings are nothing to the overlay.
    if (before?.ipv4 === node?.ipv4 && JSON.stringify(before?.vxlan) === JSON.stringify(node?.vxlan)) return;
    this.#dirtyNodes.add(name);
    const concerned = name === this.#node ? this.#routes.keys() : (this.#destinationsByNode.get(name) ?? []);
    for (const destination of concerned) this.#dirtyRoutes.add(destination);
  }

  /** null: it is gone. */
  setRoute(destination: string, route: NodeRoute | null): void {
    const before = this.#routes.get(destination);
    if (before !== undefined) {
      const others = this.#destinationsByNode.get(before.node);
      others?.delete(destination);
      if (others?.size === 0) this.#destinationsByNode.delete(before.node);
    }
    if (route === null) this.#routes.delete(destination);
    else {
      this.#routes.set(destination, route);
      const others = this.#destinationsByNode.get(route.node);
      if (others === undefined) this.#destinationsByNode.set(route.node, new Set([destination]));
      else others.add(destination);
    }
    this.#dirtyRoutes.add(destination);
  }

  /** Ends of the overlay first, then the routes that lead to them. */
  report(): void {
    const local = this.#local();
    if (JSON.stringify(local) !== this.#told.local) {
      this.#told.local = JSON.stringify(local);
      this.#sink.onLocalNodeUpdate(local);
    }
    for (const name of this.#dirtyNodes) {
      const vtep = this.#vtepOf(name);
      if (vtep !== null && changed(this.#told.vteps, name, vtep)) this.#sink.onVtepUpdate(vtep);
    }
    for (const destination of this.#dirtyRoutes) {
      const route = this.#resolve(destination);
      if (route !== null && changed(this.#told.routes, destination, route)) this.#sink.onRemoteRouteUpdate(route);
    }
  }

  /** Routes first, then the ends that they led to. */
  reportRemovals(): void {
    for (const destination of this.#dirtyRoutes) if (this.#resolve(destination) === null && this.#told.routes.delete(destination)) this.#sink.onRemoteRouteRemove(destination);
    for (const name of this.#dirtyNodes) if (this.#vtepOf(name) === null && this.#told.vteps.delete(name)) this.#sink.onVtepRemove(name);
    this.#dirtyRoutes.clear();
    this.#dirtyNodes.clear();
  }

  #local(): LocalNode | null {
    const own = this.#nodes.get(this.#node);
    return own === undefined || own.ipv4 === null ? null : { address: own.ipv4, vxlan: own.vxlan };
  }

  #vtepOf(name: string): Vtep | null {
    const node = this.#nodes.get(name);
    if (name === this.#node || node === undefined || node.ipv4 === null || node.vxlan === null) return null;
    return { node: name, nodeAddress: addressOf(node.ipv4), tunnelAddress: node.vxlan.address, mac: node.vxlan.mac };
  }

  /** null: it leads here, or nobody knows yet where. */
  #resolve(destination: string): RemoteRoute | null {
    const route = this.#routes.get(destination);
    if (route === undefined || route.node === this.#node) return null;
    const base = { destination: route.destination, node: route.node };
    const nodeAddress = this.#nodes.get(route.node)?.ipv4 ?? null;
    if (route.encapsulation === "VXLANCrossSubnet" && nodeAddress !== null && isNear(this.#nodes.get(this.#node)?.ipv4 ?? null, nodeAddress)) return { ...base, through: "subnet", gateway: addressOf(nodeAddress) };
    const vtep = this.#vtepOf(route.node);
    return vtep === null ? null : { ...base, through: "tunnel", gateway: vtep.tunnelAddress };
  }
}

/** In the subnet of this node, by this node's own prefix length. */
function isNear(own: Cidr | null, other: Cidr): boolean {
  return own !== null && contains(own, addressOf(other));
}

/** Notes a value; true when it is another one than before. */
function changed(told: Map<string, string>, key: string, value: object): boolean {
  const text = JSON.stringify(value);
  if (told.get(key) === text) return false;
  told.set(key, text);
  return true;
}
