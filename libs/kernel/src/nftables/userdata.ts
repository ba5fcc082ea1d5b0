/** What a rule carries for us and for people: a hash, and a comment that `nft list` shows. */

const COMMENT = 0;
/** A type that nft does not know and passes over. */
const HASH = 0x43;
/** The kernel takes 256 bytes in all. */
const MAX_COMMENT = 120;

export function encodeUserdata(hash: string | undefined, comment: string | undefined): Buffer | null {
  const parts: Buffer[] = [];
  if (comment !== undefined) parts.push(entry(COMMENT, Buffer.from(`${truncated(comment)}\0`)));
  if (hash !== undefined) parts.push(entry(HASH, Buffer.from(hash, "hex")));
  return parts.length === 0 ? null : Buffer.concat(parts);
}

export function decodeUserdata(data: Buffer | undefined): { hash: string | null; comment: string | null } {
  let hash: string | null = null;
  let comment: string | null = null;
  for (let at = 0; data !== undefined && at + 2 <= data.length;) {
    const type = data[at] ?? 0;
    const length = data[at + 1] ?? 0;
    const value = data.subarray(at + 2, at + 2 + length);
    if (value.length < length) break;
    if (type === HASH) hash = value.toString("hex");
    if (type === COMMENT) comment = value.toString("utf8").replace(/\0.*$/s, "");
    at += 2 + length;
  }
  return { hash, comment };
}

function entry(type: number, value: Buffer): Buffer {
  return Buffer.concat([Buffer.of(type, value.length), value]);
}

/** Cut at a character's border. */
function truncated(text: string): string {
  let cut = text;
  while (Buffer.byteLength(cut) > MAX_COMMENT) cut = cut.slice(0, -1);
  return cut.toWellFormed();
}
