/** Expressions of rules as netlink lists them (linux/netfilter/nf_tables.h). One that is not known is an error, never passed over. */
import { eachAttribute, readAttributes, readText, readU32Be, type Attributes } from "../../netlink/reader.ts";
import { NFTA_DATA, NFTA_EXPR, NFTA_VERDICT, VERDICT_CODE } from "../../nftables/constants.ts";
import { registerOffset, REGISTER_VERDICT } from "./registers.ts";
import type { CompareOperator, Expression, MetaKey, Verdict } from "./ruleset.ts";

const PAYLOAD = { DREG: 1, BASE: 2, OFFSET: 3, LEN: 4 } as const;
const BASES: Readonly<Record<number, "network" | "transport">> = { 1: "network", 2: "transport" };
const META = { DREG: 1, KEY: 2, SREG: 3 } as const;
const META_KEYS: Readonly<Record<number, MetaKey>> = { 3: "mark", 6: "iifname", 7: "oifname", 15: "nfproto", 16: "l4proto" };
const CT = { DREG: 1, KEY: 2, DIRECTION: 3, SREG: 4 } as const;
const CT_KEYS: Readonly<Record<number, "ct-state" | "ct-status">> = { 0: "ct-state", 2: "ct-status" };
const CMP = { SREG: 1, OP: 2, DATA: 3 } as const;
const OPERATORS: readonly CompareOperator[] = ["==", "!=", "<", "<=", ">", ">="];
const RANGE = { SREG: 1, OP: 2, FROM: 3, TO: 4 } as const;
const BITWISE = { SREG: 1, DREG: 2, LEN: 3, MASK: 4, XOR: 5, OP: 6 } as const;
const BITWISE_MASK_XOR = 0;
const BYTEORDER = { SREG: 1, DREG: 2, LEN: 4, SIZE: 5 } as const;
const LOOKUP = { SET: 1, SREG: 2, DREG: 3, FLAGS: 5 } as const;
const LOOKUP_INVERT = 1;
const IMMEDIATE = { DREG: 1, DATA: 2 } as const;
const FIB = { DREG: 1, RESULT: 2, FLAGS: 3 } as const;
const FIB_RESULT_ADDRTYPE = 3;
const FIB_FLAG = { SADDR: 1, DADDR: 2, OIF: 16 } as const;
const LIMIT_FLAGS = 5;
const LIMIT_INVERTED = 1;

/** The expressions of a rule. */
export function decodeExpressions(list: Buffer): Expression[] {
  return [...eachAttribute(list)].map(([, item]) => {
    const attributes = readAttributes(item);
    return decodeExpression(readText(attributes.get(NFTA_EXPR.NAME)) ?? "", readAttributes(attributes.get(NFTA_EXPR.DATA) ?? Buffer.alloc(0)));
  });
}

function decodeExpression(name: string, a: Attributes): Expression {
  switch (name) {
    case "payload": return { kind: "payload", base: known(BASES[numberOf(a, PAYLOAD.BASE)], "header of payload"), offset: numberOf(a, PAYLOAD.OFFSET), length: numberOf(a, PAYLOAD.LEN), to: registerOffset(numberOf(a, PAYLOAD.DREG)) };
    case "meta": return decodeMeta(a);
    case "ct":
      if (a.has(CT.SREG) || a.has(CT.DIRECTION)) throw unknown(`ct of key ${numberOf(a, CT.KEY)} that sets, or of one direction`);
      return { kind: known(CT_KEYS[numberOf(a, CT.KEY)], `ct of key ${numberOf(a, CT.KEY)}`), to: registerOffset(numberOf(a, CT.DREG)) };
    case "cmp": return { kind: "cmp", from: registerOffset(numberOf(a, CMP.SREG)), op: known(OPERATORS[numberOf(a, CMP.OP)], "operator of cmp"), data: dataOf(a, CMP.DATA) };
    case "range": return { kind: "range", from: registerOffset(numberOf(a, RANGE.SREG)), low: dataOf(a, RANGE.FROM), high: dataOf(a, RANGE.TO), not: numberOf(a, RANGE.OP) === 1 };
    case "bitwise":
      if ((readU32Be(a.get(BITWISE.OP)) ?? BITWISE_MASK_XOR) !== BITWISE_MASK_XOR) throw unknown("bitwise that shifts");
      return { kind: "bitwise", from: registerOffset(numberOf(a, BITWISE.SREG)), to: registerOffset(numberOf(a, BITWISE.DREG)), mask: dataOf(a, BITWISE.MASK), xor: dataOf(a, BITWISE.XOR) };
    case "byteorder": return { kind: "byteorder", from: registerOffset(numberOf(a, BYTEORDER.SREG)), to: registerOffset(numberOf(a, BYTEORDER.DREG)), length: numberOf(a, BYTEORDER.LEN), size: numberOf(a, BYTEORDER.SIZE) };
    case "lookup": return decodeLookup(a);
    case "immediate": return decodeImmediate(a);
    case "fib": return decodeFib(a);
    case "limit":
      if (((readU32Be(a.get(LIMIT_FLAGS)) ?? 0) & LIMIT_INVERTED) !== 0) throw unknown("limit over a rate");
      return { kind: "limit" };
    case "counter":
    case "log":
    case "notrack":
    case "reject": return { kind: name };
    case "masq":
    case "nat":
    case "redir": return { kind: "translate" };
    default: throw unknown(name);
  }
}

