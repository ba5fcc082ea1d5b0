/** The nftables of one network namespace: transactions, dumps, events. */
import { errorOf, KernelError, NetlinkConnection } from "../netlink/connection.ts";
import { eachAttribute, readAttributes, readText, readU32Be, readU64Be } from "../netlink/reader.ts";
import { NetlinkWriter, NLM_F_ACK, NLM_F_REQUEST } from "../netlink/writer.ts";
import { EAGAIN, EINVAL, ENOENT, ERESTART } from "../sys/constants.ts";
import type { Sys } from "../sys/sys.ts";
import {
  HOOK_NUMBER, KEY_FIELDS, MSG, NFNL_SUBSYS_NFTABLES, NFNLGRP_NFTABLES, NFPROTO_INET, NFPROTO_IPV4, NFPROTO_IPV6, NFTA_CHAIN, NFTA_COUNTER, NFTA_EXPR, NFTA_GEN, NFTA_HOOK, NFTA_RULE, NFTA_SET, NFTA_SET_ELEM_LIST, NFTA_TABLE, SET_FLAG, VERDICT_CODE,
} from "./constants.ts";
import { beginMessage, encodeBatch, UnspeakableCommand, type EncodedBatch } from "./encode.ts";
import { readElements } from "./elements.ts";
import { commandText, type Command } from "./transaction.ts";
import type { BaseChain, KernelRule, KernelSet, KeyField, TableDump } from "./types.ts";
import { decodeUserdata } from "./userdata.ts";

const NETLINK_NETFILTER = 12;
const NLMSG_ERROR = 2;
const RETRIES = 5;

/** A transaction that the kernel refused as a whole: nothing of it took effect. */
export class TransactionError extends Error {
  readonly failures: readonly { readonly command: Command | null; readonly error: KernelError }[];

  constructor(failures: TransactionError["failures"]) {
    super(failures.map(({ error }) => error.message).join("; ") || "the transaction was refused");
    this.name = "TransactionError";
    this.failures = failures;
  }
}

export type Generation = { readonly id: number; /** Process that committed. */ readonly processId: number; readonly processName: string };

/** A chain that packets meet at a hook. */
export type HookedChain = { readonly family: "ip" | "ip6" | "inet"; readonly table: string; readonly chain: string; readonly hook: BaseChain["hook"]; readonly policy: "accept" | "drop" };

const FAMILIES: ReadonlyMap<number, HookedChain["family"]> = new Map([[NFPROTO_INET, "inet"], [NFPROTO_IPV4, "ip"], [NFPROTO_IPV6, "ip6"]]);

/** Everything is about one table of the family inet, except base chains, `generation` and events. Calls are synchronous. */
export interface Nftables extends Disposable {
  /** Carries out commands as one transaction: all or nothing. Throws a TransactionError, for values that cannot be expressed as well. */
  commit(table: string, commands: readonly Command[]): void;
  /** What the table holds; null when there is none. Throws a KernelError. */
  dumpTable(table: string): TableDump | null;
  /** The rules of one chain with what they counted; none when there is no such chain. Throws a KernelError. */
  dumpChain(table: string, chain: string): readonly KernelRule[];
  /** Names of the tables of the family inet. */
  listTables(): string[];
  /** Chains of every table of the families ip, ip6 and inet through which packets pass. */
  listBaseChains(): HookedChain[];
  /** Number of the last committed transaction. */
  generation(): number;
  /** Calls back after each commit, whoever made it. */
  subscribe(handlers: { readonly onGeneration: (generation: Generation) => void; readonly onOverflow: () => void }): Disposable;
  /** Also gives up the ownership of tables. */
  close(): void;
}

