import { expect, test } from "vitest";
import { ConfigError, startAll, type Component } from "./lifecycle.ts";
import { silentLogger } from "./log.ts";

function part(name: string, events: string[], fail?: "start" | "stop"): Component {
  return {
    name,
    start() {
      events.push(`start ${name}`);
      if (fail === "start") throw new ConfigError("no");
    },
    stop() {
      events.push(`stop ${name}`);
      if (fail === "stop") throw new Error("no");
    },
  };
}

test("parts start in order and stop in reverse; one that does not stop keeps nobody", async () => {
  const events: string[] = [];
  const stop = await startAll([part("a", events), part("b", events, "stop"), part("c", events)], silentLogger, new AbortController().signal);
  await stop();
  expect(events).toEqual(["start a", "start b", "start c", "stop c", "stop b", "stop a"]);
});

test("when one does not start, those before it are stopped and the reason is kept", async () => {
  const events: string[] = [];
  await expect(startAll([part("a", events), part("b", events, "start"), part("c", events)], silentLogger, new AbortController().signal)).rejects.toMatchObject({ message: "b did not start", cause: expect.any(ConfigError) });
  expect(events).toEqual(["start a", "start b", "stop b", "stop a"]);
});
