/**
 * Runs rules on a packet as the kernel does (nft_do_chain): it knows expressions and registers, and nothing of who wrote the rules. It has no
 * memory: every rate limit still has room, and a verdict is that of the packet alone.
 */
import type { Hook } from "../../nftables/types.ts";
import { headersOf, type Headers, type MachinePacket } from "./packet.ts";
import { Registers } from "./registers.ts";
import type { CompareOperator, Expression, KernelRuleset, MachineChain, MachineRule, Verdict } from "./ruleset.ts";
import { finderOf, type Finder } from "./sets.ts";

export type Step = { readonly chain: string; readonly comment: string | null; /** What the rule did, "goto x". */ readonly did: string };

export type Outcome = {
  readonly verdict: "accept" | "drop";
  /** Somebody was told. */
  readonly rejected: boolean;
  readonly mark: number;
  readonly untracked: boolean;
  /** Handles of the rules whose counters count the packet. */
  readonly counted: readonly bigint[];
  /** Rules with a verdict, in order. */
  readonly trace: readonly Step[];
};

export type Machine = {
  /** Sends a packet through the table's chains at a hook, in the order of their priorities. */
  run(hook: Hook, packet: MachinePacket): Outcome;
};

/** Addresses of the machine itself, by interface. */
export type LocalAddresses = ReadonlyMap<string, readonly string[]>;

const CT_STATE_BITS = { invalid: 1, established: 2, related: 4, new: 8, untracked: 64 } as const;
/** IPS_DST_NAT: of the bits of a connection's status the one that rules may ask for here. */
const CT_STATUS_DNAT = 32;
/** NF_IP_PRI_CONNTRACK: a chain before it meets a packet that is not tracked yet. */
const CONNTRACK_PRIORITY = -200;
const NFPROTO = { 4: 2, 6: 10 } as const;
const IFNAME_BYTES = 16;
const [RTN_UNICAST, RTN_LOCAL] = [1, 2];
const JUMP_STACK = 16;

export function createMachine(ruleset: KernelRuleset, local: LocalAddresses = new Map()): Machine {
  const finders = new Map([...ruleset.sets.values()].map((set) => [set.name, finderOf(set)]));
  const bases = Map.groupBy([...ruleset.chains.values()].filter(({ base }) => base !== null).toSorted((a, b) => (a.base?.priority ?? 0) - (b.base?.priority ?? 0)), ({ base }) => base?.hook);
  return {
    run(hook, packet) {
      const run = new Run(ruleset, finders, local, packet);
      for (const chain of bases.get(hook) ?? []) {
        // Addresses are translated for the first packet of a connection.
        if (chain.base?.type === "nat" && packet.ctState !== "new") continue;
        if (run.chain(chain) === "drop") return run.outcome("drop");
      }
      return run.outcome("accept");
    },
  };
}

type Ending = "accept" | "drop";

class Run {
  readonly #ruleset: KernelRuleset;
  readonly #finders: ReadonlyMap<string, Finder>;
  readonly #local: LocalAddresses;
  readonly #packet: MachinePacket;
  readonly #headers: Headers;
  readonly #inName: Uint8Array;
  readonly #outName: Uint8Array;
  readonly #registers = new Registers();
  readonly #counted: bigint[] = [];
  readonly #trace: Step[] = [];
  #mark: number;
  #untracked = false;
  #rejected = false;
  #isTracked = true;

  constructor(ruleset: KernelRuleset, finders: ReadonlyMap<string, Finder>, local: LocalAddresses, packet: MachinePacket) {
    this.#ruleset = ruleset;
    this.#finders = finders;
    this.#local = local;
    this.#packet = packet;
    this.#headers = headersOf(packet);
    this.#inName = nameBytes(packet.inInterface);
    this.#outName = nameBytes(packet.outInterface);
    this.#mark = packet.mark ?? 0;
  }

  outcome(verdict: Ending): Outcome {
    return { verdict, rejected: this.#rejected, mark: this.#mark, untracked: this.#untracked, counted: this.#counted, trace: this.#trace };
  }

  /** A base chain and all that it leads to. */
  chain(base: MachineChain): Ending {
    this.#isTracked = (base.base?.priority ?? 0) > CONNTRACK_PRIORITY;
    const stack: { readonly chain: MachineChain; readonly next: number }[] = [];
    let at: { chain: MachineChain; next: number } = { chain: base, next: 0 };
    for (;;) {
      const rule = at.chain.rules[at.next];
      if (rule === undefined) {
        const caller = stack.pop();
        if (caller === undefined) return this.#policyOf(base);
        at = { ...caller };
        continue;
      }
      at.next += 1;
      const verdict = this.#rule(rule, at.chain.name);
      switch (verdict?.kind) {
        case "accept":
        case "drop": return verdict.kind;
        case "jump":
          if (stack.length === JUMP_STACK) throw new Error(`more than ${JUMP_STACK} jumps, in chain ${at.chain.name}`);
          stack.push({ ...at });
          at = { chain: this.#chainOf(verdict.chain), next: 0 };
          break;
        case "goto":
          at = { chain: this.#chainOf(verdict.chain), next: 0 };
          break;
        case "return":
          at.next = at.chain.rules.length;
          break;
        default:
      }
    }
  }

  #policyOf({ name, base }: MachineChain): Ending {
    const policy = base?.policy ?? "accept";
    this.#trace.push({ chain: name, comment: null, did: `policy ${policy}` });
    return policy;
  }

  #chainOf(name: string): MachineChain {
    const chain = this.#ruleset.chains.get(name);
    if (chain === undefined) throw new Error(`there is no chain ${name}`);
    return chain;
  }

  /** The rule's verdict; null: it has none, or does not match. */
  #rule({ expressions, comment, handle }: MachineRule, chain: string): Verdict | null {
    for (const expression of expressions) {
      const result = this.#expression(expression, handle);
      if (result === true) continue;
      if (result === false) return null;
      this.#trace.push({ chain, comment, did: "chain" in result ? `${result.kind} ${result.chain}` : result.kind });
      return result;
    }
    return null;
  }

