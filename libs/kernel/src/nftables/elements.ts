/** Members of sets and maps: text to bytes and back. */
import { addressBytes, formatAddress } from "@calico/model";
import type { NetlinkWriter } from "../netlink/writer.ts";
import { eachAttribute, readAttributes, readText, readU32Be } from "../netlink/reader.ts";
import { KEY_FIELDS, NFTA_DATA, NFTA_LIST_ELEM, NFTA_SET_ELEM, NFTA_VERDICT, SET_ELEM_INTERVAL_END, VERDICT_CODE } from "./constants.ts";
import { bigEndian16, interfaceName, little32, writeVerdict } from "./expressions.ts";
import type { KeyField, MapVerdict, SetElement, SetSpec } from "./types.ts";

const VERDICT_NAMES = new Map(Object.entries(VERDICT_CODE).map(([name, code]) => [code >>> 0, name]));

/** Bytes of a key, each field of a concatenation padded to 32-bit words. */
export function keyBytes(fields: readonly KeyField[], values: readonly string[]): Buffer {
  if (fields.length !== values.length) throw new RangeError(`a key of ${fields.length} fields was given ${values.length} values`);
  const parts = fields.map((field, i) => fieldBytes(field, values[i] ?? ""));
  const [only] = parts;
  return parts.length === 1 && only !== undefined ? only : Buffer.concat(parts.map(padded));
}

function fieldBytes(field: KeyField, value: string): Buffer {
  switch (field) {
    case "ipv4_addr":
    case "ipv6_addr": {
      const bytes = addressBytes(value);
      if (bytes.length !== KEY_FIELDS[field].bytes) throw new RangeError(`${value} is no ${field}`);
      return Buffer.from(bytes);
    }
    case "inet_proto": return Buffer.of(Number(value));
    case "inet_service": return Buffer.from(bigEndian16(Number(value)));
    case "mark": return little32(Number(value));
    case "ifname": return interfaceName(value);
  }
}

function padded(bytes: Buffer): Buffer {
  return bytes.length % 4 === 0 ? bytes : Buffer.concat([bytes, Buffer.alloc(4 - (bytes.length % 4))]);
}

/** Length of a key in the kernel. */
export function keyLength(fields: readonly KeyField[]): number {
  const [only] = fields;
  if (fields.length === 1 && only !== undefined) return KEY_FIELDS[only].bytes;
  return fields.reduce((sum, field) => sum + Math.ceil(KEY_FIELDS[field].bytes / 4) * 4, 0);
}

/** nft's number of a key type: six bits per field. */
export function keyType(fields: readonly KeyField[]): number {
  return fields.reduce((type, field) => (type << 6) | KEY_FIELDS[field].type, 0);
}

/** Writes a member as one list element, or an interval as two: its start, and its end unless it reaches the last value. */
export function writeElement(writer: NetlinkWriter, set: SetSpec, element: SetElement, withData: boolean): void {
  if ("start" in element) {
    writeOne(writer, keyBytes(set.key, [element.start]), 0);
    if (element.end !== null) writeOne(writer, keyBytes(set.key, [element.end]), SET_ELEM_INTERVAL_END);
    return;
  }
  writeOne(writer, keyBytes(set.key, element.key), 0, withData ? element.verdict : undefined);
}

function writeOne(writer: NetlinkWriter, key: Buffer, flags: number, verdict?: MapVerdict): void {
  writer.nested(NFTA_LIST_ELEM, () => {
    writer.nested(NFTA_SET_ELEM.KEY, () => writer.attribute(NFTA_DATA.VALUE, key));
    if (flags !== 0) writer.attributeU32Be(NFTA_SET_ELEM.FLAGS, flags);
    if (verdict === undefined) return;
    writer.nested(NFTA_SET_ELEM.DATA, () => {
      if ("jump" in verdict) writeVerdict(writer, VERDICT_CODE.jump, verdict.jump);
      else if ("goto" in verdict) writeVerdict(writer, VERDICT_CODE.goto, verdict.goto);
      else writeVerdict(writer, VERDICT_CODE[verdict.verdict], undefined);
    });
  });
}

