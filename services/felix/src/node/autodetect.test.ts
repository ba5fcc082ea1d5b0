import { describe, expect, it } from "vitest";
import { autodetect, AutodetectionError, type Surroundings } from "./autodetect.ts";

const addresses = [
  ["lo", "127.0.0.1", 8], ["docker0", "172.17.0.1", 16], ["cali123", "169.254.1.1", 32], ["vxlan.calico", "10.65.1.1", 32], ["eth0", "192.0.2.10", 24], ["eth1", "10.1.2.3", 16], ["eth0", "fe80::1", 64], ["eth0", "2001:db8::10", 64],
] as const;
const surroundings: Surroundings = {
  addresses: addresses.map(([interfaceName, address, prefixLength]) => ({ interfaceName, address, prefixLength })), sourceTo: async (to) => (to.startsWith("10.") ? "10.1.2.3" : to === "nowhere" ? null : "192.0.2.10"), internalIps: async () => ["10.1.2.3"],
};

describe("autodetect", () => {
  it.each<[string, 4 | 6, string | null]>([
    ["first-found", 4, "192.0.2.10/24"], ["first-found", 6, "2001:db8::10/64"], ["interface=eth1", 4, "10.1.2.3/16"], ["interface=eth9,eth.*", 4, "192.0.2.10/24"], ["interface=eth", 4, null],
    ["skip-interface=eth0", 4, "10.1.2.3/16"], ["skip-interface=eth.*", 4, null], ["cidr=10.0.0.0/8", 4, "10.1.2.3/16"], ["cidr=10.9.0.0/16, 192.0.2.0/24", 4, "192.0.2.10/24"],
    ["can-reach=10.0.0.1", 4, "10.1.2.3/16"], ["can-reach=nowhere", 4, null], ["kubernetes-internal-ip", 4, "10.1.2.3/16"],
  ])("%s for IPv%i finds %s", async (method, family, expected) => expect(await autodetect(method, family, surroundings)).toBe(expected));

  it.each(["first_found", "interface=(", "cidr=10.0.0.0/33"])("refuses %s by name", async (method) => {
    await expect(autodetect(method, 4, surroundings)).rejects.toThrow(AutodetectionError);
    await expect(autodetect(method, 4, surroundings)).rejects.toThrow(method);
  });
});
