/** Which host endpoint has which interface. Pure. */
import type { ResolvedHostEndpoint } from "@calico/calc";
import type { HostBinding } from "../rules/host-chains.ts";

export type HostInterfaces = {
  /** Interfaces of the host that are no workload's, with their addresses. */
  readonly addressesOf: ReadonlyMap<string, ReadonlySet<string>>;
  readonly isWorkload: (name: string) => boolean;
};

export type HostBindings = {
  readonly bindings: readonly HostBinding[];
  /** Why an endpoint, by its id, is not in force as somebody meant it. */
  readonly missing: ReadonlyMap<string, string>;
};

/**
 * One per interface: of several the lowest id. An endpoint that names an interface has it whether it is there or not, so that its
 * first packet meets policy; one without a name has every interface with one of its addresses.
 */
export function bindHostEndpoints(endpoints: Iterable<ResolvedHostEndpoint>, interfaces: HostInterfaces): HostBindings {
  const owners = new Map<string, ResolvedHostEndpoint>();
  const missing = new Map<string, string>();
  for (const endpoint of [...endpoints].sort((a, b) => (a.id < b.id ? -1 : 1))) {
    const names = interfacesOf(endpoint, interfaces);
    const free = names.filter((name) => !owners.has(name));
    for (const name of free) owners.set(name, endpoint);
    const reason = whyMissing(endpoint, names, free, owners, interfaces);
    if (reason !== null) missing.set(endpoint.id, reason);
  }
  const bindings = [...owners].map(([interfaceName, endpoint]) => ({ interfaceName, endpoint })).sort((a, b) => (a.interfaceName < b.interfaceName ? -1 : 1));
  return { bindings, missing };
}

function interfacesOf({ interfaceName, expectedIps }: ResolvedHostEndpoint, { addressesOf, isWorkload }: HostInterfaces): string[] {
  if (interfaceName !== "") return isWorkload(interfaceName) ? [] : [interfaceName];
  return [...addressesOf].filter(([, addresses]) => expectedIps.some((address) => addresses.has(address))).map(([name]) => name);
}

function whyMissing({ interfaceName, expectedIps }: ResolvedHostEndpoint, names: readonly string[], free: readonly string[], owners: ReadonlyMap<string, ResolvedHostEndpoint>, { addressesOf }: HostInterfaces): string | null {
  const [first] = names;
  if (first === undefined) return interfaceName === "" ? `no interface of the host has one of the addresses ${expectedIps.join(", ")}` : `interface ${interfaceName} is a pod's`;
  if (free.length === 0) return `${first === "*" ? "every interface" : `interface ${first}`} has the host endpoint ${owners.get(first)?.name ?? ""}`;
  return interfaceName === "" || interfaceName === "*" || addressesOf.has(interfaceName) ? null : `interface ${interfaceName} does not exist`;
}
