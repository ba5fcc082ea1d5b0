/** Commands as messages of one batch. */
import { NetlinkWriter, NLM_F_APPEND, NLM_F_CREATE, NLM_F_REQUEST } from "../netlink/writer.ts";
import {
  DATA_TYPE_VERDICT, HOOK_NUMBER, KEY_FIELDS, MSG, NFNL_MSG_BATCH_BEGIN, NFNL_MSG_BATCH_END, NFNL_SUBSYS_NFTABLES, NFPROTO_INET, NFTA_CHAIN, NFTA_HOOK, NFTA_LIST_ELEM, NFTA_RULE, NFTA_SET, NFTA_SET_DESC,
  NFTA_SET_ELEM_LIST, NFTA_SET_FIELD_LEN, NFTA_TABLE, SET_FLAG, VERDICT_CODE,
} from "./constants.ts";
import { keyLength, keyType, writeElement } from "./elements.ts";
import { writeStatements } from "./expressions.ts";
import type { Command } from "./transaction.ts";
import type { SetElement, SetSpec } from "./types.ts";
import { encodeUserdata } from "./userdata.ts";

/** Members per message: their list must fit an attribute of 64 KiB. */
const ELEMENTS_PER_MESSAGE = 300;
/** NFTNL_UDATA_SET_KEYBYTEORDER = host: without it nft shows names of interfaces as "". */
const HOST_BYTE_ORDER = Buffer.of(0, 4, 1, 0, 0, 0);

export type EncodedBatch = { readonly writer: NetlinkWriter; /** Which command each sequence number belongs to. */ readonly commandOf: ReadonlyMap<number, Command> };

/** What most batches fit into; a larger one makes the buffer grow. */
const BATCH_BYTES = 16 << 10;

/** A command with a value that cannot be expressed, or with more than fits into a message. */
export class UnspeakableCommand extends Error {
  readonly command: Command;

  constructor(command: Command, reason: string) {
    super(reason);
    this.name = "UnspeakableCommand";
    this.command = command;
  }
}

