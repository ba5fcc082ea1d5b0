/** IPPool: addresses that blocks are cut from. */
import { z } from "zod";
import { condition, maskedNet, selector } from "./shapes.ts";
import { withRules, type Transition } from "./rules.ts";

const encapsulation = z.enum(["Never", "Always", "CrossSubnet"]);
type Fixed = { readonly cidr: string; readonly blockSize?: number | undefined };
const fixedBecause = (field: string): string => `the ${field} of a pool cannot be changed: make a new pool, disable this one, and move the pods`;

/** What an update may not change. */
export const ipPoolTransitions: readonly Transition<Fixed>[] = [
  { cel: "self.cidr == oldSelf.cidr", path: ["cidr"], message: fixedBecause("cidr"), check: (before, after) => before.cidr === after.cidr },
  { cel: "has(self.blockSize) == has(oldSelf.blockSize) && (!has(self.blockSize) || self.blockSize == oldSelf.blockSize)", path: ["blockSize"], message: fixedBecause("blockSize"), check: (before, after) => before.blockSize === after.blockSize },
];

export const ipPoolSpec = withRules(
  z.strictObject({
    cidr: maskedNet,
    blockSize: z.int().min(0).max(128).optional(),
    ipipMode: encapsulation.default("Never"),
    vxlanMode: encapsulation.default("Never"),
    natOutgoing: z.boolean().optional(),
    disabled: z.boolean().optional(),
    disableBGPExport: z.boolean().optional(),
    nodeSelector: selector.default("all()"),
    namespaceSelector: selector.optional(),
    allowedUses: z.array(z.enum(["Workload", "Tunnel", "LoadBalancer"])).max(10).default(["Workload", "Tunnel"]),
    assignmentMode: z.enum(["Automatic", "Manual"]).default("Automatic"),
  }),
  [
    { cel: "self.ipipMode == 'Never' || self.vxlanMode == 'Never'", path: ["vxlanMode"], message: "a pool uses IPIP or VXLAN, not both: set one of ipipMode and vxlanMode to Never", check: ({ ipipMode, vxlanMode }) => ipipMode === "Never" || vxlanMode === "Never" },
    { cel: "!self.cidr.contains(':') || self.ipipMode == 'Never'", path: ["ipipMode"], message: "IPIP carries IPv4 only: use vxlanMode for an IPv6 pool", check: ({ cidr, ipipMode }) => !cidr.includes(":") || ipipMode === "Never" },
    { cel: "!has(self.blockSize) || self.blockSize == 0 || (self.cidr.contains(':') ? self.blockSize >= 116 && self.blockSize <= 128 : self.blockSize >= 20 && self.blockSize <= 32)", path: ["blockSize"], message: "a blockSize is a prefix length: 20 to 32 for IPv4, 116 to 128 for IPv6", check: ({ cidr, blockSize = 0 }) => blockSize === 0 || (cidr.includes(":") ? blockSize >= 116 : blockSize >= 20 && blockSize <= 32) },
    { cel: "!('LoadBalancer' in self.allowedUses) || self.allowedUses.size() == 1", path: ["allowedUses"], message: "LoadBalancer cannot be combined with other uses", check: ({ allowedUses }) => !allowedUses.includes("LoadBalancer") || allowedUses.length === 1 },
  ],
  ipPoolTransitions,
);

export const ipPoolStatus = z.strictObject({ conditions: z.array(condition).optional() });
