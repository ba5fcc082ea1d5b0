import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { startGrpcServer, unaryHandler, grpcError } from "./grpc.ts";
import { silentLogger } from "./log.ts";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "kit-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

test("a unix socket is for its owner; one that nobody listens on is taken over, one in use is refused", async () => {
  const socket = join(dir, "a", "x.sock");
  const server = await startGrpcServer({ socket }, []);
  expect(statSync(socket).mode & 0o777).toBe(0o600);
  await expect(startGrpcServer({ socket }, [])).rejects.toThrow("is in use by another process");
  await server.close();
  writeFileSync(join(dir, "stale.sock"), "");
  const second = await startGrpcServer({ socket: join(dir, "stale.sock") }, []);
  await second.close();
});

test("a port in use is named", async () => {
  const blocker = createServer();
  await new Promise<void>((resolve) => blocker.listen(0, "127.0.0.1", resolve));
  const { port } = blocker.address() as { port: number };
  await expect(startGrpcServer({ host: "127.0.0.1", port, portParameter: "TYPHA_SERVERPORT", tls: "insecure" }, [])).rejects.toThrow("TYPHA_SERVERPORT");
  await new Promise((resolve) => blocker.close(resolve));
});

test("handlers: service errors pass as they are, others become INTERNAL", async () => {
  const outcome = (handle: () => Promise<string>): Promise<unknown> => new Promise((resolve) => {
    const call = { request: {}, getPath: () => "/x" };
    unaryHandler<unknown, string>(handle, silentLogger)(call as never, ((error: { code: number; message: string } | null, value: string) => resolve(error === null ? value : [error.code, error.message])) as never);
  });
  expect(await outcome(async () => "yes")).toBe("yes");
  expect(await outcome(async () => {
    throw grpcError(9, "not ready");
  })).toEqual([9, "not ready"]);
  expect(await outcome(async () => {
    throw new Error("boom", { cause: new Error("why") });
  })).toEqual([13, "boom: why"]);
});
