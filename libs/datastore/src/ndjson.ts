/** Newline-delimited JSON: one value per line, in chunks cut anywhere. */

const NEWLINE = 0x0a;

export interface LineSplitter {
  /** Feeds bytes; calls back for every line they complete. Empty lines are skipped. */
  push(chunk: Buffer): void;
  /** True when bytes of an unfinished line are waiting. */
  readonly pending: boolean;
}

/**
 * Cuts a byte stream into lines of UTF-8 text. Bytes are searched, not text: a newline byte is never part of a longer
 * UTF-8 sequence, so a character cut by a chunk border is whole again before it is decoded. Each byte is copied at
 * most once, however many chunks a line spans.
 */
export function createLineSplitter(onLine: (line: string) => void): LineSplitter {
  let waiting: Buffer[] = [];
  return {
    push(chunk) {
      let start = 0;
      for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
        const line = takeLine(chunk, start, end);
        start = end + 1;
        if (line !== "" && line !== "\r") onLine(line);
      }
      if (start < chunk.length) waiting.push(start === 0 ? chunk : chunk.subarray(start));
    },
    get pending() {
      return waiting.length > 0;
    },
  };

  function takeLine(chunk: Buffer, start: number, end: number): string {
    if (waiting.length === 0) return chunk.toString("utf8", start, end);
    const parts = [...waiting, chunk.subarray(start, end)];
    waiting = [];
    return Buffer.concat(parts).toString("utf8");
  }
}
