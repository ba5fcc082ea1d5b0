/** Netlink messages and attributes, written into a buffer that grows (RFC 3549; linux/netlink.h). */

export const NLM_F_REQUEST = 0x1;
export const NLM_F_ACK = 0x4;
export const NLM_F_DUMP = 0x300;
export const NLM_F_REPLACE = 0x100;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;
export const NLM_F_APPEND = 0x800;
const NLA_F_NESTED = 0x8000;
/** The length of an attribute is 16 bits wide. */
export const MAX_ATTRIBUTE = 0xffff;

/** Numbers are in the machine's order (little endian) unless the name says Be. */
export class NetlinkWriter {
  #buffer: Buffer;
  #at = 0;
  #message = 0;

  constructor(size = 64 * 1024) {
    this.#buffer = Buffer.alloc(size);
  }

  get length(): number {
    return this.#at;
  }

  get buffer(): Buffer {
    return this.#buffer;
  }

  reset(): this {
    this.#at = 0;
    return this;
  }

  /** Begins a message; `end` closes it. */
  begin(type: number, flags: number, sequence: number): this {
    this.#room(16);
    this.#message = this.#at;
    this.#buffer.writeUInt16LE(type, this.#at + 4);
    this.#buffer.writeUInt16LE(flags, this.#at + 6);
    this.#buffer.writeUInt32LE(sequence >>> 0, this.#at + 8);
    this.#buffer.writeUInt32LE(0, this.#at + 12);
    this.#at += 16;
    return this;
  }

  end(): this {
    this.#buffer.writeUInt32LE(this.#at - this.#message, this.#message);
    return this;
  }

  u8(value: number): this {
    this.#room(1);
    this.#buffer[this.#at] = value;
    this.#at += 1;
    return this;
  }

  u16(value: number): this {
    this.#room(2);
    this.#buffer.writeUInt16LE(value, this.#at);
    this.#at += 2;
    return this;
  }

  u16Be(value: number): this {
    this.#room(2);
    this.#buffer.writeUInt16BE(value, this.#at);
    this.#at += 2;
    return this;
  }

  u32(value: number): this {
    this.#room(4);
    this.#buffer.writeUInt32LE(value >>> 0, this.#at);
    this.#at += 4;
    return this;
  }

  attribute(type: number, data: Uint8Array): this {
    if (data.length + 4 > MAX_ATTRIBUTE) throw new RangeError(`attribute ${type} has ${data.length} bytes, at most ${MAX_ATTRIBUTE - 4} fit`);
    this.#room(data.length + 8);
    this.#buffer.writeUInt16LE(4 + data.length, this.#at);
    this.#buffer.writeUInt16LE(type, this.#at + 2);
    this.#buffer.set(data, this.#at + 4);
    this.#at += 4 + data.length;
    while (this.#at % 4 !== 0) {
      this.#buffer[this.#at] = 0;
      this.#at += 1;
    }
    return this;
  }

  attributeU8(type: number, value: number): this {
    return this.attribute(type, Uint8Array.of(value));
  }

  attributeU16(type: number, value: number): this {
    return this.attribute(type, Uint8Array.of(value & 0xff, value >> 8));
  }

  attributeU16Be(type: number, value: number): this {
    return this.attribute(type, Uint8Array.of(value >> 8, value & 0xff));
  }

  attributeU32(type: number, value: number): this {
    this.#room(8);
    this.#buffer.writeUInt16LE(8, this.#at);
    this.#buffer.writeUInt16LE(type, this.#at + 2);
    this.#buffer.writeUInt32LE(value >>> 0, this.#at + 4);
    this.#at += 8;
    return this;
  }

  attributeU32Be(type: number, value: number): this {
    this.#room(8);
    this.#buffer.writeUInt16LE(8, this.#at);
    this.#buffer.writeUInt16LE(type, this.#at + 2);
    this.#buffer.writeUInt32BE(value >>> 0, this.#at + 4);
    this.#at += 8;
    return this;
  }

  attributeU64Be(type: number, value: bigint): this {
    const data = Buffer.alloc(8);
    data.writeBigUInt64BE(value);
    return this.attribute(type, data);
  }

  /** Text with a zero byte at its end. */
  attributeText(type: number, text: string): this {
    return this.attribute(type, Buffer.from(`${text}\0`));
  }

  /** An attribute made of attributes. Throws a RangeError when they are longer than 64 KiB. */
  nested(type: number, write: () => void): this {
    this.#room(4);
    const start = this.#at;
    this.#buffer.writeUInt16LE(type | NLA_F_NESTED, this.#at + 2);
    this.#at += 4;
    write();
    const length = this.#at - start;
    if (length > MAX_ATTRIBUTE) throw new RangeError(`attribute ${type} has ${length} bytes, at most ${MAX_ATTRIBUTE} fit`);
    this.#buffer.writeUInt16LE(length, start);
    return this;
  }

  #room(bytes: number): void {
    if (this.#at + bytes + 4 <= this.#buffer.length) return;
    const larger = Buffer.alloc(Math.max(this.#buffer.length * 2, this.#at + bytes + 4));
    this.#buffer.copy(larger, 0, 0, this.#at);
    this.#buffer = larger;
  }
}
