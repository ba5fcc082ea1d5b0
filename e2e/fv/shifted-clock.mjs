/**
 * Loaded into a service (node --import): its wall clock is off by the milliseconds in the file CLOCK_OFFSET_FILE, which is
 * read whenever the time is asked for. The monotonic clock stays right, as it does when somebody sets a machine's clock.
 */
import { readFileSync } from "node:fs";

const file = process.env["CLOCK_OFFSET_FILE"] ?? "";
const RealDate = Date;

function offset() {
  try {
    return Number(readFileSync(file, "utf8")) || 0;
  } catch {
    return 0;
  }
}

globalThis.Date = class extends RealDate {
  constructor(...when) {
    if (when.length === 0) super(RealDate.now() + offset());
    else super(...when);
  }

  static now() {
    return RealDate.now() + offset();
  }
};
