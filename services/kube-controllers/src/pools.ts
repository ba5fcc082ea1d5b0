/** Pools as the chart lists them, in the words of Calico's Installation. Pure. */
import { canonicalCidr, familyOf } from "@calico/model";
import { ConfigError } from "@calico/service-kit";

/** Encapsulations of this version, and the modes of a pool that each stands for. */
const ENCAPSULATIONS = {
  None: { ipipMode: "Never", vxlanMode: "Never" },
  VXLAN: { ipipMode: "Never", vxlanMode: "Always" },
  VXLANCrossSubnet: { ipipMode: "Never", vxlanMode: "CrossSubnet" },
} as const;
const FIELDS = new Set(["name", "cidr", "blockSize", "encapsulation", "natOutgoing", "nodeSelector", "disableBGPExport", "allowedUses", "assignmentMode"]);

export type PoolSpec = Readonly<Record<string, unknown>> & { readonly cidr: string };
export type WantedPool = { readonly name: string; readonly spec: PoolSpec };

/** The pools of a JSON list, with Calico's names and defaults; none for "". Throws a ConfigError that names pool and field. */
export function parsePools(text: string): WantedPool[] {
  if (text.trim() === "") return [];
  let list: unknown;
  try {
    list = JSON.parse(text);
  } catch (error) {
    throw new ConfigError("CALICO_IPPOOLS is no JSON", { cause: error });
  }
  if (!Array.isArray(list)) throw new ConfigError("CALICO_IPPOOLS is no list of pools");
  const taken = new Set<string>();
  return list.map((raw: unknown, index) => {
    const pool = parsePool(raw, `CALICO_IPPOOLS[${index}]`);
    const ofFamily = `default-ipv${familyOf(pool.spec.cidr)}-ippool`;
    const name = pool.name !== "" ? pool.name : taken.has(ofFamily) ? pool.spec.cidr.replaceAll(/[.:/]+/g, "-") : ofFamily;
    if (taken.has(name)) throw new ConfigError(`CALICO_IPPOOLS[${index}]: there are two pools ${name}; give one of them another name`);
    taken.add(name);
    return { name, spec: pool.spec };
  });
}

function parsePool(raw: unknown, at: string): WantedPool {
  if (typeof raw !== "object" || raw === null) throw new ConfigError(`${at} is no pool`);
  const pool = raw as Readonly<Record<string, unknown>>;
  const unknown = Object.keys(pool).find((field) => !FIELDS.has(field));
  if (unknown !== undefined) throw new ConfigError(`${at}.${unknown}: a pool has no such field; there are ${[...FIELDS].join(", ")}`);
  const cidr = typeof pool["cidr"] === "string" ? canonicalCidr(pool["cidr"]) : null;
  if (cidr === null) throw new ConfigError(`${at}.cidr: ${JSON.stringify(pool["cidr"])} is no CIDR`);
  const encapsulation = pool["encapsulation"] ?? "None";
  if (typeof encapsulation !== "string" || !isEncapsulation(encapsulation)) throw new ConfigError(`${at}.encapsulation: ${JSON.stringify(encapsulation)} is not part of this version; there are ${Object.keys(ENCAPSULATIONS).join(", ")}`);
  const isV4 = familyOf(cidr) === 4;
  const disableBgpExport = isOn(pool["disableBGPExport"], false);
  return {
    name: typeof pool["name"] === "string" ? pool["name"] : "",
    spec: {
      cidr,
      blockSize: pool["blockSize"] ?? (isV4 ? 26 : 122),
      ...ENCAPSULATIONS[encapsulation],
      natOutgoing: isOn(pool["natOutgoing"], isV4),
      nodeSelector: pool["nodeSelector"] ?? "all()",
      ...(disableBgpExport ? { disableBGPExport: true } : {}),
      allowedUses: pool["allowedUses"] ?? ["Workload", "Tunnel"],
      assignmentMode: pool["assignmentMode"] ?? "Automatic",
    },
  };
}

const isEncapsulation = (text: string): text is keyof typeof ENCAPSULATIONS => Object.hasOwn(ENCAPSULATIONS, text);

/** The Installation says Enabled and Disabled, a pool true and false. */
function isOn(value: unknown, fallback: boolean): boolean {
  return value === undefined ? fallback : value === true || value === "Enabled";
}

/** Fields in which a pool that is there is not what was asked for. */
export function differences(wanted: PoolSpec, present: Readonly<Record<string, unknown>>): { readonly field: string; readonly configured: unknown; readonly present: unknown }[] {
  return Object.entries(wanted).flatMap(([field, value]) => (present[field] === undefined || JSON.stringify(present[field]) === JSON.stringify(value) ? [] : [{ field, configured: value, present: present[field] }]));
}
