import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, describe, expect, it } from "vitest";
import { ControlError, createReplyParser, runControlCommand, type ControlReply } from "./client.ts";

const GREETING = "0001 BIRD 2.0.12 ready.\n";
/** Recorded from BIRD 2.0.12. */
const STATUS = `1000-BIRD 2.0.12
1011-Router ID is 10.0.0.1
 Hostname is vm
 Last reboot on 2026-11-21 04:21:33.682
0013 Daemon is up and running
`;

describe("reply parser", () => {
  const parse = (text: string): ControlReply[] => createReplyParser().push(text);

  it("gives a continuation the code of the line before", () => {
    expect(parse(STATUS)).toEqual([{ code: 13, lines: [
      { code: 1000, text: "BIRD 2.0.12" }, { code: 1011, text: "Router ID is 10.0.0.1" }, { code: 1011, text: "Hostname is vm" },
      { code: 1011, text: "Last reboot on 2026-11-21 04:21:33.682" }, { code: 13, text: "Daemon is up and running" },
    ] }]);
  });

  it("reads the same however the bytes are cut", () => {
    const text = GREETING + STATUS;
    fc.assert(fc.property(fc.array(fc.nat(text.length), { maxLength: 12 }), (cuts) => {
      const parser = createReplyParser();
      const at = [0, ...cuts.sort((a, b) => a - b), text.length];
      expect(at.slice(1).flatMap((end, i) => parser.push(text.slice(at[i], end)))).toEqual(parse(text));
    }));
  });

  it("passes asynchronous output over", () => {
    expect(parse("+log line\n0000 \n")).toEqual([{ code: 0, lines: [{ code: 0, text: "" }] }]);
  });

  it("keeps a line together that has Unicode's line separators", () => {
    expect(parse("1006-Received: \u2028bye\u2029\n0000 \n")[0]?.lines[0]).toEqual({ code: 1006, text: "Received: \u2028bye\u2029" });
  });

  it.each(["HTTP/1.1 400 Bad Request\n", " a continuation of nothing\n", "12 x\n", "\n"])("refuses %j", (text) => {
    expect(() => parse(text)).toThrow(ControlError);
  });

  it("ends with a value or a ControlError, whatever comes", () => {
    const lines = fc.array(fc.oneof(fc.string(), fc.string({ unit: "binary" }), fc.stringMatching(/^[01289]\d{3}[ -].{0,9}$/)), { maxLength: 8 });
    fc.assert(fc.property(lines, (parts) => {
      try {
        for (const reply of parse(`${parts.join("\n")}\n`)) expect(reply.lines.at(-1)?.code).toBe(reply.code);
      } catch (error) {
        expect(error).toBeInstanceOf(ControlError);
      }
    }));
  });

  it("does not collect without end", () => {
    const parser = createReplyParser();
    const line = `1000-${"x".repeat(8 * 1024 * 1024)}\n`;
    expect(() => {
      for (let i = 0; i < 9; i += 1) parser.push(line);
    }).toThrow("the answer is too long");
  });
});

describe("runControlCommand", () => {
  const directory = mkdtempSync(join(tmpdir(), "bird-control-"));
  const path = join(directory, "ctl");
  let server: Server | undefined;
  const sockets = new Set<Socket>();

  async function serve(onConnection: (socket: Socket) => void): Promise<void> {
    server = createServer((socket) => {
      sockets.add(socket);
      socket.on("error", () => {});
      onConnection(socket);
    });
    await new Promise<void>((resolve) => server?.listen(path, resolve));
  }
  afterEach(async () => {
    for (const socket of sockets) socket.destroy();
    sockets.clear();
    await new Promise<void>((resolve) => (server === undefined ? resolve() : server.close(() => resolve())));
    server = undefined;
    rmSync(path, { force: true });
  });

  it("sends the command after the greeting and answers with the reply", async () => {
    const commands: string[] = [];
    await serve((socket) => {
      socket.write(GREETING);
      socket.on("data", (chunk) => {
        commands.push(chunk.toString());
        socket.write("0002-Reading configuration from /etc/bird.cfg\n");
        socket.write("8002 /etc/bird.cfg:1:1 syntax error\n");
      });
    });
    expect(await runControlCommand(path, "configure")).toEqual({ code: 8002, lines: [{ code: 2, text: "Reading configuration from /etc/bird.cfg" }, { code: 8002, text: "/etc/bird.cfg:1:1 syntax error" }] });
    expect(commands).toEqual(["configure\n"]);
  });

  it.each<[string, (socket: Socket) => void, string]>([
    ["says nothing", () => {}, "show status: BIRD did not answer within 50 ms"],
    ["greets and says nothing", (socket) => socket.write(GREETING), "show status: BIRD did not answer within 50 ms"],
    ["hangs up", (socket) => socket.end(GREETING), "show status: BIRD closed the connection"],
    ["is no BIRD", (socket) => socket.write("SSH-2.0-OpenSSH\n"), 'show status: unexpected answer "SSH-2.0-OpenSSH"'],
  ])("rejects when the other side %s", async (_, behave, message) => {
    await serve(behave);
    await expect(runControlCommand(path, "show status", 50)).rejects.toThrow(new ControlError(message));
  });

  it("rejects when nobody listens", async () => {
    await expect(runControlCommand(path, "show status")).rejects.toThrow(/^show status: connect ENOENT/);
  });

  it("rejects a command of two lines without sending it", async () => {
    await expect(runControlCommand(path, "show status\nconfigure")).rejects.toThrow("a command is one line");
  });
});
