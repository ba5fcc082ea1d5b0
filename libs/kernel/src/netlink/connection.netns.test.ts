import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { openNftables } from "../nftables/index.ts";
import { createTestNetns, eventually, type TestNetns } from "../testing/index.ts";
import { NetlinkConnection } from "./connection.ts";

const NETLINK_NETFILTER = 12;
const NFNLGRP_NFTABLES = 7;

let netns: TestNetns;
beforeEach(() => {
  netns = createTestNetns();
});
afterEach(() => netns[Symbol.dispose]());

it("after events that were too many it says so, and those that come later are heard", async () => {
  const small = netns.run(() => new NetlinkConnection(netns.sys, NETLINK_NETFILTER, { nonBlocking: true, bufferBytes: 32 << 10 }));
  const nft = netns.run(() => openNftables(netns.sys));
  let events = 0;
  let overflows = 0;
  let seen = 0;
  const subscription = small.subscribe([NFNLGRP_NFTABLES], () => (events += 1), () => (overflows += 1));
  try {
    for (let round = 1; round <= 3; round += 1) {
      nft.commit(`t${round}`, [{ do: "add-table", flags: 0 }, ...Array.from({ length: 3_000 }, (_, n) => ({ do: "add-chain", chain: `c${n}` }) as const)]);
      await eventually(`overflow ${round}`, () => overflows > seen);
      seen = overflows;
      const before = events;
      nft.commit(`later${round}`, [{ do: "add-table", flags: 0 }]);
      await eventually(`the event after overflow ${round}`, () => events > before);
    }
  } finally {
    subscription[Symbol.dispose]();
    small.close();
    nft.close();
  }
}, 20_000);

it("may be given up just before the thread is busy for long", () => {
  // Before the event loop runs for the first time timers come before what is closed: so in a program of its own.
  const program = `
    const { NetlinkConnection } = await import(${JSON.stringify(new URL("connection.ts", import.meta.url).href)});
    const { openSys } = await import(${JSON.stringify(new URL("../sys/sys.ts", import.meta.url).href)});
    const connection = new NetlinkConnection(openSys(), ${NETLINK_NETFILTER}, { nonBlocking: true, bufferBytes: 32 << 10 });
    connection.subscribe([${NFNLGRP_NFTABLES}], () => undefined, () => undefined)[Symbol.dispose]();
    connection.close();
    const until = performance.now() + 120;
    while (performance.now() < until);
    setTimeout(() => console.log("well"), 100);
  `;
  const file = join(mkdtempSync(join(tmpdir(), "connection-")), "program.mjs");
  try {
    writeFileSync(file, program);
    const { status, signal, stdout, stderr } = spawnSync(process.execPath, [file], { encoding: "utf8" });
    expect({ status, signal, stdout: stdout.trim(), stderr: stderr.replaceAll(/.*ExperimentalWarning.*\n.*\n/g, "") }).toEqual({ status: 0, signal: null, stdout: "well", stderr: "" });
  } finally {
    rmSync(dirname(file), { recursive: true });
  }
});
