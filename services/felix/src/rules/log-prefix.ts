/** What the kernel writes in front of a packet that a Log rule matches. */

/** Whose rule it is. */
export type RuleOwner = {
  /** "" of a profile. */
  readonly tier: string;
  readonly kind: "NetworkPolicy" | "GlobalNetworkPolicy" | "KubernetesNetworkPolicy" | "KubernetesClusterNetworkPolicy" | "Profile";
  readonly namespace: string;
  readonly name: string;
};

const SHORT_NAMES: Readonly<Record<RuleOwner["kind"], string>> = { NetworkPolicy: "np", GlobalNetworkPolicy: "gnp", KubernetesNetworkPolicy: "knp", KubernetesClusterNetworkPolicy: "kcnp", Profile: "pro" };
/** The kernel refuses a rule whose prefix has more than 127 bytes (NF_LOG_PREFIXLEN), the colon and the blank included. */
const LONGEST = 125;

export const ownerName = ({ namespace, name }: RuleOwner): string => (namespace === "" ? name : `${namespace}/${name}`);

/** Calico's `logPrefix`: %t stands for the tier, %k for the kind's short name, %n for the name, %p for namespace/name. In ASCII, cut to what the kernel takes. */
export function logPrefix(template: string, owner: RuleOwner): string {
  const values: Readonly<Record<string, string>> = { t: owner.tier, k: SHORT_NAMES[owner.kind], n: owner.name, p: ownerName(owner) };
  return `${template.replaceAll(/%([tknp])/g, (_, key: string) => values[key] ?? "").replaceAll(/[^\x20-\x7e]/g, "?").slice(0, LONGEST)}: `;
}

export type LogLimit = { readonly rate: number; readonly unitSeconds: number };

const UNITS: Readonly<Record<string, number>> = { second: 1, minute: 60, hour: 3_600, day: 86_400 };

/** Calico's `logActionRateLimit`, "10/minute"; null: no limit, or none that can be read. */
export function logLimit(text: string): LogLimit | null {
  const [, rate = "", unit = ""] = /^([1-9]\d{0,4})\/(second|minute|hour|day)$/.exec(text) ?? [];
  const unitSeconds = UNITS[unit];
  return unitSeconds === undefined ? null : { rate: Number(rate), unitSeconds };
}
