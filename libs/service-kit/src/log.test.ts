import { expect, test } from "vitest";
import { createLogger } from "./log.ts";

test("a line has the sentence, the fields and no secrets; errors are told with their causes", () => {
  const lines: Record<string, unknown>[] = [];
  const log = createLogger("felix", "Info", { write: (line) => void lines.push(JSON.parse(line) as Record<string, unknown>) });
  log.debug("hidden");
  log.child({ node: "a" }).info("Listening", { port: 1, token: "abc", bytes: 5n });
  log.setLevel("Debug");
  log.debug("shown", { error: new Error("commit failed", { cause: new Error("EPERM") }) });
  expect(lines).toEqual([
    { time: expect.any(String) as string, level: "info", service: "felix", node: "a", port: 1, token: "[hidden]", bytes: "5", msg: "Listening" },
    { time: expect.any(String) as string, level: "debug", service: "felix", error: "commit failed: EPERM", msg: "shown" },
  ]);
});
