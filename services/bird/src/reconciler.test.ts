import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLogger, systemClock } from "@calico/service-kit";
import { expect, it } from "vitest";
import type { ClusterView } from "./render/view.ts";
import { createReconciler } from "./reconciler.ts";
import { cidr, peerNode, viewOf } from "./render/testing.ts";

it("forgets that a configuration was refused when the cluster asks again for the one that is in effect", async () => {
  const directory = mkdtempSync(join(tmpdir(), "bird-reconciler-"));
  const files = { birdPath: join(directory, "bird"), configFile: join(directory, "bird.cfg"), controlSocket: join(directory, "bird.ctl") };
  // A parser that takes everything but "log stderr all", and a BIRD that takes what the parser took.
  writeFileSync(files.birdPath, '#!/bin/sh\n! grep "stderr all" "$3"\n');
  chmodSync(files.birdPath, 0o755);
  const bird = createServer((socket) => socket.on("data", () => socket.write("0003 Reconfigured\n")).write("0001 BIRD ready.\n"));
  await new Promise<void>((resolve) => bird.listen(files.controlSocket, resolve));
  const running = new AbortController();
  const good = viewOf({ node: "a", nodes: [peerNode("a", { ipv4: cidr("10.99.0.1/24") })] });
  let view: ClusterView = good;
  const reconciler = createReconciler({ view: () => view, process: { ensure: async () => {}, stop: async () => {}, version: "", starts: 0 }, files, onApplied: () => {}, clock: systemClock, log: silentLogger });
  const loop = reconciler.run(running.signal);
  const ask = (next: ClusterView): void => {
    view = next;
    reconciler.trigger();
  };
  try {
    ask(good);
    await expect.poll(() => reconciler.applied).not.toBeNull();
    const bad = { ...good, bgp: { ...good.bgp, logSeverity: "Debug" } };
    ask(bad);
    await expect.poll(() => reconciler.refused).toContain("stderr all");
    ask(good);
    await expect.poll(() => reconciler.refused).toBe("");
    ask(bad);
    await expect.poll(() => reconciler.refused).toContain("stderr all");
  } finally {
    running.abort();
    await loop;
    bird.close();
    rmSync(directory, { recursive: true });
  }
});
