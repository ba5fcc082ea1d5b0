/** The kinds that the allocator keeps, in Calico's formats. */
import { z } from "zod";
import { net } from "./shapes.ts";

const attribute = z.strictObject({
  handle_id: z.string().optional(), secondary: z.record(z.string(), z.string()).optional(),
  alternateOwnerAttrs: z.record(z.string(), z.string()).optional(), releasedAt: z.string().nullable().optional(),
});

export const ipamBlockSpec = z.strictObject({
  cidr: z.string(),
  affinity: z.string().nullable().optional(),
  affinityClaimTime: z.string().nullable().optional(),
  strictAffinity: z.boolean().default(false),
  allocations: z.array(z.int().nullable()),
  unallocated: z.array(z.int()),
  attributes: z.array(attribute),
  sequenceNumber: z.int().default(0),
  sequenceNumberForAllocation: z.record(z.string(), z.int()).optional(),
  deleted: z.boolean().default(false),
});

export const blockAffinitySpec = z.strictObject({
  state: z.enum(["pending", "confirmed", "pendingDeletion"]),
  node: z.string(),
  type: z.string().default("host"),
  cidr: z.string(),
  deleted: z.boolean().default(false),
});

export const ipamHandleSpec = z.strictObject({ handleID: z.string(), block: z.record(z.string(), z.int()), deleted: z.boolean().default(false) });

export const ipamConfigurationSpec = z.strictObject({
  strictAffinity: z.boolean().default(false),
  autoAllocateBlocks: z.boolean().default(true),
  maxBlocksPerHost: z.int().min(0).default(0),
});

/** Addresses in these networks are given only to who asks for exactly them. */
export const ipReservationSpec = z.strictObject({ reservedCIDRs: z.array(net).max(4_096).optional() });
