/**
 * `npm run kubernetes`: builds what a real cluster in the lab needs, unless it is there: Kubernetes' programs, helm and
 * CoreDNS; with --tests also Kubernetes' own end-to-end tests. Ends with 1 and one line that says what is missing.
 */
import { goTool } from "./go.ts";
import { clusterPrograms, testPrograms } from "./kubernetes.ts";

const say = (line: string): void => void process.stdout.write(`${line}\n`);
try {
  const programs = await clusterPrograms(say);
  const tools = [await goTool("helm", say), await goTool("coredns", say)];
  const tests = process.argv.includes("--tests") ? Object.values(await testPrograms(say)) : [];
  say([...Object.values(programs), ...tools, ...tests].join("\n"));
} catch (error) {
  process.stderr.write(`kubernetes: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
