/** Addresses: strict parsing, canonical text, order. */

export type Family = 4 | 6;
/** A canonical address without a prefix length: "10.65.0.2", "fd00::1". */
export type IpAddress = string & { readonly brand: "IpAddress" };
/** Address bytes in network order: 4 or 16. */
export type AddressBytes = Uint8Array;

const DOT = 46;
const COLON = 58;
/** Longest text of an address: eight groups of four, seven colons, or with an embedded IPv4 address. */
const MAX_TEXT = 45;

/**
 * Bytes of an address, or null when the text is not one. Strict as RFC 6943, 3.1.1 asks: four decimal parts
 * without leading zeros, no zone, no brackets, no white space.
 */
export function parseAddress(text: string): AddressBytes | null {
  if (text.length === 0 || text.length > MAX_TEXT) return null;
  return text.includes(":") ? parseV6(text) : parseV4(text, 0);
}

function parseV4(text: string, from: number): AddressBytes | null {
  const bytes = new Uint8Array(4);
  let part = 0;
  let value = -1;
  let zero = false;
  for (let i = from; i <= text.length; i += 1) {
    const code = i === text.length ? DOT : text.charCodeAt(i);
    if (code === DOT) {
      if (value < 0 || part > 3) return null;
      bytes[part] = value;
      part += 1;
      value = -1;
      zero = false;
      continue;
    }
    const digit = code - 48;
    if (digit < 0 || digit > 9 || zero) return null;
    if (value < 0) {
      value = digit;
      zero = digit === 0;
    } else value = value * 10 + digit;
    if (value > 255) return null;
  }
  return part === 4 ? bytes : null;
}

function parseV6(text: string): AddressBytes | null {
  const bytes = new Uint8Array(16);
  let length = 0;
  let gap = -1;
  let i = 0;
  if (text.charCodeAt(0) === COLON) {
    if (text.charCodeAt(1) !== COLON) return null;
    gap = 0;
    i = 2;
  }
  while (i < text.length) {
    if (length === 16) return null;
    const end = groupEnd(text, i);
    if (text.charCodeAt(end) === DOT) {
      const v4 = length <= 12 ? parseV4(text, i) : null;
      if (v4 === null) return null;
      bytes.set(v4, length);
      length += 4;
      break;
    }
    const group = parseGroup(text, i, end);
    if (group < 0) return null;
    bytes[length] = group >> 8;
    bytes[length + 1] = group & 0xff;
    length += 2;
    if (end === text.length) break;
    i = end + 1;
    if (text.charCodeAt(i) === COLON) {
      if (gap >= 0) return null;
      gap = length;
      i += 1;
    } else if (i === text.length) return null;
  }
  if (gap < 0) return length === 16 ? bytes : null;
  if (length === 16) return null;
  bytes.copyWithin(16 - (length - gap), gap, length);
  bytes.fill(0, gap, 16 - (length - gap));
  return bytes;
}

/** Where the group that starts at `from` ends: at a colon, a dot or the end of the text. */
function groupEnd(text: string, from: number): number {
  let end = from;
  while (end < text.length && text.charCodeAt(end) !== COLON && text.charCodeAt(end) !== DOT) end += 1;
  return end;
}

function parseGroup(text: string, from: number, end: number): number {
  if (end === from || end - from > 4) return -1;
  let value = 0;
  for (let i = from; i < end; i += 1) {
    const digit = hexDigit(text.charCodeAt(i));
    if (digit < 0) return -1;
    value = value * 16 + digit;
  }
  return value;
}

function hexDigit(code: number): number {
  if (code >= 48 && code <= 57) return code - 48;
  if (code >= 97 && code <= 102) return code - 87;
  if (code >= 65 && code <= 70) return code - 55;
  return -1;
}

/** Canonical text of address bytes (RFC 5952, section 4; IPv4-mapped addresses with a dotted tail). */
export function formatAddress(bytes: AddressBytes): IpAddress {
  if (bytes.length === 4) return `${bytes[0]}.${bytes[1]}.${bytes[2]}.${bytes[3]}` as IpAddress;
  if (isV4Mapped(bytes)) return `::ffff:${formatAddress(bytes.subarray(12))}` as IpAddress;
  const groups: number[] = [];
  for (let i = 0; i < 16; i += 2) groups.push(((bytes[i] ?? 0) << 8) | (bytes[i + 1] ?? 0));
  const { start, length } = longestZeroRun(groups);
  const text = (part: readonly number[]): string => part.map((group) => group.toString(16)).join(":");
  if (length < 2) return text(groups) as IpAddress;
  return `${text(groups.slice(0, start))}::${text(groups.slice(start + length))}` as IpAddress;
}

function isV4Mapped(bytes: AddressBytes): boolean {
  for (let i = 0; i < 10; i += 1) if (bytes[i] !== 0) return false;
  return bytes[10] === 0xff && bytes[11] === 0xff;
}

function longestZeroRun(groups: readonly number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  let start = 0;
  for (let i = 0; i <= groups.length; i += 1) {
    if (i < groups.length && groups[i] === 0) continue;
    if (i - start > best.length) best = { start, length: i - start };
    start = i + 1;
  }
  return best;
}

/** The canonical form of an address, or null when the text is not one. */
export function canonicalAddress(text: string): IpAddress | null {
  const bytes = parseAddress(text);
  return bytes === null ? null : formatAddress(bytes);
}

/** Bytes of an address that is known to be valid. Throws a RangeError when it is not. */
export function addressBytes(address: string): AddressBytes {
  const bytes = parseAddress(address);
  if (bytes === null) throw new RangeError(`not an IP address: ${JSON.stringify(address.slice(0, 64))}`);
  return bytes;
}

/** Family of a canonical address or CIDR. */
export function familyOf(addressOrCidr: string): Family {
  return addressOrCidr.includes(":") ? 6 : 4;
}

/** IPv4 before IPv6, then by number. */
export function compareAddresses(a: IpAddress, b: IpAddress): number {
  return compareBytes(addressBytes(a), addressBytes(b));
}

/** Shorter first (IPv4 before IPv6), then by number: negative, zero or positive. */
export function compareBytes(a: AddressBytes, b: AddressBytes): number {
  if (a.length !== b.length) return a.length - b.length;
  for (let i = 0; i < a.length; i += 1) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** `bytes` plus `n` (a non-negative integer below 2^53), or null when that runs past the last address. */
export function addToAddress(bytes: AddressBytes, n: number): AddressBytes | null {
  const sum = new Uint8Array(bytes);
  let carry = n;
  for (let i = sum.length - 1; i >= 0 && carry > 0; i -= 1) {
    const total = (sum[i] ?? 0) + (carry % 256);
    sum[i] = total & 0xff;
    carry = Math.floor(carry / 256) + (total >> 8);
  }
  return carry > 0 ? null : sum;
}