/** Opens a socket in the network namespace of the calling thread; it stays there, and owns the tables that it makes so. */
export function openNftables(sys: Sys): Nftables {
  const connection = new NetlinkConnection(sys, NETLINK_NETFILTER, { bufferBytes: 16 << 20 });
  const events: NetlinkConnection[] = [];
  const openEvents = (): NetlinkConnection => new NetlinkConnection(sys, NETLINK_NETFILTER, { nonBlocking: true, bufferBytes: 16 << 20 });
  // The events' socket must be opened here, where the thread is in the right namespace, not when somebody subscribes.
  let spare: NetlinkConnection | null = openEvents();

  function encode(table: string, commands: readonly Command[]): EncodedBatch | UnspeakableCommand {
    try {
      return encodeBatch(table, commands, () => connection.nextSequence());
    } catch (error) {
      if (error instanceof UnspeakableCommand) return error;
      throw error;
    }
  }

  function commitOnce(table: string, commands: readonly Command[]): { command: Command | null; error: KernelError }[] {
    const batch = encode(table, commands);
    if (batch instanceof UnspeakableCommand) return [{ command: batch.command, error: new KernelError(commandText(batch.command), EINVAL, batch.message) }];
    const { writer, commandOf } = batch;
    connection.ensureSendBuffer(writer.length);
    connection.send(writer);
    // The kernel ignores what follows the end of a batch in one datagram, so the fence goes separately.
    const fence = connection.nextSequence();
    const request = new NetlinkWriter(64);
    beginMessage(request, MSG.GETGEN, NLM_F_REQUEST | NLM_F_ACK, fence);
    request.end();
    connection.send(request);
    const failures: { command: Command | null; error: KernelError }[] = [];
    for (;;) {
      for (const { type, flags, sequence, payload } of connection.receive()) {
        if (type !== NLMSG_ERROR) continue;
        if (sequence === fence) return failures;
        const command = commandOf.get(sequence) ?? null;
        const error = errorOf(payload, flags, command === null ? "batch" : commandText(command));
        if (error !== null) failures.push({ command, error });
      }
    }
  }

  function dump(type: number, what: string, attributes: (writer: NetlinkWriter) => void): Buffer[] {
    return connection.dump({
      type: (NFNL_SUBSYS_NFTABLES << 8) | type, what,
      write(writer) {
        writer.u8(NFPROTO_INET).u8(0).u16(0);
        attributes(writer);
      },
    }).map(({ payload }) => payload.subarray(4));
  }

  const ofTable = (table: string, attribute: number) => (payload: Buffer): boolean => readText(readAttributes(payload).get(attribute)) === table;

  function tableFlags(table: string): number | null {
    for (const payload of dump(MSG.GETTABLE, "list tables", () => {})) {
      const attributes = readAttributes(payload);
      if (readText(attributes.get(NFTA_TABLE.NAME)) === table) return readU32Be(attributes.get(NFTA_TABLE.FLAGS)) ?? 0;
    }
    return null;
  }

  function dumpSet(table: string, payload: Buffer): KernelSet | null {
    const attributes = readAttributes(payload);
    const name = readText(attributes.get(NFTA_SET.NAME)) ?? "";
    const flags = readU32Be(attributes.get(NFTA_SET.FLAGS)) ?? 0;
    if ((flags & SET_FLAG.ANONYMOUS) !== 0) return null;
    const keyType = readU32Be(attributes.get(NFTA_SET.KEY_TYPE)) ?? 0;
    const lists = dump(MSG.GETSETELEM, `list ${name}`, (writer) => void writer.attributeText(NFTA_SET_ELEM_LIST.TABLE, table).attributeText(NFTA_SET_ELEM_LIST.SET, name))
      .flatMap((message) => readAttributes(message).get(NFTA_SET_ELEM_LIST.ELEMENTS) ?? []);
    return { name, flags, keyType, elements: readElements(lists, fieldsOf(keyType), (flags & SET_FLAG.INTERVAL) !== 0) };
  }

  function dumpOnce(table: string): TableDump | null {
    const flags = tableFlags(table);
    if (flags === null) return null;
    const before = generation();
    const chains = new Map<string, KernelRule[]>();
    for (const payload of dump(MSG.GETCHAIN, "list chains", () => {}).filter(ofTable(table, NFTA_CHAIN.TABLE))) chains.set(readText(readAttributes(payload).get(NFTA_CHAIN.NAME)) ?? "", []);
    for (const payload of dump(MSG.GETRULE, "list rules", (writer) => void writer.attributeText(NFTA_RULE.TABLE, table)).filter(ofTable(table, NFTA_RULE.TABLE))) {
      const attributes = readAttributes(payload);
      chains.get(readText(attributes.get(NFTA_RULE.CHAIN)) ?? "")?.push(kernelRule(attributes));
    }
    const sets = new Map<string, KernelSet>();
    for (const payload of dump(MSG.GETSET, "list sets", (writer) => void writer.attributeText(NFTA_SET.TABLE, table)).filter(ofTable(table, NFTA_SET.TABLE))) {
      const set = dumpSet(table, payload);
      if (set !== null) sets.set(set.name, set);
    }
    return { flags, chains, sets, generation: before };
  }

  function dumpChain(table: string, chain: string): KernelRule[] {
    const payloads = dump(MSG.GETRULE, `list rules of ${chain}`, (writer) => void writer.attributeText(NFTA_RULE.TABLE, table).attributeText(NFTA_RULE.CHAIN, chain));
    // Kernels that do not know the filter list more.
    return payloads.map(readAttributes).filter((attributes) => readText(attributes.get(NFTA_RULE.TABLE)) === table && readText(attributes.get(NFTA_RULE.CHAIN)) === chain).map(kernelRule);
  }

  function generation(): number {
    const [found] = connection.get({ type: (NFNL_SUBSYS_NFTABLES << 8) | MSG.GETGEN, flags: 0, what: "get generation", write: (writer) => void writer.u8(0).u8(0).u16(0) });
    return found === undefined ? 0 : (readU32Be(readAttributes(found.payload.subarray(4)).get(NFTA_GEN.ID)) ?? 0);
  }

  return {
    commit(table, commands) {
      if (commands.length === 0) return;
      for (let attempt = 1; ; attempt += 1) {
        const failures = commitOnce(table, commands);
        if (failures.length === 0) return;
        const passing = failures.every(({ error }) => error.errno === EAGAIN || error.errno === ERESTART);
        if (!passing || attempt === RETRIES) throw new TransactionError(failures);
      }
    },
    dumpTable(table) {
      for (let attempt = 0; attempt < RETRIES; attempt += 1) {
        try {
          const found = dumpOnce(table);
          if (found === null || found.generation === generation()) return found;
        } catch (error) {
          // Something that was listed is gone: the table changed meanwhile.
          if (!(error instanceof KernelError) || error.errno !== ENOENT) throw error;
        }
      }
      return dumpOnce(table);
    },
    dumpChain,
    listBaseChains: () => connection.dump({ type: (NFNL_SUBSYS_NFTABLES << 8) | MSG.GETCHAIN, what: "list chains of all tables", write: (writer) => void writer.u8(0).u8(0).u16(0) }).flatMap(({ payload }) => hookedChain(payload) ?? []),
    listTables: () => dump(MSG.GETTABLE, "list tables", () => {}).flatMap((payload) => readText(readAttributes(payload).get(NFTA_TABLE.NAME)) ?? []),
    generation,
    subscribe({ onGeneration, onOverflow }) {
      const socket = spare ?? openEvents();
      spare = null;
      events.push(socket);
      return socket.subscribe([NFNLGRP_NFTABLES], ({ type, payload }) => {
        if (type !== ((NFNL_SUBSYS_NFTABLES << 8) | MSG.NEWGEN)) return;
        const attributes = readAttributes(payload.subarray(4));
        onGeneration({ id: readU32Be(attributes.get(NFTA_GEN.ID)) ?? 0, processId: readU32Be(attributes.get(NFTA_GEN.PROC_PID)) ?? 0, processName: readText(attributes.get(NFTA_GEN.PROC_NAME)) ?? "" });
      }, onOverflow);
    },
    close,
    [Symbol.dispose]: close,
  };

  function close(): void {
    connection.close();
    spare?.close();
    for (const socket of events) socket.close();
  }
}

