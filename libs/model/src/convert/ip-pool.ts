/** IP pools and the blocks cut from them. */
import { addressAt, addressCount, canonicalCidr, familyOf, parseCidr, prefixLengthOf, type Cidr, type Family } from "../ip.ts";
import type { Block, Encapsulation, IpPool } from "../model.ts";
import { isNodeName } from "../names.ts";
import { all, parseSelector, type Selector } from "../selector/selector.ts";
import { FindingCollector, type Conversion } from "./conversion.ts";
import { isAbsent, listOf, metadataOf, objectOf, show, specOf, textOf, type RawObject } from "./raw.ts";

/** Smallest and largest prefix length of a block, and the default. */
const BLOCK_SIZES: Readonly<Record<Family, { first: number; last: number; usual: number }>> = {
  4: { first: 20, last: 32, usual: 26 },
  6: { first: 116, last: 128, usual: 122 },
};

const ENCAPSULATIONS = ["Never", "Always", "CrossSubnet"] as const;
const USES = ["Workload", "Tunnel", "LoadBalancer"] as const;

/**
 * A pool; null with findings when a field cannot be used: an allocator must not guess. A pool that is being deleted,
 * or that was found not allocatable (its condition says so), counts as disabled: existing addresses stay.
 */
export function convertIpPool(raw: unknown): Conversion<IpPool> {
  const out = new FindingCollector();
  const metadata = metadataOf(raw);
  if (metadata === null) return out.done<IpPool>(null);
  const spec = specOf(raw);
  const cidr = typeof spec["cidr"] === "string" ? parseCidr(spec["cidr"]) : null;
  if (cidr === null) {
    out.error("spec.cidr", `${show(spec["cidr"])} is not a CIDR`, 'write an address with its prefix length, such as "10.65.0.0/16"');
    return out.done<IpPool>(null);
  }
  if (cidr.masked) out.error("spec.cidr", `${show(spec["cidr"])} has bits set behind the prefix`, `did you mean ${cidr.cidr}?`);
  const ipipMode = oneOf(spec, "ipipMode", ENCAPSULATIONS, "Never", out);
  const vxlanMode = oneOf(spec, "vxlanMode", ENCAPSULATIONS, "Never", out);
  checkEncapsulation(cidr.family, ipipMode, vxlanMode, out);
  const pool: IpPool = {
    name: metadata.name,
    cidr: cidr.cidr,
    family: cidr.family,
    blockSize: readBlockSize(spec["blockSize"], cidr.family, cidr.prefixLength, out),
    ipipMode, vxlanMode,
    natOutgoing: flag(spec, "natOutgoing", out),
    disabled: flag(spec, "disabled", out) || metadata.isDeleting || isNotAllocatable(raw),
    disableBgpExport: flag(spec, "disableBGPExport", out),
    nodeSelector: readSelector(spec, "nodeSelector", out) ?? all(),
    namespaceSelector: readSelector(spec, "namespaceSelector", out),
    automatic: oneOf(spec, "assignmentMode", ["Automatic", "Manual"] as const, "Automatic", out) === "Automatic",
    allowedUses: readUses(spec["allowedUses"], out),
  };
  return out.done(out.findings.some(({ severity }) => severity !== "warning") ? null : pool);
}

function checkEncapsulation(family: Family, ipip: Encapsulation, vxlan: Encapsulation, out: FindingCollector): void {
  if (ipip !== "Never" && vxlan !== "Never") out.error("spec.vxlanMode", "a pool uses IPIP or VXLAN, not both", "set one of ipipMode and vxlanMode to Never");
  if (ipip !== "Never" && family === 6) out.error("spec.ipipMode", "IPIP carries IPv4 only", "use vxlanMode for an IPv6 pool");
  if (vxlan !== "Never" && family === 6) out.warning("spec.vxlanMode", "VXLAN is built for IPv4 only: this pool is routed without encapsulation", "set vxlanMode to Never");
}