/** Writes a whole batch; `nextSequence` numbers its messages. Throws an UnspeakableCommand. */
export function encodeBatch(table: string, commands: readonly Command[], nextSequence: () => number): EncodedBatch {
  const writer = new NetlinkWriter(BATCH_BYTES);
  const commandOf = new Map<number, Command>();
  batchMarker(writer, NFNL_MSG_BATCH_BEGIN, nextSequence());
  let setId = 1;
  const write = (command: Command): void => {
    const begin = (type: number, flags = 0): void => {
      const sequence = nextSequence();
      commandOf.set(sequence, command);
      beginMessage(writer, type, NLM_F_REQUEST | flags, sequence);
    };
    switch (command.do) {
      case "add-table":
        begin(MSG.NEWTABLE, NLM_F_CREATE);
        writer.attributeText(NFTA_TABLE.NAME, table).attributeU32Be(NFTA_TABLE.FLAGS, command.flags).end();
        break;
      case "delete-table":
        begin(MSG.DELTABLE);
        writer.attributeText(NFTA_TABLE.NAME, table).end();
        break;
      case "add-chain": {
        begin(MSG.NEWCHAIN, NLM_F_CREATE);
        writer.attributeText(NFTA_CHAIN.TABLE, table).attributeText(NFTA_CHAIN.NAME, command.chain);
        const { base } = command;
        if (base !== undefined) {
          writer.nested(NFTA_CHAIN.HOOK, () => writer.attributeU32Be(NFTA_HOOK.HOOKNUM, HOOK_NUMBER[base.hook]).attributeU32Be(NFTA_HOOK.PRIORITY, base.priority));
          writer.attributeU32Be(NFTA_CHAIN.POLICY, VERDICT_CODE[base.policy]).attributeText(NFTA_CHAIN.TYPE, base.type);
        }
        writer.end();
        break;
      }
      case "flush-chain":
        begin(MSG.DELRULE);
        writer.attributeText(NFTA_RULE.TABLE, table).attributeText(NFTA_RULE.CHAIN, command.chain).end();
        break;
      case "delete-chain":
        begin(MSG.DELCHAIN);
        writer.attributeText(NFTA_CHAIN.TABLE, table).attributeText(NFTA_CHAIN.NAME, command.chain).end();
        break;
      case "add-rule": {
        begin(MSG.NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
        writer.attributeText(NFTA_RULE.TABLE, table).attributeText(NFTA_RULE.CHAIN, command.chain);
        writer.nested(NFTA_RULE.EXPRESSIONS, () => writeStatements(writer, command.rule.statements));
        const userdata = encodeUserdata(command.hash, command.rule.comment);
        if (userdata !== null) writer.attribute(NFTA_RULE.USERDATA, userdata);
        writer.end();
        break;
      }
      case "add-set":
        begin(MSG.NEWSET, NLM_F_CREATE);
        writeSet(writer, table, command.set, setId);
        setId += 1;
        break;
      case "delete-set":
        begin(MSG.DELSET);
        writer.attributeText(NFTA_SET.TABLE, table).attributeText(NFTA_SET.NAME, command.set).end();
        break;
      case "flush-set":
        begin(MSG.DELSETELEM);
        writer.attributeText(NFTA_SET_ELEM_LIST.TABLE, table).attributeText(NFTA_SET_ELEM_LIST.SET, command.set).end();
        break;
      case "add-elements":
      case "delete-elements":
        for (const chunk of chunks(command.elements)) {
          const adding = command.do === "add-elements";
          begin(adding ? MSG.NEWSETELEM : MSG.DELSETELEM, adding ? NLM_F_CREATE : 0);
          writer.attributeText(NFTA_SET_ELEM_LIST.TABLE, table).attributeText(NFTA_SET_ELEM_LIST.SET, command.set.name);
          writer.nested(NFTA_SET_ELEM_LIST.ELEMENTS, () => chunk.forEach((element) => writeElement(writer, command.set, element, adding)));
          writer.end();
        }
        break;
    }
  };
  for (const command of commands) {
    try {
      write(command);
    } catch (error) {
      throw error instanceof RangeError ? new UnspeakableCommand(command, error.message) : error;
    }
  }
  batchMarker(writer, NFNL_MSG_BATCH_END, nextSequence());
  return { writer, commandOf };
}

/** Begins a message of the nftables subsystem for the family inet. */
export function beginMessage(writer: NetlinkWriter, type: number, flags: number, sequence: number): void {
  writer.begin((NFNL_SUBSYS_NFTABLES << 8) | type, flags, sequence).u8(NFPROTO_INET).u8(0).u16(0);
}

function batchMarker(writer: NetlinkWriter, type: number, sequence: number): void {
  writer.begin(type, NLM_F_REQUEST, sequence).u8(0).u8(0).u16Be(NFNL_SUBSYS_NFTABLES).end();
}

function writeSet(writer: NetlinkWriter, table: string, set: SetSpec, id: number): void {
  writer.attributeText(NFTA_SET.TABLE, table).attributeText(NFTA_SET.NAME, set.name).attributeU32Be(NFTA_SET.FLAGS, setFlags(set));
  writer.attributeU32Be(NFTA_SET.KEY_TYPE, keyType(set.key)).attributeU32Be(NFTA_SET.KEY_LEN, keyLength(set.key));
  if (set.map === true) writer.attributeU32Be(NFTA_SET.DATA_TYPE, DATA_TYPE_VERDICT).attributeU32Be(NFTA_SET.DATA_LEN, 0);
  writer.attributeU32Be(NFTA_SET.ID, id);
  if (set.key.length > 1) {
    writer.nested(NFTA_SET.DESC, () => writer.nested(NFTA_SET_DESC.CONCAT, () => {
      for (const field of set.key) writer.nested(NFTA_LIST_ELEM, () => writer.attributeU32Be(NFTA_SET_FIELD_LEN, KEY_FIELDS[field].bytes));
    }));
  }
  if (set.key[0] === "ifname") writer.attribute(NFTA_SET.USERDATA, HOST_BYTE_ORDER);
  writer.end();
}

/** NFT_SET_* flags of a specification. */
export function setFlags(set: SetSpec): number {
  return (set.interval === true ? SET_FLAG.INTERVAL : 0) | (set.map === true ? SET_FLAG.MAP : 0) | (set.key.length > 1 ? SET_FLAG.CONCAT : 0);
}

function* chunks(elements: readonly SetElement[]): Generator<readonly SetElement[]> {
  for (let at = 0; at < elements.length; at += ELEMENTS_PER_MESSAGE) yield elements.slice(at, at + ELEMENTS_PER_MESSAGE);
}
