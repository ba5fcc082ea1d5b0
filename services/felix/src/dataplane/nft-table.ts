/** The table in the kernel, kept equal to what it should be: a transaction of the differences, after those that bring what it leads to. */
import { elementText, openNftables, openSys, setFlags, TABLE_OWNER, TABLE_PERSIST, TransactionError, type Command, type SetElement, type SetSpec } from "@calico/kernel";
import type { Logger } from "@calico/service-kit";
import { chainContent, rule, type ChainContent } from "../rules/chain.ts";
import { TABLE } from "../rules/constants.ts";
import { keyed, type DesiredSet, type SetChange } from "./ip-sets.ts";
import { memberSteps, othersTurn, sendSteps, weightOf, type Step } from "./staging.ts";

export interface NftTable extends Disposable {
  /** What a chain should hold; null: it should not be there. */
  setChain(name: string, content: ChainContent | null): void;
  setSet(name: string, set: DesiredSet | null): void;
  /** Members that come to or go from a set; work in proportion to them. */
  changeSet(name: string, change: SetChange): void;
  /** Brings the kernel up to date, one commit at a time; what is told meanwhile belongs to the next one. Rejects when that was impossible as a whole. */
  commit(): Promise<void>;
  /** The rules of a chain in the kernel, in order, with what they counted: packets, null for a rule without a counter. Throws a KernelError. */
  counters: (chain: string) => readonly CountedRule[];
  /** Chains that the kernel refused, with its words: they keep what they had, or drop everything. */
  readonly refused: ReadonlyMap<string, string>;
  /** Somebody may have changed the kernel's table: it is read again before the next commit, unless there was no transaction since the last one made here. */
  suspect(): void;
  readonly stats: { readonly chains: number; readonly rules: number; readonly sets: number; readonly commits: number; readonly commands: number; /** Members of sets that came or went. */ readonly elements: number };
}

export type CountedRule = { /** As it was sent; "" for somebody else's. */ readonly hash: string; readonly packets: bigint | null };

export type NftTableOptions = {
  readonly log: Logger;
  /** Somebody else changed something: commit again. */
  readonly onForeignChange: () => void;
  /** Nobody else can change the table, where the kernel knows that. Otherwise what others change is put back. */
  readonly isOwned?: boolean;
};

const MAP = setFlags({ name: "", key: [], map: true });
/** Refused chains that are set aside before a commit gives up. */
const MAX_REFUSALS = 50;
/** Where more commands and members come, they come in several transactions. */
const LARGE = 4_096;

type Actual = { readonly chains: Map<string, readonly string[]>; readonly sets: Map<string, { flags: number; elements: Set<string> }> };