function kernelRule(attributes: ReadonlyMap<number, Buffer>): KernelRule {
  const expressions = attributes.get(NFTA_RULE.EXPRESSIONS);
  return {
    handle: readU64Be(attributes.get(NFTA_RULE.HANDLE)) ?? 0n, ...decodeUserdata(attributes.get(NFTA_RULE.USERDATA)),
    // Whoever compares rules does not look at their counters.
    get packets() {
      return packetsOf(expressions);
    },
  };
}

function hookedChain(payload: Buffer): HookedChain | null {
  const family = FAMILIES.get(payload[0] ?? 0);
  const attributes = readAttributes(payload.subarray(4));
  const at = attributes.get(NFTA_CHAIN.HOOK);
  const number = at === undefined ? null : readU32Be(readAttributes(at).get(NFTA_HOOK.HOOKNUM));
  const hook = (Object.keys(HOOK_NUMBER) as BaseChain["hook"][]).find((name) => HOOK_NUMBER[name] === number);
  if (family === undefined || hook === undefined) return null;
  const policy = readU32Be(attributes.get(NFTA_CHAIN.POLICY)) === VERDICT_CODE.drop ? "drop" : "accept";
  return { family, table: readText(attributes.get(NFTA_CHAIN.TABLE)) ?? "", chain: readText(attributes.get(NFTA_CHAIN.NAME)) ?? "", hook, policy };
}

/** Packets that a rule's counter has seen; null for a rule without one. */
function packetsOf(expressions: Buffer | undefined): bigint | null {
  if (expressions === undefined) return null;
  for (const [, expression] of eachAttribute(expressions)) {
    const attributes = readAttributes(expression);
    if (readText(attributes.get(NFTA_EXPR.NAME)) !== "counter") continue;
    return readU64Be(readAttributes(attributes.get(NFTA_EXPR.DATA) ?? Buffer.alloc(0)).get(NFTA_COUNTER.PACKETS)) ?? null;
  }
  return null;
}

/** Fields of a key type: six bits each. Unknown ones make the members unreadable, not the set. */
function fieldsOf(keyType: number): KeyField[] {
  const fields: KeyField[] = [];
  for (let rest = keyType; rest > 0; rest >>>= 6) {
    const field = (Object.keys(KEY_FIELDS) as KeyField[]).find((name) => KEY_FIELDS[name].type === (rest & 63));
    if (field === undefined) return [];
    fields.unshift(field);
  }
  return fields;
}