function readBlockSize(written: unknown, family: Family, poolLength: number, out: FindingCollector): number {
  const { first, last, usual } = BLOCK_SIZES[family];
  const size = isAbsent(written) || written === 0 ? usual : written;
  if (typeof size !== "number" || !Number.isInteger(size) || size < first || size > last) {
    out.error("spec.blockSize", `${show(size)} is not a prefix length from ${first} to ${last}`);
    return usual;
  }
  if (size < poolLength) out.error("spec.blockSize", `a block of /${size} is larger than the pool, which is a /${poolLength}`, `use a blockSize from ${Math.max(first, poolLength)} to ${last}`);
  return size;
}

function oneOf<T extends string>(spec: RawObject, field: string, values: readonly T[], usual: T, out: FindingCollector): T {
  const written = spec[field];
  if (isAbsent(written) || written === "") return usual;
  const known = values.find((value) => value === written);
  if (known === undefined) out.error(`spec.${field}`, `${show(written)} is none of ${values.join(", ")}`);
  return known ?? usual;
}

function flag(spec: RawObject, field: string, out: FindingCollector): boolean {
  const written = spec[field];
  if (!isAbsent(written) && typeof written !== "boolean") out.error(`spec.${field}`, `${show(written)} is neither true nor false`);
  return written === true;
}

function readSelector(spec: RawObject, field: string, out: FindingCollector): Selector | null {
  const written = spec[field];
  if (isAbsent(written) || written === "") return null;
  if (typeof written !== "string") return out.error(`spec.${field}`, `a selector is a text, not ${show(written)}`);
  const result = parseSelector(written);
  return result.ok ? result.selector : out.error(`spec.${field}`, `${result.message} at character ${result.offset + 1}`, result.suggestion);
}

function readUses(written: unknown, out: FindingCollector): IpPool["allowedUses"] {
  if (isAbsent(written) || (Array.isArray(written) && written.length === 0)) return ["Workload", "Tunnel"];
  const uses = listOf(written).flatMap((use) => USES.filter((known) => known === use));
  if (!Array.isArray(written) || uses.length !== written.length) out.error("spec.allowedUses", `a list of ${USES.join(", ")} is needed`);
  return [...new Set(uses)];
}

function isNotAllocatable(raw: unknown): boolean {
  const conditions = listOf(objectOf(objectOf(raw)["status"])["conditions"]).map(objectOf);
  return conditions.some((condition) => condition["type"] === "Allocatable" && condition["status"] === "False");
}

/** What routing needs of a block. Null for one that is marked deleted; without a host's affinity it has no node. */
export function convertBlock(raw: unknown): Conversion<Block> {
  const out = new FindingCollector();
  if (metadataOf(raw) === null) return out.done<Block>(null);
  const spec = specOf(raw);
  if (spec["deleted"] === true) return out.done<Block>(null);
  const cidr = canonicalCidr(textOf(spec["cidr"]));
  if (cidr === null) {
    out.error("spec.cidr", `${show(spec["cidr"])} is not a CIDR`);
    return out.done<Block>(null);
  }
  const affinity = textOf(spec["affinity"]);
  const node = affinity.startsWith("host:") ? nodeNameIn(affinity.slice("host:".length)) : "";
  return out.done<Block>({ cidr, node: node === "" ? null : node, borrowed: borrowedIn(spec, cidr, node) });
}

/** The text, or "" when no node can be named that. */
const nodeNameIn = (text: string): string => (isNodeName(text) ? text : "");

/** What is allocated to pods and tunnels of other nodes than the block's own. */
function borrowedIn(spec: RawObject, cidr: Cidr, owner: string): Block["borrowed"] {
  const nodes = listOf(spec["attributes"]).map((attribute) => nodeNameIn(textOf(objectOf(objectOf(attribute)["secondary"])["node"])));
  const foreign = nodes.map((node) => (node === owner ? "" : node));
  if (foreign.every((node) => node === "")) return [];
  // What is listed behind the last address is nobody's.
  return listOf(spec["allocations"]).slice(0, addressCount(familyOf(cidr), prefixLengthOf(cidr))).flatMap((index, ordinal) => {
    const node = typeof index === "number" ? (foreign[index] ?? "") : "";
    return node === "" ? [] : [{ address: addressAt(cidr, ordinal), node }];
  });
}