export function createNftTable({ log, onForeignChange, isOwned = true }: NftTableOptions): NftTable {
  const nft = openNftables(openSys());
  const chains = new Map<string, ChainContent>();
  const sets = new Map<string, DesiredSet>();
  const refused = new Map<string, string>();
  /** Refused chains that keep the rules that they had. */
  const kept = new Set<string>();
  /** Chains and sets that are to go, and that a refused chain still leads to. */
  const stuck = new Set<string>();
  let dirtyChains = new Set<string>();
  /** Members that may differ, by set, in their canonical text; null: any. */
  let dirtySets = new Map<string, Set<string> | null>();
  let actual: Actual | null = null;
  /** What the kernel had before it became uncertain. */
  let lastKnown: Actual | null = null;
  /** The last transaction made here that the kernel has told of. */
  let ownGeneration: number | null = null;
  let adopted = false;
  /** After the last look at a table that others can change, or the last transaction made here. */
  let lastGeneration = 0;
  let ownerFlags = isOwned ? TABLE_OWNER | TABLE_PERSIST : 0;
  let commits = 0;
  let commandCount = 0;
  let elementCount = 0;

  const subscription = nft.subscribe({
    onGeneration({ id, processId }) {
      if (processId === process.pid) ownGeneration = id;
      // An owned table cannot be changed by others, so their transactions are about other tables.
      if (processId === process.pid || (adopted && ownerFlags !== 0)) return;
      forget();
      onForeignChange();
    },
    onOverflow() {
      if (adopted && ownerFlags !== 0) return;
      forget();
      onForeignChange();
    },
  });

  /** What the kernel has is no longer certain. */
  function forget(): void {
    lastKnown ??= actual;
    actual = null;
  }

  /** Reads the kernel's table. What differs from what should be there is dirty, the rest is not looked at again. */
  function load(): Actual {
    const dump = nft.dumpTable(TABLE);
    lastGeneration = dump?.generation ?? nft.generation();
    // Somebody may have taken the whole table away.
    if (dump === null) adopted = false;
    const foundChains = new Map<string, readonly string[]>([...(dump?.chains ?? [])].map(([name, rules]) => [name, rules.map(({ hash }) => hash ?? "")]));
    const foundSets: Actual["sets"] = new Map();
    const differing = new Map<string, null>([...sets.keys()].filter((name) => dump?.sets.has(name) !== true).map((name) => [name, null]));
    for (const [name, { flags, elements }] of dump?.sets ?? []) {
      const wanted = sets.get(name);
      const isRight = wanted !== undefined && flags === setFlags(wanted.spec) && wanted.elements.size === elements.length && elements.every((text) => wanted.elements.has(text));
      if (!isRight) differing.set(name, null);
      const known = isRight && !dirtySets.has(name) ? lastKnown?.sets.get(name)?.elements : undefined;
      foundSets.set(name, { flags, elements: known ?? new Set(elements) });
    }
    dirtyChains = new Set([...chains.keys(), ...foundChains.keys()].filter((name) => {
      const wanted = chains.get(name);
      const found = foundChains.get(name);
      // One that the kernel refused keeps what it has.
      return !(kept.has(name) && found !== undefined) && (wanted === undefined || !sameHashes(wanted.hashes, found));
    }));
    dirtySets = differing;
    lastKnown = null;
    return { chains: foundChains, sets: foundSets };
  }

  /**
   * Puts into the kernel, while nothing refers to it, what would not be in force together with what leads to it, and all that comes where that is much.
   *
   * A packet goes through the rules as they were when it came to the hook, but looks into sets and maps as they are at that moment. So where a
   * map begins to lead to a chain of the same transaction, a packet would find that chain as it was before: empty, which lets it pass. And
   * ranges are looked up in a copy that is made only after the rules are in force (linux/net/netfilter/nft_set_rbtree.c, nft_rbtree_commit).
   */
  async function stageNew(now: Actual): Promise<void> {
    const isNewChain = (name: string): boolean => chains.has(name) && chains.get(name)?.base === undefined && isEmpty(name, now);
    const newSets = [...dirtySets.keys()].flatMap((name) => (now.sets.has(name) ? [] : (sets.get(name) ?? [])));
    const newChains = [...dirtyChains].filter(isNewChain);
    const steps = arrivals(now, newSets, newChains);
    if (steps.reduce((sum, step) => sum + weightOf(step), 0) > LARGE) return sendSteps(steps, send);
    // In an empty table nothing refers to anything yet.
    if (now.chains.size === 0) return;
    const leadsToNew = [...dirtySets].some(([name, members]) => sets.get(name)?.spec.map === true && now.sets.has(name) && [...(members ?? sets.get(name)?.elements.keys() ?? [])].some((text) => isNewChain(targetOf(sets.get(name)?.elements.get(text)))));
    await sendSteps(leadsToNew ? steps : arrivals(now, newSets.filter(({ spec, elements }) => spec.interval === true && elements.size > 0), []), send);
  }

  /** Not there, or left without rules when something was cut short. */
  function isEmpty(chain: string, now: Actual): boolean {
    const found = now.chains.get(chain);
    return found === undefined || (found.length === 0 && chains.get(chain)?.rules.length !== 0);
  }

  /** Sets and chains that come, in an order that the kernel accepts. */
  function arrivals(now: Actual, newSets: readonly DesiredSet[], newChains: readonly string[]): Step[] {
    const note = ({ spec }: DesiredSet, elements: Iterable<string>) => (): void => void now.sets.set(spec.name, { flags: setFlags(spec), elements: new Set(elements) });
    const empty = (set: DesiredSet): Step => ({ commands: [{ do: "add-set", set: set.spec }], done: note(set, []) });
    const members = (set: DesiredSet): Step[] => memberSteps(set.spec, [...set.elements.values()], note(set, set.elements.keys()));
    const isMap = ({ spec }: DesiredSet): boolean => spec.map === true;
    return [
      ...newSets.flatMap((set) => [empty(set), ...(isMap(set) ? [] : members(set))]),
      ...newChains.filter((chain) => !now.chains.has(chain)).map((chain): Step => ({ commands: [{ do: "add-chain", chain }], done: () => void now.chains.set(chain, []) })),
      ...newChains.map((chain): Step => ({ commands: ruleCommands(chain), done: () => void now.chains.set(chain, chains.get(chain)?.hashes ?? []) })),
      ...newSets.filter(isMap).flatMap(members),
    ];
  }

  function ruleCommands(chain: string): Command[] {
    const content = chains.get(chain);
    return (content?.rules ?? []).map((each, i): Command => ({ do: "add-rule", chain, rule: each, hash: content?.hashes[i] ?? "" }));
  }

  /** What comes or is changed, in an order that the kernel accepts: sets, chains, rules, maps. */
  function changes(now: Actual): Command[] {
    const commands: Command[] = [];
    const maps: Command[] = [];
    for (const [name, members] of dirtySets) {
      const wanted = sets.get(name);
      const present = now.sets.get(name);
      if (wanted === undefined) continue;
      if (present !== undefined && present.flags !== setFlags(wanted.spec)) throw new Error(`set ${name} is there with other flags`);
      if (present === undefined) commands.push({ do: "add-set", set: wanted.spec });
      const target = wanted.spec.map === true ? maps : commands;
      target.push(...elementCommands(wanted, present?.elements ?? new Set(), members));
    }
    const changed = [...dirtyChains].filter((name) => {
      const content = chains.get(name);
      return content !== undefined && !sameHashes(content.hashes, now.chains.get(name));
    });
    for (const name of changed) {
      if (now.chains.has(name)) continue;
      const base = chains.get(name)?.base;
      commands.push(base === undefined ? { do: "add-chain", chain: name } : { do: "add-chain", chain: name, base });
    }
    for (const name of changed) {
      if (now.chains.has(name)) commands.push({ do: "flush-chain", chain: name });
      commands.push(...ruleCommands(name));
    }
    return [...commands, ...maps];
  }

  /** What goes, as it was given up: rules, sets, chains. A map takes its hold of chains with it. */
  function removals(now: Actual): { readonly commands: readonly Command[]; readonly anyMap: boolean } {
    const goneSets = [...dirtySets.keys()].filter((name) => !sets.has(name) && now.sets.has(name) && !stuck.has(name));
    const goneChains = [...dirtyChains].filter((name) => !chains.has(name) && now.chains.has(name) && !stuck.has(name));
    return {
      commands: [...goneChains.map((chain): Command => ({ do: "flush-chain", chain })), ...goneSets.map((set): Command => ({ do: "delete-set", set })), ...goneChains.map((chain): Command => ({ do: "delete-chain", chain }))],
      anyMap: goneSets.some((name) => ((now.sets.get(name)?.flags ?? 0) & MAP) !== 0),
    };
  }

  function elementCommands({ spec, elements }: DesiredSet, present: ReadonlySet<string>, members: ReadonlySet<string> | null): Command[] {
    const added = [...(members ?? elements.keys())].flatMap((text) => (present.has(text) ? [] : (elements.get(text) ?? [])));
    const removed = [...(members ?? present)].filter((text) => present.has(text) && !elements.has(text)).map((text) => parseElement(text, spec));
    return [...(removed.length === 0 ? [] : [{ do: "delete-elements", set: spec, elements: removed } as const]), ...(added.length === 0 ? [] : [{ do: "add-elements", set: spec, elements: added } as const])];
  }

  /** What came or was changed is in the kernel. */
  function noteChanges(now: Actual): void {
    for (const name of dirtyChains) {
      const content = chains.get(name);
      if (content === undefined) continue;
      now.chains.set(name, content.hashes);
      dirtyChains.delete(name);
    }
    for (const [name, members] of dirtySets) {
      const set = sets.get(name);
      const present = now.sets.get(name);
      if (set === undefined) continue;
      if (members === null || present === undefined) now.sets.set(name, { flags: setFlags(set.spec), elements: new Set(set.elements.keys()) });
      else for (const text of members) if (set.elements.has(text)) present.elements.add(text); else present.elements.delete(text);
      dirtySets.delete(name);
    }
  }

  /** What goes is gone, but for what is stuck: that stays dirty. */
  function noteRemovals(now: Actual): void {
    for (const name of dirtyChains) {
      if (chains.has(name) || stuck.has(name)) continue;
      now.chains.delete(name);
      dirtyChains.delete(name);
    }
    for (const name of dirtySets.keys()) {
      if (sets.has(name) || stuck.has(name)) continue;
      now.sets.delete(name);
      dirtySets.delete(name);
    }
  }

  /**
   * Packets that are on their way go through the rules as they were, but a map that goes is empty for them at once: so maps go when the rules
   * that look into them are no longer in force.
   */
  async function bringUpToDate(now: Actual): Promise<void> {
    const commands = changes(now);
    const going = removals(now);
    const together = !going.anyMap || commands.length === 0;
    const first = together ? [...commands, ...going.commands] : commands;
    if (first.length > 0) send(first);
    noteChanges(now);
    if (!together) {
      await othersTurn();
      send(going.commands);
    }
    noteRemovals(now);
  }

  /** Sets aside what a transaction failed on: chains with a rule that the kernel refuses, and what cannot go because such a chain still leads to it. False when the failure was about something else. */
  function setAside(error: TransactionError, now: Actual): boolean {
    // A rule whose chain or set could not be made is not to blame.
    if (error.failures.some(({ command }) => command === null || command.do === "add-table" || command.do === "add-chain" || command.do === "add-set")) return false;
    const culprits = new Map(error.failures.flatMap(({ command, error: { message } }) => (command?.do === "add-rule" ? [[command.chain, message] as const] : [])));
    for (const [chain, message] of culprits) {
      // It drops everything already.
      if (refused.has(chain) && !kept.has(chain)) return false;
      if (!refused.has(chain)) log.error("The kernel refuses a chain; it keeps what it had, or drops everything", { chain, reason: message });
      refused.set(chain, message);
      const base = chains.get(chain)?.base;
      if (!isEmpty(chain, now)) {
        kept.add(chain);
        dirtyChains.delete(chain);
        continue;
      }
      kept.delete(chain);
      chains.set(chain, chainContent([rule([{ kind: "counter" }, { kind: "verdict", verdict: "drop" }], "refused by the kernel")], base));
    }
    const held = refused.size === 0 ? [] : error.failures.flatMap(({ command, error: { code } }) => (code !== "EBUSY" ? [] : command?.do === "delete-chain" ? [command.chain] : command?.do === "delete-set" ? [command.set] : []));
    for (const name of held) stuck.add(name);
    return culprits.size + held.length > 0;
  }

  /** Makes the table, or takes it over: alone, because the kernel makes no hooks in a table that is being taken over. */
  function adopt(): void {
    if (adopted) return;
    transact([{ do: "add-table", flags: ownerFlags }]);
    adopted = true;
  }

  function transact(commands: readonly Command[]): void {
    nft.commit(TABLE, commands);
    if (ownerFlags === 0) lastGeneration = nft.generation();
    commits += 1;
  }

  function send(commands: readonly Command[]): void {
    transact(commands);
    commandCount += commands.length;
    for (const command of commands) if (command.do === "add-elements" || command.do === "delete-elements") elementCount += command.elements.length;
  }

  /** Somebody else has been at the table since it was read or written last: what failed may be right. */
  function isDisturbed(): boolean {
    return ownerFlags === 0 && (actual === null || nft.generation() !== lastGeneration);
  }

  /** Kernels before 5.12 have no owners, those before 6.9 no persistence: then others could change the table, and it is watched. */
  function withoutOwner(error: unknown): boolean {
    if (adopted || ownerFlags === 0 || !(error instanceof TransactionError)) return false;
    if (!error.failures.some(({ command, error: { code } }) => command?.do === "add-table" && (code === "EOPNOTSUPP" || code === "EINVAL"))) return false;
    ownerFlags = 0;
    return true;
  }

  return {
    setChain(name, content) {
      const before = chains.get(name);
      if (content !== null && before !== undefined && sameHashes(content.hashes, before.hashes) && !refused.has(name)) return;
      // What it led to may go now.
      if (refused.delete(name)) stuck.clear();
      kept.delete(name);
      stuck.delete(name);
      dirtyChains.add(name);
      if (content === null) chains.delete(name);
      else chains.set(name, content);
    },
    setSet(name, set) {
      stuck.delete(name);
      dirtySets.set(name, null);
      if (set === null) sets.delete(name);
      else sets.set(name, set);
    },
    changeSet(name, { added, removed }) {
      const set = sets.get(name);
      if (set === undefined) throw new Error(`set ${name} is not there, its members cannot change`);
      const touched = dirtySets.has(name) ? dirtySets.get(name) : new Set<string>();
      for (const element of removed) {
        const text = elementText(element);
        set.elements.delete(text);
        touched?.add(text);
      }
      for (const element of added) {
        const text = elementText(element);
        set.elements.set(text, element);
        touched?.add(text);
      }
      dirtySets.set(name, touched ?? null);
    },
    async commit() {
      for (let attempt = 0; attempt <= MAX_REFUSALS; attempt += 1) {
        const now = (actual ??= load());
        try {
          adopt();
          await stageNew(now);
          await bringUpToDate(now);
          return;
        } catch (error) {
          if (withoutOwner(error)) continue;
          if (isDisturbed()) {
            forget();
            continue;
          }
          if (error instanceof TransactionError && setAside(error, now)) continue;
          forget();
          throw error;
        }
      }
      throw new Error(`more than ${MAX_REFUSALS} chains were refused`);
    },
    counters: (chain) => nft.dumpChain(TABLE, chain).map(({ hash, packets }) => ({ hash: hash ?? "", packets })),
    refused,
    suspect() {
      if (ownGeneration === null || nft.generation() !== ownGeneration) forget();
    },
    get stats() {
      return { chains: chains.size, rules: [...chains.values()].reduce((sum, { rules }) => sum + rules.length, 0), sets: sets.size, commits, commands: commandCount, elements: elementCount };
    },
    [Symbol.dispose]() {
      subscription[Symbol.dispose]();
      nft.close();
    },
  };
}

/** The chain that an element leads to; "" when it leads to none. */
function targetOf(element: SetElement | undefined): string {
  const verdict = element !== undefined && "key" in element ? element.verdict : undefined;
  return verdict === undefined ? "" : "jump" in verdict ? verdict.jump : "goto" in verdict ? verdict.goto : "";
}

function sameHashes(a: readonly string[], b: readonly string[] | undefined): boolean {
  return b !== undefined && a.length === b.length && a.every((hash, i) => hash === b[i]);
}

/** A member from its canonical text, as far as deleting it needs. */
function parseElement(text: string, spec: SetSpec): SetElement {
  const [key = ""] = spec.map === true ? text.split(" : ") : [text];
  if (spec.interval !== true) return { key: key.split(" . ") };
  const at = key.indexOf("-");
  const end = key.slice(at + 1);
  return { start: key.slice(0, at), end: end === "" ? null : end };
}

/** A set with these members. */
export function desiredSet(spec: SetSpec, elements: readonly SetElement[]): DesiredSet {
  return { spec, elements: keyed(elements) };
}
