/** A judge of rules: the kernel's table read back, and run on packets without sending any. */
export * from "./ruleset.ts";
export type { MachinePacket } from "./packet.ts";
export { dumpRuleset } from "./dump-rules.ts";
export { createMachine, type LocalAddresses, type Machine, type Outcome, type Step } from "./run.ts";
