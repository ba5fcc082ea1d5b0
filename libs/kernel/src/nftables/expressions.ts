/** Statements as the expressions of the kernel's virtual machine. */
import { addressBytes, cidrParts } from "@calico/model";
import type { NetlinkWriter } from "../netlink/writer.ts";
import { NFTA_DATA, NFTA_EXPR, NFTA_LIST_ELEM, NFTA_VERDICT, VERDICT_CODE } from "./constants.ts";
import type { Family, Side, Statement } from "./types.ts";

/** First of the sixteen 32-bit registers. */
const REG = 8;
const REG_VERDICT = 0;
const META = { MARK: 3, IIFNAME: 6, OIFNAME: 7, NFPROTO: 15, L4PROTO: 16 } as const;
const NETWORK_HEADER = 1;
const TRANSPORT_HEADER = 2;
const CMP = { EQ: 0, NEQ: 1 } as const;
const CT = { STATE: 0, STATUS: 2 } as const;
/** IPS_DST_NAT (linux/netfilter/nf_conntrack_common.h) */
const CT_STATUS_DNAT = 32;
const CT_STATE_BITS = { invalid: 1, established: 2, related: 4, new: 8, untracked: 64 } as const;
const NFPROTO = { 4: 2, 6: 10 } as const;
const ICMP_PROTOCOL = { 4: 1, 6: 58 } as const;
const IFNAME_BYTES = 16;
const FIB = { RESULT_ADDRTYPE: 3, FLAG_SADDR: 1, FLAG_DADDR: 2, FLAG_OIF: 16, TYPE_LOCAL: 2 } as const;
const LOOKUP_INVERT = 1;
const NAT_RANGE_PROTO_SPECIFIED = 2;
const NAT_RANGE_PROTO_RANDOM_FULLY = 16;
const REJECT = { TCP_RST: 1, ICMPX: 2, ICMPX_ADMIN_PROHIBITED: 3 } as const;
/** Kernel log level of Log rules: info. */
const LOG_LEVEL_INFO = 6;
/** NFT_LIMIT_PKTS */
const LIMIT_PACKETS = 0;

/** Writes a rule's statements as the list of its expressions. Throws a RangeError for values that cannot be expressed. */
export function writeStatements(writer: NetlinkWriter, statements: readonly Statement[]): void {
  const encoder = new ExpressionWriter(writer);
  for (const statement of statements) encoder.statement(statement);
}

class ExpressionWriter {
  readonly #w: NetlinkWriter;

  constructor(writer: NetlinkWriter) {
    this.#w = writer;
  }

