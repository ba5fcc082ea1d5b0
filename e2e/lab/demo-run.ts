/** Runs the demo and tells its story. */
import type { KubeObject } from "@calico/datastore";
import { allowPolicies, defaultDeny, DEMO_PORT } from "./demo.ts";
import { renderMatrix, type MatrixCell } from "./matrix.ts";
import { untilTrue } from "./wait.ts";

/** A cluster as the demo sees it. */
export interface DemoStage {
  readonly namespaces: readonly object[];
  readonly pods: readonly object[];
  apply(objects: readonly object[]): Promise<void>;
  untilRunning(keys: readonly string[]): Promise<void>;
  podTable(): string;
  /** Lines of the BGP daemon of one node. */
  bgp(): Promise<string>;
  matrix(port: number): Promise<{ names: string[]; cells: MatrixCell[] }>;
  /** Creates a policy; what is known of how long that took, in words. */
  create(policy: object): Promise<string>;
  close(): void;
}

const keyOf = (object: object): string => {
  const { metadata } = object as KubeObject;
  return `${metadata.namespace}/${metadata.name}`;
};

/** Who reaches whom under the allow policies: everybody the pods of monitoring, and what is allowed in the shop. */
const ALLOWED_INTO_SHOP = new Set(["shop/frontend>shop/backend", "monitoring/scraper>shop/frontend", "monitoring/scraper>shop/backend", "monitoring/scraper>shop/database"]);

export async function runDemo(stage: DemoStage, say: (text: string) => void): Promise<void> {
  try {
    await stage.apply([...stage.namespaces, ...stage.pods]);
    await stage.untilRunning(stage.pods.map(keyOf));
    say(`\nPods\n${stage.podTable()}`);
    let bgp = "";
    await untilTrue("BGP to be established", async () => !/\b(start|down|Passive|Connect|Active|OpenSent|OpenConfirm)\b/.test((bgp = await stage.bgp())), 30_000);
    say(`\nBGP (birdc on one node)\n${bgp}`);
    await untilMatrix(stage, () => true);
    say(`\nWho reaches whom on port ${DEMO_PORT}, without a policy\n${await matrixText(stage)}`);
    const denied = await stage.create(defaultDeny);
    await untilMatrix(stage, (_from, to) => !to.startsWith("shop/"));
    say(`\nAfter "default-deny" in shop\n${await matrixText(stage)}\n${denied}`);
    const allowed: string[] = [];
    for (const policy of allowPolicies) allowed.push(await stage.create(policy));
    await untilMatrix(stage, (from, to) => !to.startsWith("shop/") || ALLOWED_INTO_SHOP.has(`${from}>${to}`));
    say(`\nAfter "backend-from-frontend" and "all-from-scraper"\n${await matrixText(stage)}\n${allowed.join("\n")}`);
  } finally {
    stage.close();
  }
}

async function untilMatrix(stage: DemoStage, expected: (from: string, to: string) => boolean): Promise<void> {
  await untilTrue("the pods to reach each other as the policies say", async () => {
    const { cells } = await stage.matrix(DEMO_PORT);
    return cells.every((cell) => cell.reached === expected(cell.from, cell.to));
  }, 30_000);
}

async function matrixText(stage: DemoStage): Promise<string> {
  const { names, cells } = await stage.matrix(DEMO_PORT);
  return renderMatrix(names, cells);
}

/** What "show protocols" of birdc says about peers. */
export const bgpLines = (text: string): string => text.split("\n").filter((line) => /^(Name|Mesh|Node|Global)/i.test(line)).map((line) => `  ${line}`).join("\n");
