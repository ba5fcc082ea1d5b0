/** BIRD's control protocol: a line per command, answered by lines with four-digit codes (BIRD documentation, "Remote control"). */
import { createConnection } from "node:net";

export type ControlReply = {
  /** Code of the last line: 0xxx success, 8xxx runtime error, 9xxx syntax error. */
  readonly code: number;
  /** Every line without its code, in order. */
  readonly lines: readonly { readonly code: number; readonly text: string }[];
};

export class ControlError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "ControlError";
  }
}

/** A reply longer than this is not one of BIRD's. */
const MAX_REPLY_BYTES = 64 * 1024 * 1024;
/** A peer's shutdown message is part of an answer and may have any character: line separators of Unicode end no line. */
const LINE = /^(\d{4})([ -])(.*)$/s;

/** Runs one command on a connection of its own. Rejects with a ControlError when BIRD does not answer in time. */
export function runControlCommand(socketPath: string, command: string, timeoutMs = 5_000): Promise<ControlReply> {
  if (/[\r\n]/.test(command)) return Promise.reject(new ControlError("a command is one line"));
  return new Promise((resolve, reject) => {
    const socket = createConnection(socketPath);
    const parser = createReplyParser();
    let greeted = false;
    const fail = (message: string, cause?: unknown): void => {
      socket.destroy();
      reject(new ControlError(`${command}: ${message}`, { cause }));
    };
    socket.setTimeout(timeoutMs, () => fail(`BIRD did not answer within ${timeoutMs} ms`));
    socket.on("error", (error) => fail(error.message, error));
    socket.on("end", () => fail("BIRD closed the connection"));
    socket.on("data", (chunk) => {
      let replies: ControlReply[];
      try {
        replies = parser.push(chunk.toString("utf8"));
      } catch (error) {
        return fail((error as Error).message);
      }
      for (const reply of replies) {
        if (greeted) {
          socket.destroy();
          return resolve(reply);
        }
        greeted = true;
        socket.write(`${command}\n`);
      }
    });
  });
}

/** Collects lines to replies. A reply ends with a line whose code is followed by a space. Throws a ControlError on anything else. */
export function createReplyParser(): { push(text: string): ControlReply[] } {
  let rest = "";
  let received = 0;
  let lines: { code: number; text: string }[] = [];
  return {
    push(text) {
      received += text.length;
      if (received > MAX_REPLY_BYTES) throw new ControlError("the answer is too long");
      const parts = (rest + text).split("\n");
      rest = parts.pop() ?? "";
      const replies: ControlReply[] = [];
      for (const line of parts) {
        const match = LINE.exec(line);
        if (match === null) {
          const last = lines.at(-1);
          // A continuation has the code of the line before and begins with a space; "+" is asynchronous output.
          if (line.startsWith(" ") && last !== undefined) lines.push({ code: last.code, text: line.slice(1) });
          else if (!line.startsWith("+")) throw new ControlError(`unexpected answer ${JSON.stringify(line.slice(0, 80))}`);
          continue;
        }
        const [, code = "", separator, body = ""] = match;
        lines.push({ code: Number(code), text: body });
        if (separator !== " ") continue;
        replies.push({ code: Number(code), lines });
        lines = [];
      }
      return replies;
    },
  };
}