  statement(s: Statement): void {
    switch (s.kind) {
      case "interface":
        this.#meta(s.direction === "in" ? META.IIFNAME : META.OIFNAME, REG);
        return this.#compare(s.prefix === true ? Buffer.from(s.name) : interfaceName(s.name), s.not);
      case "family":
        this.#meta(META.NFPROTO, REG);
        return this.#compare(Uint8Array.of(NFPROTO[s.family]));
      case "protocol":
        this.#meta(META.L4PROTO, REG);
        return this.#compare(Uint8Array.of(s.protocol), s.not);
      case "address": {
        const { family, bytes, prefixLength } = cidrParts(s.cidr);
        this.#address(s.side, family, REG);
        if (prefixLength < bytes.length * 8) this.#bitwise(bytes.length, maskOf(bytes.length, prefixLength), new Uint8Array(bytes.length));
        return this.#compare(bytes, s.not);
      }
      case "address-set":
        this.#address(s.side, s.family, REG);
        return this.#lookup(s.set, s.not);
      case "port":
        this.#port(s.side, REG);
        return s.first === s.last ? this.#compare(bigEndian16(s.first), s.not) : this.#range(bigEndian16(s.first), bigEndian16(s.last), s.not);
      case "port-set":
        this.#port(s.side, REG);
        return this.#lookup(s.set, s.not);
      case "address-port-set": {
        const words = s.family === 4 ? 1 : 4;
        this.#address(s.side, s.family, REG);
        this.#meta(META.L4PROTO, REG + words);
        this.#port(s.side, REG + words + 1);
        return this.#lookup(s.set, s.not);
      }
      case "icmp": return this.#icmp(s);
      case "ct-state": return this.#connection(CT.STATE, s.states.reduce((sum, state) => sum | CT_STATE_BITS[state], 0), s.not);
      case "ct-dnat": return this.#connection(CT.STATUS, CT_STATUS_DNAT, s.not);
      case "mark":
        this.#meta(META.MARK, REG);
        this.#bitwise(4, little32(s.mask), new Uint8Array(4));
        return this.#compare(little32(s.value), s.not);
      case "no-track": return this.#expression("notrack", () => undefined);
      case "local-source":
        this.#addressType(FIB.FLAG_SADDR | (s.outgoing === true ? FIB.FLAG_OIF : 0));
        return this.#compare(little32(FIB.TYPE_LOCAL), s.not);
      case "local-destination":
        this.#addressType(FIB.FLAG_DADDR);
        return this.#compare(little32(FIB.TYPE_LOCAL), s.not);
      case "interface-map":
        this.#meta(s.direction === "in" ? META.IIFNAME : META.OIFNAME, 1);
        return this.#expression("lookup", () => this.#w.attributeText(1, s.map).attributeU32Be(2, 1).attributeU32Be(3, REG_VERDICT));
      case "port-map":
        this.#meta(META.L4PROTO, REG);
        this.#port("destination", REG + 1);
        return this.#expression("lookup", () => this.#w.attributeText(1, s.map).attributeU32Be(2, REG).attributeU32Be(3, REG_VERDICT));
      case "counter": return this.#expression("counter", () => this.#w.attributeU64Be(1, 0n).attributeU64Be(2, 0n));
      case "set-mark":
        this.#meta(META.MARK, REG);
        this.#bitwise(4, little32(~s.mask), little32(s.value));
        return this.#expression("meta", () => this.#w.attributeU32Be(2, META.MARK).attributeU32Be(3, REG));
      case "limit": return this.#expression("limit", () => this.#w.attributeU64Be(1, BigInt(s.rate)).attributeU64Be(2, BigInt(s.unitSeconds)).attributeU32Be(3, s.burst).attributeU32Be(4, LIMIT_PACKETS).attributeU32Be(5, 0));
      case "log": return this.#log(s);
      case "reject":
        return this.#expression("reject", () => {
          if (s.how === "tcp-reset") this.#w.attributeU32Be(1, REJECT.TCP_RST);
          else this.#w.attributeU32Be(1, REJECT.ICMPX).attributeU8(2, REJECT.ICMPX_ADMIN_PROHIBITED);
        });
      case "masquerade": return this.#masquerade(s);
      case "snat":
        this.#immediateValue(addressBytes(s.address));
        return this.#expression("nat", () => this.#w.attributeU32Be(1, 0).attributeU32Be(2, NFPROTO[s.family]).attributeU32Be(3, REG));
      case "verdict": return this.#verdict(VERDICT_CODE[s.verdict]);
      case "jump": return this.#verdict(VERDICT_CODE.jump, s.chain);
      case "goto": return this.#verdict(VERDICT_CODE.goto, s.chain);
    }
  }

  /** Of the connection's bits under this key, one of these is set. */
  #connection(key: number, bits: number, not = false): void {
    this.#expression("ct", () => this.#w.attributeU32Be(2, key).attributeU32Be(1, REG));
    this.#bitwise(4, little32(bits), new Uint8Array(4));
    // "One of these bits" is "not zero".
    this.#compare(new Uint8Array(4), !not);
  }

  #icmp({ family, type, code, not }: Extract<Statement, { kind: "icmp" }>): void {
    this.#meta(META.L4PROTO, REG);
    this.#compare(Uint8Array.of(ICMP_PROTOCOL[family]));
    if (code === null) {
      this.#payload(TRANSPORT_HEADER, 0, 1, REG);
      return this.#compare(Uint8Array.of(type), not);
    }
    // Type and code are neighbours: one comparison of two bytes, which a negation must not split.
    this.#payload(TRANSPORT_HEADER, 0, 2, REG);
    this.#compare(Uint8Array.of(type, code), not);
  }

  #log({ prefix, group }: Extract<Statement, { kind: "log" }>): void {
    this.#expression("log", () => {
      if (group !== undefined) this.#w.attributeU16Be(1, group);
      this.#w.attributeText(2, prefix.slice(0, 127));
      if (group === undefined) this.#w.attributeU32Be(5, LOG_LEVEL_INFO);
    });
  }

  #masquerade({ fullyRandom, ports }: Extract<Statement, { kind: "masquerade" }>): void {
    const flags = (fullyRandom ? NAT_RANGE_PROTO_RANDOM_FULLY : 0) | (ports === undefined ? 0 : NAT_RANGE_PROTO_SPECIFIED);
    if (ports !== undefined) {
      this.#immediateValue(bigEndian16(ports.first), REG);
      this.#immediateValue(bigEndian16(ports.last), REG + 1);
    }
    this.#expression("masq", () => {
      if (flags !== 0) this.#w.attributeU32Be(1, flags);
      if (ports !== undefined) this.#w.attributeU32Be(2, REG).attributeU32Be(3, REG + 1);
    });
  }

  #addressType(of: number): void {
    this.#expression("fib", () => this.#w.attributeU32Be(3, of).attributeU32Be(2, FIB.RESULT_ADDRTYPE).attributeU32Be(1, REG));
  }

  #address(side: Side, family: Family, register: number): void {
    if (family === 4) this.#payload(NETWORK_HEADER, side === "source" ? 12 : 16, 4, register);
    else this.#payload(NETWORK_HEADER, side === "source" ? 8 : 24, 16, register);
  }

  #port(side: Side, register: number): void {
    this.#payload(TRANSPORT_HEADER, side === "source" ? 0 : 2, 2, register);
  }

  #payload(base: number, offset: number, length: number, register: number): void {
    this.#expression("payload", () => this.#w.attributeU32Be(1, register).attributeU32Be(2, base).attributeU32Be(3, offset).attributeU32Be(4, length));
  }

  #meta(key: number, register: number): void {
    this.#expression("meta", () => this.#w.attributeU32Be(2, key).attributeU32Be(1, register));
  }

  #bitwise(length: number, mask: Uint8Array, xor: Uint8Array): void {
    this.#expression("bitwise", () => {
      this.#w.attributeU32Be(1, REG).attributeU32Be(2, REG).attributeU32Be(3, length);
      this.#data(4, mask);
      this.#data(5, xor);
    });
  }

  #compare(value: Uint8Array, not = false): void {
    this.#expression("cmp", () => {
      this.#w.attributeU32Be(1, REG).attributeU32Be(2, not ? CMP.NEQ : CMP.EQ);
      this.#data(3, value);
    });
  }

  #range(from: Uint8Array, to: Uint8Array, not = false): void {
    this.#expression("range", () => {
      this.#w.attributeU32Be(1, REG).attributeU32Be(2, Number(not));
      this.#data(3, from);
      this.#data(4, to);
    });
  }

  #lookup(set: string, not = false): void {
    this.#expression("lookup", () => {
      this.#w.attributeText(1, set).attributeU32Be(2, REG);
      if (not) this.#w.attributeU32Be(5, LOOKUP_INVERT);
    });
  }

  #immediateValue(value: Uint8Array, register = REG): void {
    this.#expression("immediate", () => {
      this.#w.attributeU32Be(1, register);
      this.#data(2, value);
    });
  }

  #verdict(code: number, chain?: string): void {
    this.#expression("immediate", () => {
      this.#w.attributeU32Be(1, REG_VERDICT);
      this.#w.nested(2, () => writeVerdict(this.#w, code, chain));
    });
  }

  #data(type: number, value: Uint8Array): void {
    this.#w.nested(type, () => this.#w.attribute(NFTA_DATA.VALUE, value));
  }

  #expression(name: string, write: () => unknown): void {
    this.#w.nested(NFTA_LIST_ELEM, () => {
      this.#w.attributeText(NFTA_EXPR.NAME, name);
      this.#w.nested(NFTA_EXPR.DATA, () => void write());
    });
  }
}

