import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startLab } from "../lab/lab.ts";
import { attach, createPod } from "./sandboxes.ts";
const lab = await startLab({ name: "adhoc", octet: 28, dir: mkdtempSync(join(tmpdir(), "bench-")), nodes: 3 });
try {
  const [host] = lab.hosts;
  const times: number[] = [];
  const wait = Number(process.argv[2] ?? 0);
  for (let i = 0; i < 200; i += 1) {
    const s = await createPod(lab, host!, `add-${i}`);
    if (wait) await new Promise((r) => setTimeout(r, wait));
    times.push((await attach(host!, s)).milliseconds);
  }
  for (let i = 0; i < 200; i += 25) console.log(i, times.slice(i, i + 25).toSorted((a, b) => a - b)[12]?.toFixed(1));
  const text = await (await fetch(`http://${host!.plan.address}:9096/metrics`)).text();
  console.log(text.split("\n").filter((l) => /stage.*_(sum|count)/.test(l)).join("\n"));
  const t2 = await (await fetch(`http://${host!.plan.address}:9091/metrics`)).text();
  console.log(t2.split("\n").filter((l) => /felix/.test(l) && !/^#/.test(l) && !/bucket/.test(l)).join("\n"));
  console.log("logs", lab.paths.logs);
} finally { await lab.stop(); process.exit(0); }
