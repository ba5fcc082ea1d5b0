import { ConfigError } from "@calico/service-kit";
import { describe, expect, it } from "vitest";
import { differences, parsePools } from "./pools.ts";

const usual = { nodeSelector: "all()", allowedUses: ["Workload", "Tunnel"], assignmentMode: "Automatic" };

describe("parsePools", () => {
  it("gives Calico's names and defaults", () => {
    expect(parsePools('[{"cidr":"10.244.0.0/16"},{"cidr":"fd00:10::/56"},{"cidr":"10.9.0.1/16","encapsulation":"VXLANCrossSubnet","natOutgoing":"Disabled","blockSize":28,"disableBGPExport":true,"nodeSelector":"zone == \'a\'"},{"name":"mine","cidr":"10.8.0.0/16","encapsulation":"VXLAN"}]')).toEqual([
      { name: "default-ipv4-ippool", spec: { cidr: "10.244.0.0/16", blockSize: 26, ipipMode: "Never", vxlanMode: "Never", natOutgoing: true, ...usual } },
      { name: "default-ipv6-ippool", spec: { cidr: "fd00:10::/56", blockSize: 122, ipipMode: "Never", vxlanMode: "Never", natOutgoing: false, ...usual } },
      { name: "10-9-0-0-16", spec: { cidr: "10.9.0.0/16", blockSize: 28, ipipMode: "Never", vxlanMode: "CrossSubnet", natOutgoing: false, disableBGPExport: true, ...usual, nodeSelector: "zone == 'a'" } },
      { name: "mine", spec: { cidr: "10.8.0.0/16", blockSize: 26, ipipMode: "Never", vxlanMode: "Always", natOutgoing: true, ...usual } },
    ]);
    expect(parsePools("")).toEqual([]);
  });

  it.each([
    ["{", "is no JSON"],
    ["{}", "is no list of pools"],
    ["[1]", "CALICO_IPPOOLS[0] is no pool"],
    ['[{"cidr":"10.0.0.0/33"}]', 'CALICO_IPPOOLS[0].cidr: "10.0.0.0/33" is no CIDR'],
    ['[{"cidr":"10.0.0.0/16","natOutgoin":true}]', "CALICO_IPPOOLS[0].natOutgoin: a pool has no such field"],
    ['[{"cidr":"10.0.0.0/16","encapsulation":"IPIP"}]', 'CALICO_IPPOOLS[0].encapsulation: "IPIP" is not part of this version; there are None, VXLAN, VXLANCrossSubnet'],
    ['[{"name":"a","cidr":"10.0.0.0/16"},{"name":"a","cidr":"10.1.0.0/16"}]', "there are two pools a"],
  ])("refuses %s", (text, message) => {
    expect(() => parsePools(text)).toThrow(ConfigError);
    expect(() => parsePools(text)).toThrow(message);
  });
});

it("says in which fields a pool differs, and passes over what a pool does not say", () => {
  expect(differences({ cidr: "10.0.0.0/16", blockSize: 26, natOutgoing: true, allowedUses: ["Workload"] }, { cidr: "10.0.0.0/16", blockSize: 24, allowedUses: ["Workload"] })).toEqual([{ field: "blockSize", configured: 26, present: 24 }]);
});
