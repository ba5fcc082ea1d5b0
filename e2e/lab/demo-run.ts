/** Runs the demo in a lab and tells its story. */
import { coreTypes, type KubeObject } from "@calico/datastore";
import { spawnSync } from "node:child_process";
import { allowPolicies, defaultDeny, demoNamespaces, demoPods, DEMO_PORT } from "./demo.ts";
import type { Lab } from "./lab.ts";
import { watchGenerations, type ChangeTiming } from "./latency.ts";
import { renderMatrix } from "./matrix.ts";
import { untilTrue } from "./wait.ts";

const keyOf = (object: object): string => {
  const { metadata } = object as KubeObject;
  return `${metadata.namespace}/${metadata.name}`;
};

/** Who reaches whom under the allow policies: everybody the pods of monitoring, and what is allowed in the shop. */
const ALLOWED_INTO_SHOP = new Set(["shop/frontend>shop/backend", "monitoring/scraper>shop/frontend", "monitoring/scraper>shop/backend", "monitoring/scraper>shop/database"]);

export async function runDemo(lab: Lab, say: (text: string) => void): Promise<void> {
  await lab.apply([...demoNamespaces, ...demoPods]);
  await lab.untilRunning(demoPods.map(keyOf));
  say(`\nPods\n${podTable(lab)}`);
  await untilTrue("BGP to be established on node-1", async () => !/\b(start|down|Passive|Connect|Active|OpenSent|OpenConfirm)\b/.test(bgpState(lab)), 30_000);
  say(`\nBGP (birdc on node-1)\n${bgpState(lab)}`);
  await untilMatrix(lab, () => true);
  say(`\nWho reaches whom on port ${DEMO_PORT}, without a policy\n${await matrixText(lab)}`);

  const watch = watchGenerations(lab.hosts);
  try {
    const denyTiming = await timePolicy(lab, watch, defaultDeny);
    await untilMatrix(lab, (_from, to) => !to.startsWith("shop/"));
    say(`\nAfter "default-deny" in shop\n${await matrixText(lab)}\n${timingText(denyTiming)}`);
    const timings: ChangeTiming[] = [];
    for (const policy of allowPolicies) timings.push(await timePolicy(lab, watch, policy));
    await untilMatrix(lab, (from, to) => !to.startsWith("shop/") || ALLOWED_INTO_SHOP.has(`${from}>${to}`));
    say(`\nAfter "backend-from-frontend" and "all-from-scraper"\n${await matrixText(lab)}\n${timings.map(timingText).join("\n")}`);
  } finally {
    watch.close();
  }
}

/** Creates a policy and times it on the nodes that run a pod it selects. */
function timePolicy(lab: Lab, watch: ReturnType<typeof watchGenerations>, policy: object): Promise<ChangeTiming> {
  const selected = (policy as { spec: { podSelector: { matchLabels?: { app?: string } } } }).spec.podSelector.matchLabels?.app;
  const nodes = [...lab.pods().values()].filter(({ view }) => view.namespace === "shop" && (selected === undefined || view.name === selected)).map(({ host }) => host.plan.name);
  return watch.timeChange(() => lab.datastore.create(coreTypes.networkPolicies, policy as KubeObject), [...new Set(nodes)], 5_000);
}

async function untilMatrix(lab: Lab, expected: (from: string, to: string) => boolean): Promise<void> {
  await untilTrue("the pods to reach each other as the policies say", async () => {
    const { cells } = await lab.matrix(DEMO_PORT, 300);
    return cells.every((cell) => cell.reached === expected(cell.from, cell.to));
  }, 30_000);
}

async function matrixText(lab: Lab): Promise<string> {
  const { names, cells } = await lab.matrix(DEMO_PORT, 300);
  return renderMatrix(names, cells);
}

function timingText({ apiMs, kernelMs }: ChangeTiming): string {
  const nodes = Object.entries(kernelMs).map(([node, ms]) => `${node} ${ms === null ? "nothing to change" : `${ms.toFixed(1)} ms`}`);
  return `API write to kernel: ${nodes.join(", ")} (the API's own part ${apiMs.toFixed(1)} ms)`;
}

export function podTable(lab: Lab): string {
  return [...lab.pods().values()].map(({ view, host, addresses }) => `  ${view.key.padEnd(24)} ${addresses.join(",").padEnd(16)} ${host.plan.name}`).sort().join("\n");
}

/** The daemon's own words. */
export function bgpState(lab: Lab): string {
  const [program = "", ...args] = lab.execCommand("node/node-1", ["birdc", "-s", "/run/calico/bird.ctl", "show", "protocols"]);
  const { stdout, stderr } = spawnSync(program, args, { encoding: "utf8", timeout: 5_000 });
  return (stdout || stderr).split("\n").filter((line) => /^(Name|Mesh|Node|Global)/i.test(line)).map((line) => `  ${line}`).join("\n");
}
