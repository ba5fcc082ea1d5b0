/** The registers of the kernel's virtual machine (struct nft_regs): words of 32 bits, the verdict in front. */

const VERDICT_BYTES = 16;
const BYTES = 80;

/** Register numbers of netlink: the verdict, four of 128 bits, and the same memory as sixteen of 32 bits. */
export const REGISTER_VERDICT = 0;
const [FIRST_LARGE, LAST_LARGE, FIRST_SMALL, LAST_SMALL] = [1, 4, 8, 23];

/** Where a register begins, in bytes. Throws for one that carries no data. */
export function registerOffset(register: number): number {
  if (register >= FIRST_LARGE && register <= LAST_LARGE) return register * VERDICT_BYTES;
  if (register >= FIRST_SMALL && register <= LAST_SMALL) return VERDICT_BYTES + (register - FIRST_SMALL) * 4;
  throw new RangeError(`register ${register} carries no data`);
}

export class Registers {
  readonly bytes = new Uint8Array(BYTES);

  /** Stores bytes; the rest of the last word becomes zero. */
  store(at: number, data: Uint8Array): void {
    const end = at + data.length;
    if (data.length % 4 !== 0) this.bytes.fill(0, end, at + Math.ceil(data.length / 4) * 4);
    this.bytes.set(data, at);
  }

  /** One byte in a word of its own. */
  storeByte(at: number, value: number): void {
    this.bytes.fill(0, at, at + 4);
    this.bytes[at] = value;
  }

  /** A number in the machine's order (little endian). */
  storeNumber(at: number, value: number): void {
    for (let i = 0; i < 4; i += 1) this.bytes[at + i] = (value >>> (8 * i)) & 0xff;
  }

  readNumber(at: number): number {
    return ((this.bytes[at] ?? 0) | ((this.bytes[at + 1] ?? 0) << 8) | ((this.bytes[at + 2] ?? 0) << 16) | ((this.bytes[at + 3] ?? 0) << 24)) >>> 0;
  }

  /** Below zero, zero or above: as memcmp. */
  compare(at: number, data: Uint8Array): number {
    for (let i = 0; i < data.length; i += 1) {
      const difference = (this.bytes[at + i] ?? 0) - (data[i] ?? 0);
      if (difference !== 0) return difference;
    }
    return 0;
  }
}
