/** Addresses for those that manifests give none. Pure. */
import { addressBytes, addToAddress, compareBytes, disjointCover, formatAddress, prefixLengthOf, type AddressBytes, type Family, type IpAddress } from "@calico/model";

/** Where the search begins: in ranges that no network has, then in one that is not met on the Internet. */
const BEGINNINGS: readonly (readonly [Family, readonly string[]])[] = [[4, ["240.0.0.0", "55.0.0.0"]], [6, ["4000::", "100::"]]];

/**
 * One address of each family at every call, none of them twice and none in a net, but for nets that hold every address: so a rule about nets matches
 * it only when it matches everything. Fewer when the nets leave none of a family.
 */
export function createPlaceholders(nets: Iterable<string>): () => IpAddress[] {
  const narrow = [...nets].filter((net) => prefixLengthOf(net) > 0);
  const sources = BEGINNINGS.map(([family, beginnings]) => outside(narrow, family, beginnings.map(addressBytes)));
  return () => sources.flatMap((source) => source.next().value ?? []);
}

/** The addresses outside of nets, upwards from each beginning. */
function* outside(nets: readonly string[], family: Family, beginnings: readonly AddressBytes[]): Generator<IpAddress, undefined> {
  const ranges = disjointCover(nets, family);
  const given = new Set<IpAddress>();
  for (const beginning of beginnings) {
    let at: AddressBytes | null = addToAddress(beginning, 1);
    let i = 0;
    while (at !== null) {
      const here: AddressBytes = at;
      while (i < ranges.length && isBehind(here, ranges[i]?.end ?? null)) i += 1;
      const range = ranges[i];
      if (range !== undefined && compareBytes(range.start, here) <= 0) {
        at = range.end;
        continue;
      }
      const address = formatAddress(here);
      if (given.has(address)) break;
      given.add(address);
      yield address;
      at = addToAddress(here, 1);
    }
  }
  return undefined;
}

/** True when a range that ends there (null: with the last address) lies before the address. */
const isBehind = (address: AddressBytes, end: AddressBytes | null): boolean => end !== null && compareBytes(end, address) <= 0;
