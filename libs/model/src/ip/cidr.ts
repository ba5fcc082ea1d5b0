/** CIDRs: an address and a prefix length, host bits zero. */
import {
  addToAddress, addressBytes, compareBytes, formatAddress, parseAddress, type AddressBytes, type Family, type IpAddress,
} from "./address.ts";

/** A canonical CIDR: "10.65.0.0/26", "fd00::/122". */
export type Cidr = string & { readonly brand: "Cidr" };

/** A CIDR taken apart. `bytes` is its first address. */
export type ParsedCidr = {
  readonly family: Family;
  readonly bytes: AddressBytes;
  readonly prefixLength: number;
  readonly cidr: Cidr;
  /** True when the text had bits set behind the prefix; they were cleared. */
  readonly masked: boolean;
};

/** Width of an address of a family, in bits. */
export function widthOf(family: Family): number {
  return family === 4 ? 32 : 128;
}

/** Takes "address/length" apart, or a bare address (a host of its own). Null when it is neither. */
export function parseCidr(text: string): ParsedCidr | null {
  const slash = text.indexOf("/");
  const bytes = parseAddress(slash < 0 ? text : text.slice(0, slash));
  if (bytes === null) return null;
  const family: Family = bytes.length === 4 ? 4 : 6;
  const prefixLength = slash < 0 ? widthOf(family) : parsePrefixLength(text.slice(slash + 1));
  if (prefixLength === null || prefixLength > widthOf(family)) return null;
  const first = maskBytes(bytes, prefixLength);
  const masked = compareBytes(first, bytes) !== 0;
  return { family, bytes: first, prefixLength, cidr: `${formatAddress(first)}/${prefixLength}` as Cidr, masked };
}

function parsePrefixLength(text: string): number | null {
  return /^(0|[1-9][0-9]{0,2})$/.test(text) ? Number(text) : null;
}

/** A copy of `bytes` with everything behind `prefixLength` bits cleared. */
export function maskBytes(bytes: AddressBytes, prefixLength: number): AddressBytes {
  const masked = new Uint8Array(bytes);
  const whole = prefixLength >> 3;
  if (whole < masked.length) {
    masked[whole] = (masked[whole] ?? 0) & (0xff00 >> (prefixLength & 7));
    masked.fill(0, whole + 1);
  }
  return masked;
}

/** The canonical form of a CIDR or a bare address, or null. */
export function canonicalCidr(text: string): Cidr | null {
  return parseCidr(text)?.cidr ?? null;
}

/** A CIDR that is known to be valid, taken apart. Throws a RangeError when it is not. */
export function cidrParts(cidr: string): ParsedCidr {
  const parsed = parseCidr(cidr);
  if (parsed === null) throw new RangeError(`not a CIDR: ${JSON.stringify(cidr.slice(0, 64))}`);
  return parsed;
}

/** The CIDR of `prefixLength` bits around an address; without a length, of that address alone. */
export function cidrOf(address: string, prefixLength?: number): Cidr {
  return cidrParts(prefixLength === undefined ? address : `${address}/${prefixLength}`).cidr;
}

/** The address in front of the slash of a canonical CIDR. */
export function addressOf(cidr: string): IpAddress {
  const slash = cidr.indexOf("/");
  return (slash < 0 ? cidr : cidr.slice(0, slash)) as IpAddress;
}

/** Bits behind the slash; of a bare address, its full width. */
export function prefixLengthOf(cidr: string): number {
  return cidrParts(cidr).prefixLength;
}

/** True when every address of `inner` (a CIDR or an address) is in `outer`. */
export function contains(outer: string, inner: string): boolean {
  const out = cidrParts(outer);
  const within = cidrParts(inner);
  return out.family === within.family && out.prefixLength <= within.prefixLength
    && compareBytes(maskBytes(within.bytes, out.prefixLength), out.bytes) === 0;
}

/** True when the two CIDRs have an address in common. */
export function overlaps(a: string, b: string): boolean {
  return contains(a, b) || contains(b, a);
}

/** The n-th address of a CIDR, counted from zero. Throws a RangeError outside of it. */
export function addressAt(cidr: string, n: number): IpAddress {
  const { bytes, prefixLength, family } = cidrParts(cidr);
  const sum = Number.isSafeInteger(n) && n >= 0 && n < addressCount(family, prefixLength) ? addToAddress(bytes, n) : null;
  if (sum === null) throw new RangeError(`${cidr} has no address number ${n}`);
  return formatAddress(sum);
}

/** Position of an address in a CIDR, counted from zero; null when it is outside or the position passes 2^53. */
export function ordinalOf(cidr: string, address: string): number | null {
  if (!contains(cidr, address)) return null;
  const { bytes } = cidrParts(cidr);
  const other = addressBytes(address);
  let ordinal = 0;
  for (let i = 0; i < bytes.length; i += 1) ordinal = ordinal * 256 + ((other[i] ?? 0) - (bytes[i] ?? 0));
  return Number.isSafeInteger(ordinal) ? ordinal : null;
}

/** How many addresses a prefix of that length has; beyond 2^53 a rounded number. */
export function addressCount(family: Family, prefixLength: number): number {
  return 2 ** (widthOf(family) - prefixLength);
}

/** How many blocks of `blockSize` bits a pool has; beyond 2^53 a rounded number. */
export function blockCount(pool: string, blockSize: number): number {
  return 2 ** Math.max(0, blockSize - cidrParts(pool).prefixLength);
}

/** The n-th block of `blockSize` bits in a pool. Throws a RangeError outside of it. */
export function blockAt(pool: string, blockSize: number, n: number): Cidr {
  const { bytes, family } = cidrParts(pool);
  if (!Number.isSafeInteger(n) || n < 0 || n >= blockCount(pool, blockSize)) throw new RangeError(`${pool} has no block number ${n}`);
  const sum = new Uint8Array(bytes);
  addShifted(sum, n, widthOf(family) - blockSize);
  return `${formatAddress(sum)}/${blockSize}` as Cidr;
}

/** Adds n * 2^shift to `bytes`. */
function addShifted(bytes: Uint8Array, n: number, shift: number): void {
  let carry = n * 2 ** (shift & 7);
  for (let i = bytes.length - 1 - (shift >> 3); i >= 0 && carry > 0; i -= 1) {
    const total = (bytes[i] ?? 0) + (carry % 256);
    bytes[i] = total & 0xff;
    carry = Math.floor(carry / 256) + (total >> 8);
  }
}

/** The blocks of a pool in order, made as they are asked for. */
export function* blocksIn(pool: string, blockSize: number): Generator<Cidr> {
  const count = blockCount(pool, blockSize);
  for (let n = 0; n < count; n += 1) yield blockAt(pool, blockSize, n);
}

/** The first address behind a CIDR, or null when it reaches the end of the address space. */
export function endOf(cidr: ParsedCidr): AddressBytes | null {
  const end = new Uint8Array(cidr.bytes);
  for (let bit = cidr.prefixLength - 1; bit >= 0; bit -= 1) {
    const mask = 0x80 >> (bit & 7);
    const index = bit >> 3;
    const set = ((end[index] ?? 0) & mask) !== 0;
    end[index] = (end[index] ?? 0) ^ mask;
    if (!set) return end;
  }
  return null;
}
