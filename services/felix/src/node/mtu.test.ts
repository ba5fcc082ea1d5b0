import { expect, it } from "vitest";
import { hostMtu, podMtu, vxlanMtu } from "./mtu.ts";

const PATTERN = "^((en|wl|ww|sl|ib)[Pcopsvx].*|(eth|wlan|wwan).*)";
const link = (name: string, mtu: number, up = true): { name: string; mtu: number; up: boolean } => ({ name, mtu, up });

it.each<[string, ReturnType<typeof link>[], string, string | null, number]>([
  ["one interface", [link("lo", 65_536), link("eth0", 1_500)], PATTERN, "eth0", 1_500],
  ["the smallest", [link("eth0", 9_000), link("ens5", 8_900), link("docker0", 1_400)], PATTERN, "eth0", 8_900],
  ["not one that is down", [link("eth0", 9_000), link("eth1", 1_400, false)], PATTERN, "eth0", 9_000],
  ["the node's own, whatever its name", [link("bond0", 1_460), link("eth0", 1_500)], PATTERN, "bond0", 1_460],
  ["nothing is known", [link("lo", 65_536)], PATTERN, null, 1_500],
  ["not what is made from it", [link("eth0", 1_500), link("vxlan.calico", 1_450), link("cali123", 1_400), link("any0", 1_480)], ".*", "eth0", 1_480],
  ["a pattern that is none", [link("eth0", 1_400), link("eth1", 1_300)], "(", "eth0", 1_400],
])("the node's MTU: %s", (_, links, pattern, uplink, mtu) => expect(hostMtu(links, { mtuIfacePattern: pattern, interfacePrefix: "cali" }, uplink)).toBe(mtu));

it.each<[string, { mtu?: number; vxlanMTU?: number }, boolean, number, number]>([
  ["left to felix, with VXLAN", {}, true, 1_450, 1_450], ["left to felix, without", {}, false, 1_450, 1_500], ["given for VXLAN", { vxlanMTU: 1_400 }, true, 1_400, 1_400],
  ["too large for VXLAN", { vxlanMTU: 1_500 }, true, 1_450, 1_450], ["given for pods", { mtu: 1_280 }, true, 1_450, 1_280],
])("MTU %s", (_, settings, overlay, device, pods) => {
  const all = { mtu: 0, vxlanMTU: 0, mtuIfacePattern: PATTERN, interfacePrefix: "cali", ...settings };
  expect([vxlanMtu(1_500, all), podMtu(1_500, all, overlay)]).toEqual([device, pods]);
});
