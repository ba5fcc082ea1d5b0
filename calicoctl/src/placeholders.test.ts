import { contains, type Cidr, type IpAddress } from "@calico/model";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createPlaceholders } from "./placeholders.ts";

const take = (nets: readonly string[], count: number): IpAddress[][] => {
  const next = createPlaceholders(nets);
  return Array.from({ length: count }, () => next());
};

describe("placeholders", () => {
  it("are of ranges that no network has, one of each family", () => {
    expect(take(["0.0.0.0/0", "::/0", "10.0.0.0/8"], 2)).toEqual([["240.0.0.1", "4000::1"], ["240.0.0.2", "4000::2"]]);
  });

  it("step over nets, to another beginning when a range is taken, and end when nothing is left", () => {
    expect(take(["240.0.0.2/31", "4000::/3"], 3)).toEqual([["240.0.0.1", "6000::"], ["240.0.0.4", "6000::1"], ["240.0.0.5", "6000::2"]]);
    expect(take(["240.0.0.0/4", "4000::/2", "8000::/1"], 1)).toEqual([["55.0.0.1", "100::1"]]);
    expect(take(["0.0.0.0/1", "128.0.0.0/2", "192.0.0.0/3", "224.0.0.0/4", "240.0.0.0/5", "248.0.0.0/6", "252.0.0.0/7", "254.0.0.0/8", "255.0.0.0/9", "255.128.0.0/10", "255.192.0.0/11", "255.224.0.0/12", "255.240.0.0/13", "255.248.0.0/14", "255.252.0.0/15", "255.254.0.0/16", "255.255.0.0/17", "255.255.128.0/18", "255.255.192.0/19", "255.255.224.0/20", "255.255.240.0/21", "255.255.248.0/22", "255.255.252.0/23", "255.255.254.0/24", "255.255.255.0/25", "255.255.255.128/26", "255.255.255.192/27", "255.255.255.224/28", "255.255.255.240/29", "255.255.255.248/30", "255.255.255.252/31", "255.255.255.254/32", "::/1", "8000::/1"], 2)).toEqual([["255.255.255.255"], []]);
  });

  it("are in no net, and none is given twice", () => {
    const net = fc.tuple(fc.constantFrom("240.0.0.0", "240.0.1.0", "55.0.0.0", "4000::", "4000::100", "100::"), fc.integer({ min: 1, max: 32 })).map(([address, length]) => `${address}/${address.includes(":") ? length + 96 : length}`);
    fc.assert(fc.property(fc.array(net, { maxLength: 6 }), (nets) => {
      const given = take(nets, 700).flat();
      expect(new Set(given).size).toBe(given.length);
      for (const address of given) for (const each of nets) if (contains(each as Cidr, address)) throw new Error(`${address} is in ${each}`);
    }), { numRuns: 50 });
  });
});
