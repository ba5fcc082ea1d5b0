/** Attributes read back, within their bounds whatever the bytes say. */

const TYPE_MASK = 0x3fff;

/** Attributes by type; of a repeated one the last. A length that does not fit ends the reading. */
export type Attributes = ReadonlyMap<number, Buffer>;

export function readAttributes(data: Buffer): Attributes {
  const attributes = new Map<number, Buffer>();
  for (const [type, value] of eachAttribute(data)) attributes.set(type, value);
  return attributes;
}

/** Every attribute in order: for lists, in which types repeat. */
export function* eachAttribute(data: Buffer): Generator<readonly [type: number, value: Buffer]> {
  let at = 0;
  while (at + 4 <= data.length) {
    const length = data.readUInt16LE(at);
    if (length < 4 || at + length > data.length) return;
    yield [data.readUInt16LE(at + 2) & TYPE_MASK, data.subarray(at + 4, at + length)];
    at += (length + 3) & ~3;
  }
}

export function readU32(value: Buffer | undefined): number | undefined {
  return value === undefined || value.length < 4 ? undefined : value.readUInt32LE(0);
}

export function readU32Be(value: Buffer | undefined): number | undefined {
  return value === undefined || value.length < 4 ? undefined : value.readUInt32BE(0);
}

export function readU64Be(value: Buffer | undefined): bigint | undefined {
  return value === undefined || value.length < 8 ? undefined : value.readBigUInt64BE(0);
}

/** Text up to its zero byte. */
export function readText(value: Buffer | undefined): string | undefined {
  if (value === undefined) return undefined;
  const end = value.indexOf(0);
  return value.toString("utf8", 0, end < 0 ? value.length : end);
}