  /** True: the next expression; false: the rule does not match; otherwise the rule's verdict. */
  #expression(e: Expression, handle: bigint): boolean | Verdict {
    const registers = this.#registers;
    switch (e.kind) {
      case "payload": {
        const header = this.#headers[e.base];
        if (e.offset + e.length > header.length) return false;
        registers.store(e.to, header.subarray(e.offset, e.offset + e.length));
        return true;
      }
      case "meta": return this.#meta(e.key, e.to);
      case "set-mark":
        this.#mark = registers.readNumber(e.from);
        return true;
      case "ct-state":
        registers.storeNumber(e.to, CT_STATE_BITS[this.#untracked ? "untracked" : this.#isTracked ? this.#packet.ctState : "invalid"]);
        return true;
      case "ct-status":
        // What has no connection has no status, not even an empty one.
        if (this.#untracked || !this.#isTracked || this.#packet.ctState === "invalid") return false;
        registers.storeNumber(e.to, this.#packet.translated === true ? CT_STATUS_DNAT : 0);
        return true;
      case "cmp": return holds(registers.compare(e.from, e.data), e.op);
      case "range": return (registers.compare(e.from, e.low) >= 0 && registers.compare(e.from, e.high) <= 0) !== e.not;
      case "bitwise":
        registers.store(e.to, e.mask.map((mask, i) => ((registers.bytes[e.from + i] ?? 0) & mask) ^ (e.xor[i] ?? 0)));
        return true;
      case "byteorder": {
        const bytes = registers.bytes.slice(e.from, e.from + e.length);
        for (let i = 0; i < bytes.length; i += e.size) bytes.subarray(i, i + e.size).reverse();
        registers.store(e.to, bytes);
        return true;
      }
      case "lookup": return this.#lookup(e);
      case "immediate":
        registers.store(e.to, e.data);
        return true;
      case "verdict": return e.verdict.kind === "continue" ? true : e.verdict;
      case "address-type": {
        const { address } = this.#packet[e.side];
        const lists = e.onOutgoing ? [this.#local.get(this.#packet.outInterface) ?? []] : [...this.#local.values()];
        registers.storeNumber(e.to, lists.some((list) => list.includes(address)) ? RTN_LOCAL : RTN_UNICAST);
        return true;
      }
      case "counter":
        this.#counted.push(handle);
        return true;
      case "log":
      case "limit": return true;
      case "notrack":
        if (!this.#isTracked) this.#untracked = true;
        return true;
      case "reject":
        this.#rejected = true;
        return { kind: "drop" };
      case "translate": return { kind: "accept" };
    }
  }

  #meta(key: Extract<Expression, { kind: "meta" }>["key"], to: number): boolean {
    const { protocol, family } = this.#packet;
    switch (key) {
      case "mark": this.#registers.storeNumber(to, this.#mark); break;
      case "iifname": this.#registers.store(to, this.#inName); break;
      case "oifname": this.#registers.store(to, this.#outName); break;
      case "nfproto": this.#registers.storeByte(to, NFPROTO[family]); break;
      case "l4proto": this.#registers.storeByte(to, protocol); break;
    }
    return true;
  }

  #lookup({ set, from, to, not }: Extract<Expression, { kind: "lookup" }>): boolean | Verdict {
    const find = this.#finders.get(set);
    if (find === undefined) throw new Error(`there is no set ${set}`);
    const found = find(this.#registers, from);
    if ((found !== null) === not) return false;
    if (found === null || to === null) return true;
    if (found.data === null) throw new Error(`an element of ${set} has no value`);
    if (found.data instanceof Uint8Array) {
      if (to === "verdict") throw new Error(`${set} has values where a verdict is needed`);
      this.#registers.store(to, found.data);
      return true;
    }
    return found.data.kind === "continue" ? true : found.data;
  }
}

function holds(order: number, op: CompareOperator): boolean {
  switch (op) {
    case "==": return order === 0;
    case "!=": return order !== 0;
    case "<": return order < 0;
    case "<=": return order <= 0;
    case ">": return order > 0;
    case ">=": return order >= 0;
  }
}

/** An interface's name as the kernel compares it. */
function nameBytes(name: string): Uint8Array {
  const bytes = new Uint8Array(IFNAME_BYTES);
  bytes.set(Buffer.from(name).subarray(0, IFNAME_BYTES - 1));
  return bytes;
}
