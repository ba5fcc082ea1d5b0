/** A table as the kernel has it: plain data, in the words of the kernel's virtual machine and not in those of whoever wrote it. */
import type { BaseChain, Hook } from "../../nftables/types.ts";

export type Verdict =
  | { readonly kind: "accept" | "drop" | "continue" | "return" }
  | { readonly kind: "jump" | "goto"; readonly chain: string };

/** Registers are byte offsets (see `registerOffset`); `null` as a destination is the verdict. Data is in the order of the kernel's memory. */
export type Expression =
  | { readonly kind: "payload"; readonly base: "network" | "transport"; readonly offset: number; readonly length: number; readonly to: number }
  | { readonly kind: "meta"; readonly key: MetaKey; readonly to: number }
  | { readonly kind: "set-mark"; readonly from: number }
  | { readonly kind: "ct-state" | "ct-status"; readonly to: number }
  | { readonly kind: "cmp"; readonly from: number; readonly op: CompareOperator; readonly data: Uint8Array }
  | { readonly kind: "range"; readonly from: number; readonly low: Uint8Array; readonly high: Uint8Array; readonly not: boolean }
  | { readonly kind: "bitwise"; readonly from: number; readonly to: number; readonly mask: Uint8Array; readonly xor: Uint8Array }
  | { readonly kind: "byteorder"; readonly from: number; readonly to: number; readonly length: number; readonly size: number }
  | { readonly kind: "lookup"; readonly set: string; readonly from: number; readonly to: number | "verdict" | null; readonly not: boolean }
  | { readonly kind: "immediate"; readonly to: number; readonly data: Uint8Array }
  | { readonly kind: "verdict"; readonly verdict: Verdict }
  /** The kind of the packet's source or destination: local or not. */
  | { readonly kind: "address-type"; readonly side: "source" | "destination"; readonly onOutgoing: boolean; readonly to: number }
  | { readonly kind: "counter" | "log" | "limit" | "notrack" | "reject" | "translate" };

export type MetaKey = "mark" | "iifname" | "oifname" | "nfproto" | "l4proto";
export type CompareOperator = "==" | "!=" | "<" | "<=" | ">" | ">=";

export type KernelRuleset = { readonly chains: ReadonlyMap<string, MachineChain>; readonly sets: ReadonlyMap<string, MachineSet> };

export type MachineChain = {
  readonly name: string;
  readonly base: (BaseChain & { readonly hook: Hook }) | null;
  readonly rules: readonly MachineRule[];
};

export type MachineRule = { readonly handle: bigint; readonly comment: string | null; readonly expressions: readonly Expression[] };

export type MachineSet = {
  readonly name: string;
  readonly interval: boolean;
  /** Lengths in bytes of the fields of a concatenation, each in whole 32-bit words; null: the key is one value. */
  readonly fields: readonly number[] | null;
  readonly keyBytes: number;
  readonly elements: readonly MachineElement[];
};

export type MachineElement = {
  readonly key: Uint8Array;
  /** Inclusive, of a range in a concatenation. */
  readonly keyEnd: Uint8Array | null;
  /** Ends an interval; its own value is outside. */
  readonly isEnd: boolean;
  /** What a map says. */
  readonly data: Verdict | Uint8Array | null;
};