/** A member in one canonical line: "10.0.0.1 . 6 . 80", "10.0.0.0-10.0.1.0", "cali1 : goto x". */
export function elementText(element: SetElement): string {
  if ("start" in element) return `${element.start}-${element.end ?? ""}`;
  const key = element.key.join(" . ");
  return element.verdict === undefined ? key : `${key} : ${verdictText(element.verdict)}`;
}

function verdictText(verdict: MapVerdict): string {
  if ("jump" in verdict) return `jump ${verdict.jump}`;
  return "goto" in verdict ? `goto ${verdict.goto}` : verdict.verdict;
}

/** Members as the kernel lists them, in the form of `elementText`. Intervals are put together from their two ends. */
export function readElements(lists: readonly Buffer[], fields: readonly KeyField[], interval: boolean): string[] {
  const found = lists.flatMap((list) => [...eachAttribute(list)].map(([, element]) => readOne(element, fields)));
  if (!interval) return found.map(({ key, verdict }) => (verdict === null ? key : `${key} : ${verdict}`));
  found.sort((a, b) => Buffer.compare(a.bytes, b.bytes) || Number(b.isEnd) - Number(a.isEnd));
  const texts: string[] = [];
  let start: string | null = null;
  for (const { key, isEnd } of found) {
    if (start !== null) texts.push(`${start}-${key}`);
    start = isEnd ? null : key;
  }
  if (start !== null) texts.push(`${start}-`);
  return texts;
}

/**
 * One element of a list. Sets have hundreds of thousands of them and most are a key alone, so its two attributes are looked for where they are
 * instead of taking everything apart.
 */
function readOne(element: Buffer, fields: readonly KeyField[]): { bytes: Buffer; key: string; isEnd: boolean; verdict: string | null } {
  let bytes: Buffer = NOTHING;
  let flags = 0;
  let verdict: string | null = null;
  for (let at = 0; at + 4 <= element.length;) {
    const length = element.readUInt16LE(at);
    if (length < 4 || at + length > element.length) break;
    const type = element.readUInt16LE(at + 2) & 0x3fff;
    if (type === NFTA_SET_ELEM.KEY) bytes = firstValue(element, at + 4, at + length);
    else if (type === NFTA_SET_ELEM.FLAGS && length >= 8) flags = element.readUInt32BE(at + 4);
    else if (type === NFTA_SET_ELEM.DATA) {
      const found = readAttributes(element.subarray(at + 4, at + length)).get(NFTA_DATA.VERDICT);
      if (found !== undefined) verdict = readVerdict(found);
    }
    at += (length + 3) & ~3;
  }
  return { bytes, key: keyText(bytes, fields), isEnd: (flags & SET_ELEM_INTERVAL_END) !== 0, verdict };
}

const NOTHING = Buffer.alloc(0);

/** The value of the attribute NFTA_DATA_VALUE that begins at `at`. */
function firstValue(data: Buffer, at: number, end: number): Buffer {
  if (at + 4 > end) return NOTHING;
  const length = data.readUInt16LE(at);
  if (length < 4 || at + length > end || (data.readUInt16LE(at + 2) & 0x3fff) !== NFTA_DATA.VALUE) return NOTHING;
  return data.subarray(at + 4, at + length);
}

function readVerdict(bytes: Buffer): string {
  const attributes = readAttributes(bytes);
  const name = VERDICT_NAMES.get(readU32Be(attributes.get(NFTA_VERDICT.CODE)) ?? 0) ?? "unknown";
  const chain = readText(attributes.get(NFTA_VERDICT.CHAIN));
  return chain === undefined ? name : `${name} ${chain}`;
}

function keyText(bytes: Buffer, fields: readonly KeyField[]): string {
  if (fields.length === 1 && fields[0] === "ipv4_addr" && bytes.length >= 4) return `${bytes[0]}.${bytes[1]}.${bytes[2]}.${bytes[3]}`;
  let at = 0;
  return fields.map((field) => {
    const { bytes: length } = KEY_FIELDS[field];
    const part = bytes.subarray(at, at + length);
    at += Math.ceil(length / 4) * 4;
    if (part.length < length) return "?";
    switch (field) {
      case "ipv4_addr":
      case "ipv6_addr": return formatAddress(part);
      case "inet_proto": return String(part[0]);
      case "inet_service": return String(part.readUInt16BE(0));
      case "mark": return String(part.readUInt32LE(0));
      case "ifname": return readText(part) ?? "";
    }
  }).join(" . ");
}
