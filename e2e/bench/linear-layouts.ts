/** Policies as Calico lays them out: a chain for each, and in the pod's chain for each a jump and a look at the mark. What felix is compared with. */
import type { PodInterface } from "../rig/node-network.ts";

export const LINEAR_PORT = 5_000;

type Server = { readonly policies: number; readonly pod: PodInterface };

/** Sources of a rule: a hundred sets of ten addresses; the last policy lets the client in. */
const setOf = (i: number): string[] => Array.from({ length: 10 }, (_, n) => `10.128.${(i % 100) + 1}.${n + 1}`);
const portOf = (i: number): number => 10_000 + (i % 50_000);

/** For `nft -f -`. */
export function linearNft(servers: readonly Server[], client: string): string {
  const lines = ["table inet linear {"];
  for (let i = 0; i < 100; i += 1) lines.push(`set s${i} { type ipv4_addr; elements = { ${setOf(i).join(", ")} } }`);
  lines.push(`set client { type ipv4_addr; elements = { ${client} } }`);
  for (const { policies, pod } of servers) {
    const chain = `to-${pod.interfaceName}`;
    for (let i = 0; i < policies; i += 1) {
      const isLast = i === policies - 1;
      lines.push(`chain ${chain}-p${i} { ip saddr @${isLast ? "client" : `s${i % 100}`} tcp dport ${isLast ? LINEAR_PORT : portOf(i)} counter meta mark set mark or 0x10000\n}`);
    }
    lines.push(`chain ${chain} {`, "ct state established,related counter accept", "ct state invalid counter drop");
    if (policies > 0) lines.push("meta mark set mark and 0xfffcffff");
    for (let i = 0; i < policies; i += 1) lines.push(`jump ${chain}-p${i}`, "meta mark and 0x10000 == 0x10000 counter return");
    lines.push(policies > 0 ? "counter drop" : "counter return", "}");
  }
  lines.push(`map to-workload { type ifname : verdict; elements = { ${servers.map(({ pod }) => `"${pod.interfaceName}" : goto to-${pod.interfaceName}`).join(", ")} } }`);
  return [...lines, "chain forward { type filter hook forward priority 0; policy accept; oifname vmap @to-workload; }", "}", ""].join("\n");
}

/** For `iptables-restore`. A set of addresses is one match there, too; without ipset, of a range that holds them. */
export function linearIptables(servers: readonly Server[], client: string): string {
  const chains: string[] = [];
  const rules: string[] = [];
  for (const { policies, pod } of servers) {
    const chain = `to-${pod.interfaceName}`;
    chains.push(`:${chain} - [0:0]`);
    rules.push(`-A FORWARD -o ${pod.interfaceName} -g ${chain}`, `-A ${chain} -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT`, `-A ${chain} -m conntrack --ctstate INVALID -j DROP`);
    if (policies > 0) rules.push(`-A ${chain} -j MARK --set-xmark 0x0/0x30000`);
    for (let i = 0; i < policies; i += 1) {
      const isLast = i === policies - 1;
      chains.push(`:${chain}-p${i} - [0:0]`);
      rules.push(`-A ${chain}-p${i} -s ${isLast ? `${client}/32` : `10.128.${(i % 100) + 1}.0/28`} -p tcp -m tcp --dport ${isLast ? LINEAR_PORT : portOf(i)} -j MARK --set-xmark 0x10000/0x10000`);
      rules.push(`-A ${chain} -j ${chain}-p${i}`, `-A ${chain} -m mark --mark 0x10000/0x10000 -j RETURN`);
    }
    rules.push(`-A ${chain} -j ${policies > 0 ? "DROP" : "RETURN"}`);
  }
  return ["*filter", ":FORWARD ACCEPT [0:0]", ...chains, ...rules, "COMMIT", ""].join("\n");
}
