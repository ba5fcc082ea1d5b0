/** Reads a table of the family inet through netlink, with everything that its rules do. */
import { NetlinkConnection } from "../../netlink/connection.ts";
import { eachAttribute, readAttributes, readText, readU32Be, readU64Be, type Attributes } from "../../netlink/reader.ts";
import type { NetlinkWriter } from "../../netlink/writer.ts";
import {
  HOOK_NUMBER, MSG, NFNL_SUBSYS_NFTABLES, NFPROTO_INET, NFTA_CHAIN, NFTA_HOOK, NFTA_RULE, NFTA_SET, NFTA_SET_DESC, NFTA_SET_ELEM_LIST, NFTA_SET_FIELD_LEN, NFTA_TABLE, SET_ELEM_INTERVAL_END, SET_FLAG, VERDICT_CODE,
} from "../../nftables/constants.ts";
import type { BaseChain, Hook } from "../../nftables/types.ts";
import { decodeUserdata } from "../../nftables/userdata.ts";
import type { Sys } from "../../sys/sys.ts";
import { decodeData, decodeExpressions } from "./decode.ts";
import type { KernelRuleset, MachineChain, MachineElement, MachineRule, MachineSet } from "./ruleset.ts";

const NETLINK_NETFILTER = 12;
const ELEMENT = { KEY: 1, DATA: 2, FLAGS: 3, KEY_END: 10 } as const;
/** Flags whose meaning the machine has. */
const KNOWN_SET_FLAGS = SET_FLAG.ANONYMOUS | SET_FLAG.CONSTANT | SET_FLAG.INTERVAL | SET_FLAG.MAP | SET_FLAG.CONCAT;
const NOTHING = Buffer.alloc(0);

/** The table as it is now in the network namespace of the calling thread. Throws for what the machine does not know, and when there is no such table. */
export function dumpRuleset(sys: Sys, table: string): KernelRuleset {
  using connection = new NetlinkConnection(sys, NETLINK_NETFILTER, { bufferBytes: 16 << 20 });
  return new Dumper(connection, table).dump();
}

class Dumper {
  readonly #connection: NetlinkConnection;
  readonly #table: string;

  constructor(connection: NetlinkConnection, table: string) {
    this.#connection = connection;
    this.#table = table;
  }

  dump(): KernelRuleset {
    if (!this.#list(MSG.GETTABLE, NFTA_TABLE.NAME).some((table) => readText(table.get(NFTA_TABLE.NAME)) === this.#table)) throw new Error(`there is no table inet ${this.#table}`);
    const rules = Map.groupBy(this.#list(MSG.GETRULE, NFTA_RULE.TABLE), (rule) => readText(rule.get(NFTA_RULE.CHAIN)) ?? "");
    const chains = this.#list(MSG.GETCHAIN, NFTA_CHAIN.TABLE).map((chain): MachineChain => {
      const name = readText(chain.get(NFTA_CHAIN.NAME)) ?? "";
      return { name, base: baseOf(chain), rules: (rules.get(name) ?? []).map((rule) => ruleOf(rule, name)) };
    });
    const sets = this.#list(MSG.GETSET, NFTA_SET.TABLE).map((set) => this.#setOf(set));
    return { chains: new Map(chains.map((chain) => [chain.name, chain])), sets: new Map(sets.map((set) => [set.name, set])) };
  }

