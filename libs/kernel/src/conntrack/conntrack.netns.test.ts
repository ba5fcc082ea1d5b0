import { afterEach, beforeEach, expect, it } from "vitest";
import { createTestNetns, type TestNetns } from "../testing/index.ts";
import { openConntrack, type Conntrack } from "./conntrack.ts";

let netns: TestNetns;
let conntrack: Conntrack;
beforeEach(() => {
  netns = createTestNetns();
  netns.exec("ip", "link", "set", "lo", "up");
  for (const address of ["10.65.0.1/32", "10.65.0.2/32", "fd65::1/128"]) netns.exec("ip", "addr", "add", address, "dev", "lo");
  // A rule that asks for the state makes the kernel track.
  netns.exec("nft", "add table inet t; add chain inet t output { type filter hook output priority 0; }; add rule inet t output ct state new counter");
  conntrack = netns.run(() => openConntrack(netns.sys));
});
afterEach(() => {
  conntrack[Symbol.dispose]();
  netns[Symbol.dispose]();
});

const send = (to: string, port: number): void => void netns.exec("bash", "-c", `echo x > /dev/udp/${to}/${port}`);
const tracked = (): number => Number(netns.exec("cat", "/proc/sys/net/netfilter/nf_conntrack_count"));

it("deletes the connections of an address, of both families, and leaves the others", () => {
  for (const port of [1001, 1002]) send("10.65.0.1", port);
  send("10.65.0.2", 1001);
  send("fd65::1", 1001);
  const all = tracked();
  const deleted = conntrack.deleteByAddresses(["10.65.0.1", "fd65::1"]);
  expect([deleted >= 3, tracked()]).toEqual([true, all - deleted]);
  expect(conntrack.deleteByAddresses(["10.65.0.1", "fd65::1"])).toBe(0);
  expect(conntrack.deleteByAddresses(["10.65.0.2"])).toBeGreaterThanOrEqual(1);
});

it("has nothing to do without addresses or connections", () => {
  expect([conntrack.deleteByAddresses([]), conntrack.deleteByAddresses(["10.65.0.9", "fd65::9"])]).toEqual([0, 0]);
});
