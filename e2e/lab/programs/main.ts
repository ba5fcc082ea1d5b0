/**
 * `npm run kubernetes`: builds what a real cluster in the lab needs, unless it is there: Kubernetes' programs, helm and
 * CoreDNS; with --tests also Kubernetes' own end-to-end tests, with --images the images of the cluster and of this checkout.
 * Ends with 1 and one line that says what is missing.
 */
import { calicoImages } from "../cluster/calico-images.ts";
import { labImage } from "../cluster/lab-images.ts";
import { goTool } from "./go.ts";
import { clusterPrograms, testPrograms } from "./kubernetes.ts";

const say = (line: string): void => void process.stdout.write(`${line}\n`);
try {
  const programs = await clusterPrograms(say);
  const tools = [await goTool("helm", say), await goTool("coredns", say)];
  const tests = process.argv.includes("--tests") ? Object.values(await testPrograms(say)) : [];
  const images = process.argv.includes("--images") ? [await calicoImages(say), ...(await Promise.all((["pause", "server", "coredns", "agnhost", "dnsTesting", "busybox", "pauseForTests"] as const).map(labImage)))] : [];
  say([...Object.values(programs), ...tools, ...tests, ...images].join("\n"));
} catch (error) {
  process.stderr.write(`kubernetes: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
