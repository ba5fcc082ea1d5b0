/** Who wants which route. */
import type { Route } from "@calico/kernel";

export interface RouteClaims {
  /** What an owner wants from now on, instead of what it wanted before. Returns the destinations that this concerns. */
  claim(owner: string, routes: readonly Route[]): Set<string>;
  /**
   * The route that a destination should have. While an address moves from one pod to another both claim it for a
   * moment; it is the later's.
   */
  get(destination: string): { readonly route: Route; readonly owner: string } | undefined;
  destinationsOf(owner: string): Iterable<string>;
  owners(): Iterable<string>;
  destinations(): Iterable<string>;
}

export function createRouteClaims(): RouteClaims {
  const byOwner = new Map<string, ReadonlySet<string>>();
  /** By destination the routes wanted, by owner in the order in which they came. */
  const claimants = new Map<string, Map<string, Route>>();
  return {
    claim(owner, routes) {
      const before = byOwner.get(owner) ?? new Set();
      const now = new Set(routes.map(({ destination }) => destination));
      for (const destination of before) {
        if (now.has(destination)) continue;
        const others = claimants.get(destination);
        others?.delete(owner);
        if (others?.size === 0) claimants.delete(destination);
      }
      for (const route of routes) {
        const others = claimants.get(route.destination);
        if (others === undefined) claimants.set(route.destination, new Map([[owner, route]]));
        else others.set(owner, route);
      }
      if (now.size === 0) byOwner.delete(owner);
      else byOwner.set(owner, now);
      return new Set([...before, ...now]);
    },
    get(destination) {
      const last = [...(claimants.get(destination) ?? [])].at(-1);
      return last === undefined ? undefined : { owner: last[0], route: last[1] };
    },
    destinationsOf: (owner) => byOwner.get(owner) ?? [],
    owners: () => byOwner.keys(),
    destinations: () => claimants.keys(),
  };
}
