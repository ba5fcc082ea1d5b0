/** Longest-prefix match over CIDRs of both families. */
import { maskBytes, parseCidr } from "./cidr.ts";
import { familyOf, parseAddress } from "./address.ts";

export interface CidrTrie<V> {
  readonly size: number;
  /** Sets the value of a CIDR. Throws a RangeError when the text is not a CIDR. */
  set(cidr: string, value: V): void;
  delete(cidr: string): boolean;
  get(cidr: string): V | undefined;
  /** The value of the longest CIDR that holds the address. */
  longestMatch(address: string): V | undefined;
  /** True when a CIDR of the trie holds the address or CIDR. */
  covers(addressOrCidr: string): boolean;
}

/**
 * One hash table per prefix length: a lookup probes the lengths in use, longest first. Pools and blocks use
 * a handful of lengths, so this beats a bit trie in time and in memory.
 */
export function createCidrTrie<V>(): CidrTrie<V> {
  const tables = new Map<string, Map<string, V>>();
  const lengths: { 4: number[]; 6: number[] } = { 4: [], 6: [] };
  let size = 0;

  function locate(cidr: string): { table: string; key: string; family: 4 | 6; length: number } {
    const parsed = parseCidr(cidr);
    if (parsed === null) throw new RangeError(`not a CIDR: ${JSON.stringify(cidr.slice(0, 64))}`);
    return { table: `${parsed.family}/${parsed.prefixLength}`, key: keyOf(parsed.bytes), family: parsed.family, length: parsed.prefixLength };
  }

  function lookup(text: string): V | undefined {
    const slash = text.indexOf("/");
    const bytes = parseAddress(slash < 0 ? text : text.slice(0, slash));
    if (bytes === null) return undefined;
    const family = familyOf(text);
    const limit = slash < 0 ? bytes.length * 8 : Number(text.slice(slash + 1));
    for (const length of lengths[family]) {
      if (length > limit) continue;
      const table = tables.get(`${family}/${length}`);
      const key = keyOf(maskBytes(bytes, length));
      if (table?.has(key) === true) return table.get(key);
    }
    return undefined;
  }

  return {
    get size() {
      return size;
    },
    set(cidr, value) {
      const at = locate(cidr);
      let table = tables.get(at.table);
      if (table === undefined) {
        table = new Map();
        tables.set(at.table, table);
        lengths[at.family].push(at.length);
        lengths[at.family].sort((a, b) => b - a);
      }
      if (!table.has(at.key)) size += 1;
      table.set(at.key, value);
    },
    delete(cidr) {
      const at = locate(cidr);
      const table = tables.get(at.table);
      if (table?.delete(at.key) !== true) return false;
      size -= 1;
      if (table.size === 0) {
        tables.delete(at.table);
        lengths[at.family] = lengths[at.family].filter((length) => length !== at.length);
      }
      return true;
    },
    get(cidr) {
      const at = locate(cidr);
      return tables.get(at.table)?.get(at.key);
    },
    longestMatch: lookup,
    covers: (text) => lookup(text) !== undefined,
  };
}

function keyOf(bytes: Uint8Array): string {
  let key = "";
  for (const byte of bytes) key += String.fromCharCode(byte);
  return key;
}