/** NFTA_DATA_VERDICT with its code and chain. */
export function writeVerdict(writer: NetlinkWriter, code: number, chain: string | undefined): void {
  writer.nested(NFTA_DATA.VERDICT, () => {
    writer.attributeU32Be(NFTA_VERDICT.CODE, code);
    if (chain !== undefined) writer.attributeText(NFTA_VERDICT.CHAIN, chain);
  });
}

/** An interface name as the kernel compares it: 16 bytes, zeros behind. Throws a RangeError when it is too long. */
export function interfaceName(name: string): Buffer {
  const buffer = Buffer.alloc(IFNAME_BYTES);
  if (Buffer.byteLength(name) >= IFNAME_BYTES) throw new RangeError(`${JSON.stringify(name)} is no interface name`);
  buffer.write(name);
  return buffer;
}

export function bigEndian16(value: number): Uint8Array {
  return Uint8Array.of(value >> 8, value & 0xff);
}

export function little32(value: number): Buffer {
  const buffer = Buffer.alloc(4);
  buffer.writeUInt32LE(value >>> 0);
  return buffer;
}

function maskOf(bytes: number, prefixLength: number): Uint8Array {
  return Uint8Array.from({ length: bytes }, (_, i) => 0xff & (0xff00 >> Math.max(0, Math.min(8, prefixLength - i * 8))));
}