function decodeMeta(a: Attributes): Expression {
  const key = known(META_KEYS[numberOf(a, META.KEY)], `key ${numberOf(a, META.KEY)} of meta`);
  if (!a.has(META.SREG)) return { kind: "meta", key, to: registerOffset(numberOf(a, META.DREG)) };
  if (key !== "mark") throw unknown(`meta that sets ${key}`);
  return { kind: "set-mark", from: registerOffset(numberOf(a, META.SREG)) };
}

function decodeLookup(a: Attributes): Expression {
  const register = readU32Be(a.get(LOOKUP.DREG));
  return {
    kind: "lookup", set: known(readText(a.get(LOOKUP.SET)), "set of lookup"), from: registerOffset(numberOf(a, LOOKUP.SREG)),
    to: register === undefined ? null : register === REGISTER_VERDICT ? "verdict" : registerOffset(register), not: ((readU32Be(a.get(LOOKUP.FLAGS)) ?? 0) & LOOKUP_INVERT) !== 0,
  };
}

function decodeImmediate(a: Attributes): Expression {
  const register = numberOf(a, IMMEDIATE.DREG);
  if (register !== REGISTER_VERDICT) return { kind: "immediate", to: registerOffset(register), data: dataOf(a, IMMEDIATE.DATA) };
  const verdict = decodeData(a.get(IMMEDIATE.DATA));
  if (verdict === null || verdict instanceof Uint8Array) throw unknown("immediate verdict");
  return { kind: "verdict", verdict };
}

function decodeFib(a: Attributes): Expression {
  const flags = numberOf(a, FIB.FLAGS);
  const side = (flags & FIB_FLAG.SADDR) !== 0 ? "source" : "destination";
  if (numberOf(a, FIB.RESULT) !== FIB_RESULT_ADDRTYPE || (flags & ~(FIB_FLAG.SADDR | FIB_FLAG.DADDR | FIB_FLAG.OIF)) !== 0) throw unknown(`fib with result ${numberOf(a, FIB.RESULT)} and flags ${flags}`);
  return { kind: "address-type", side, onOutgoing: (flags & FIB_FLAG.OIF) !== 0, to: registerOffset(numberOf(a, FIB.DREG)) };
}

/** A value or a verdict; null: there is none. */
export function decodeData(data: Buffer | undefined): Verdict | Uint8Array | null {
  if (data === undefined) return null;
  const attributes = readAttributes(data);
  const verdict = attributes.get(NFTA_DATA.VERDICT);
  return verdict === undefined ? (attributes.get(NFTA_DATA.VALUE) ?? null) : decodeVerdict(readAttributes(verdict));
}

function decodeVerdict(a: Attributes): Verdict {
  const code = numberOf(a, NFTA_VERDICT.CODE) | 0;
  const kind = known((Object.keys(VERDICT_CODE) as (keyof typeof VERDICT_CODE)[]).find((name) => VERDICT_CODE[name] === code), `verdict ${code}`);
  return kind === "jump" || kind === "goto" ? { kind, chain: known(readText(a.get(NFTA_VERDICT.CHAIN)), `chain of ${kind}`) } : { kind };
}

function numberOf(a: Attributes, attribute: number): number {
  return known(readU32Be(a.get(attribute)), `attribute ${attribute}`);
}

function dataOf(a: Attributes, attribute: number): Uint8Array {
  const data = decodeData(a.get(attribute));
  if (data instanceof Uint8Array) return data;
  throw unknown(`data of attribute ${attribute}`);
}

function known<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw unknown(what);
  return value;
}

function unknown(what: string): Error {
  return new Error(`the machine does not know this of nf_tables: ${what}`);
}