  /** Objects of the table; `attribute` says of which table an object is. */
  #list(type: number, attribute: number, write: (writer: NetlinkWriter) => void = () => {}): Attributes[] {
    const messages = this.#connection.dump({
      type: (NFNL_SUBSYS_NFTABLES << 8) | type, what: `list objects of table ${this.#table}`,
      write(writer) {
        writer.u8(NFPROTO_INET).u8(0).u16(0);
        write(writer);
      },
    });
    return messages.map(({ payload }) => readAttributes(payload.subarray(4))).filter((attributes) => readText(attributes.get(attribute)) === this.#table);
  }

  #setOf(attributes: Attributes): MachineSet {
    const name = readText(attributes.get(NFTA_SET.NAME)) ?? "";
    const flags = readU32Be(attributes.get(NFTA_SET.FLAGS)) ?? 0;
    if ((flags & ~KNOWN_SET_FLAGS) !== 0) throw new Error(`set ${name}: the machine does not know the flags ${flags}`);
    const messages = this.#list(MSG.GETSETELEM, NFTA_SET_ELEM_LIST.TABLE, (writer) => void writer.attributeText(NFTA_SET_ELEM_LIST.TABLE, this.#table).attributeText(NFTA_SET_ELEM_LIST.SET, name));
    const elements = messages.flatMap((message) => [...eachAttribute(message.get(NFTA_SET_ELEM_LIST.ELEMENTS) ?? NOTHING)].map(([, element]) => elementOf(readAttributes(element), name)));
    const fields = fieldsOf(attributes.get(NFTA_SET.DESC));
    return { name, interval: (flags & SET_FLAG.INTERVAL) !== 0, fields, keyBytes: readU32Be(attributes.get(NFTA_SET.KEY_LEN)) ?? 0, elements };
  }
}

function baseOf(chain: Attributes): BaseChain | null {
  const attached = chain.get(NFTA_CHAIN.HOOK);
  if (attached === undefined) return null;
  const at = readAttributes(attached);
  const number = readU32Be(at.get(NFTA_HOOK.HOOKNUM));
  const hook = (Object.keys(HOOK_NUMBER) as Hook[]).find((name) => HOOK_NUMBER[name] === number);
  if (hook === undefined) throw new Error(`the machine does not know hook ${number}`);
  return {
    type: (readText(chain.get(NFTA_CHAIN.TYPE)) ?? "filter") as BaseChain["type"], hook, priority: (readU32Be(at.get(NFTA_HOOK.PRIORITY)) ?? 0) | 0,
    policy: readU32Be(chain.get(NFTA_CHAIN.POLICY)) === VERDICT_CODE.drop ? "drop" : "accept",
  };
}

function ruleOf(rule: Attributes, chain: string): MachineRule {
  const { comment } = decodeUserdata(rule.get(NFTA_RULE.USERDATA));
  const handle = readU64Be(rule.get(NFTA_RULE.HANDLE)) ?? 0n;
  try {
    return { handle, comment, expressions: decodeExpressions(rule.get(NFTA_RULE.EXPRESSIONS) ?? NOTHING) };
  } catch (error) {
    throw new Error(`chain ${chain}, rule ${handle} (${comment ?? "no comment"}): ${(error as Error).message}`, { cause: error });
  }
}

/** Lengths of the fields of a concatenation; null: the key is one value. */
function fieldsOf(description: Buffer | undefined): number[] | null {
  const concatenation = description === undefined ? undefined : readAttributes(description).get(NFTA_SET_DESC.CONCAT);
  if (concatenation === undefined) return null;
  const lengths = [...eachAttribute(concatenation)].map(([, field]) => readU32Be(readAttributes(field).get(NFTA_SET_FIELD_LEN)) ?? 0);
  return lengths.length > 1 ? lengths : null;
}

function elementOf(attributes: Attributes, set: string): MachineElement {
  const flags = readU32Be(attributes.get(ELEMENT.FLAGS)) ?? 0;
  const key = decodeData(attributes.get(ELEMENT.KEY));
  const keyEnd = decodeData(attributes.get(ELEMENT.KEY_END));
  if (!(key instanceof Uint8Array) || (flags & ~SET_ELEM_INTERVAL_END) !== 0) throw new Error(`set ${set}: the machine does not know an element with flags ${flags}`);
  return { key, keyEnd: keyEnd instanceof Uint8Array ? keyEnd : null, isEnd: flags !== 0, data: decodeData(attributes.get(ELEMENT.DATA)) };
}
