/** `npm run kubernetes`: builds Kubernetes' own programs for the lab, unless they are there. Ends with 1 and one line that says what is missing. */
import { kubernetesBinaries } from "./kubernetes-binaries.ts";

try {
  const { apiserver } = await kubernetesBinaries((line) => void process.stdout.write(`${line}\n`));
  process.stdout.write(`${apiserver}\n`);
} catch (error) {
  process.stderr.write(`kubernetes: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
