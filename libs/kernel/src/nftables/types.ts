/**
 * nftables as plain data: what a table holds and what its rules do. Statements are values, so that they can be
 * compared, hashed and interpreted without a kernel.
 */

export type Family = 4 | 6;
export type Side = "source" | "destination";
export type Verdict = "accept" | "drop" | "return" | "continue";
export type CtState = "invalid" | "established" | "related" | "new" | "untracked";

/** One step of a rule, evaluated in order: a match that does not hold ends the rule. `not` inverts a match. */
export type Statement =
  /** With `prefix`, every interface whose name begins so. */
  | { readonly kind: "interface"; readonly direction: "in" | "out"; readonly name: string; readonly prefix?: boolean; readonly not?: boolean }
  | { readonly kind: "family"; readonly family: Family }
  | { readonly kind: "protocol"; readonly protocol: number; readonly not?: boolean }
  | { readonly kind: "address"; readonly side: Side; readonly cidr: string; readonly not?: boolean }
  /** The address is in a set of that family. */
  | { readonly kind: "address-set"; readonly side: Side; readonly family: Family; readonly set: string; readonly not?: boolean }
  /** Inclusive; the protocol must have ports. */
  | { readonly kind: "port"; readonly side: Side; readonly first: number; readonly last: number; readonly not?: boolean }
  /** The port is in a set of ports. */
  | { readonly kind: "port-set"; readonly side: Side; readonly set: string; readonly not?: boolean }
  /** (address, protocol, port of that side) is in a set of such triples. */
  | { readonly kind: "address-port-set"; readonly side: Side; readonly family: Family; readonly set: string; readonly not?: boolean }
  /** ICMP in IPv4, ICMPv6 in IPv6. */
  | { readonly kind: "icmp"; readonly family: Family; readonly type: number; readonly code: number | null; readonly not?: boolean }
  | { readonly kind: "ct-state"; readonly states: readonly CtState[]; readonly not?: boolean }
  /** The destination of the connection's first packet was translated. */
  | { readonly kind: "ct-dnat"; readonly not?: boolean }
  | { readonly kind: "mark"; readonly mask: number; readonly value: number; readonly not?: boolean }
  /** Connection tracking leaves the packet alone. In chains before it only. */
  | { readonly kind: "no-track" }
  /** The source is an address of this machine; with `outgoing`, of the interface that the packet leaves by. */
  | { readonly kind: "local-source"; readonly outgoing?: boolean; readonly not?: boolean }
  /** The destination is an address of this machine. */
  | { readonly kind: "local-destination"; readonly not?: boolean }
  /** Goes where the map says for the interface; goes on when it says nothing. */
  | { readonly kind: "interface-map"; readonly direction: "in" | "out"; readonly map: string }
  /** Goes where the map says for (protocol, destination port); goes on when it says nothing. */
  | { readonly kind: "port-map"; readonly map: string }
  | { readonly kind: "counter" }
  /** Holds for at most so many packets in a unit of time, and for `burst` more at once. All rules count on their own. */
  | { readonly kind: "limit"; readonly rate: number; readonly unitSeconds: number; readonly burst: number }
  | { readonly kind: "set-mark"; readonly mask: number; readonly value: number }
  | { readonly kind: "log"; readonly prefix: string; readonly group?: number }
  | { readonly kind: "reject"; readonly how: "tcp-reset" | "admin-prohibited" }
  | { readonly kind: "masquerade"; readonly fullyRandom: boolean; readonly ports?: { readonly first: number; readonly last: number } }
  | { readonly kind: "snat"; readonly family: Family; readonly address: string }
  | { readonly kind: "verdict"; readonly verdict: Verdict }
  | { readonly kind: "jump"; readonly chain: string }
  | { readonly kind: "goto"; readonly chain: string };

export type Rule = { readonly statements: readonly Statement[]; /** Shown by `nft list`. At most 120 bytes. */ readonly comment?: string };

export type Hook = "prerouting" | "input" | "forward" | "output" | "postrouting";
export type BaseChain = { readonly type: "filter" | "nat" | "route"; readonly hook: Hook; readonly priority: number; readonly policy: "accept" | "drop" };

export type KeyField = "ipv4_addr" | "ipv6_addr" | "inet_proto" | "inet_service" | "ifname" | "mark";

export type SetSpec = {
  readonly name: string;
  /** One field, or a concatenation. */
  readonly key: readonly KeyField[];
  /** Members are ranges. One field only. */
  readonly interval?: boolean;
  /** A map to verdicts. */
  readonly map?: boolean;
};

export type MapVerdict = { readonly verdict: Verdict } | { readonly jump: string } | { readonly goto: string };

/**
 * A member of a set. Fields are text: addresses, numbers, names, in the order of the key. In an interval set `start` and, not
 * included, `end` (null: to the last value) are addresses or ports.
 */
export type SetElement =
  | { readonly key: readonly string[]; readonly verdict?: MapVerdict }
  | { readonly start: string; readonly end: string | null };

/** A rule as it is in the kernel. `hash` is what was given with it; null for a rule of somebody else. */
export type KernelRule = { readonly handle: bigint; readonly hash: string | null; readonly comment: string | null; readonly packets: bigint | null };
export type KernelSet = { readonly name: string; readonly flags: number; readonly keyType: number; readonly elements: readonly string[] };

export type TableDump = {
  readonly flags: number;
  readonly chains: ReadonlyMap<string, readonly KernelRule[]>;
  /** Members as the canonical text of `elementText`. */
  readonly sets: ReadonlyMap<string, KernelSet>;
  readonly generation: number;
};

/** NFT_TABLE_F_OWNER and NFT_TABLE_F_PERSIST (linux/netfilter/nf_tables.h; kernels from 5.12 and 6.9). */
export const TABLE_OWNER = 2;
export const TABLE_PERSIST = 4;
