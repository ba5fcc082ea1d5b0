/** How long each service takes to be ready again after SIGKILL: from the signal until its readiness says yes, with the process started again at once. */
import { PORTS } from "../lab/components.ts";
import type { Lab } from "../lab/lab.ts";
import { untilTrue } from "../lab/wait.ts";
import type { Report } from "./report.ts";

const TURNS = 3;

export async function benchRestart(lab: Lab, report: Report): Promise<void> {
  for (const [component, { health }] of Object.entries(PORTS)) {
    const found = lab.supervisor.states().find(({ id }) => id.startsWith(`${component}@`));
    const node = lab.plan.nodes.find(({ name }) => name === found?.id.split("@")[1]);
    if (found === undefined || node === undefined) continue;
    const url = `http://${node.address}:${health}/readiness`;
    const isReady = (): Promise<boolean> => fetch(url, { signal: AbortSignal.timeout(500) }).then(({ status }) => status === 200, () => false);
    const times: number[] = [];
    for (let turn = 0; turn < TURNS; turn += 1) {
      await untilTrue(`${found.id} to be ready`, isReady, 60_000);
      // Ended by the signal, then started: the supervisor's own delay between restarts is not the service's.
      const began = performance.now();
      const ended = lab.supervisor.stop(found.id);
      lab.supervisor.kill(found.id, "SIGKILL");
      await ended;
      lab.supervisor.resume(found.id);
      await untilTrue(`${found.id} to be ready again`, isReady, 60_000);
      times.push(performance.now() - began);
    }
    report.add(`${component} ready again after SIGKILL`, `best of ${TURNS}`, Math.min(...times), "ms");
    report.add(`${component} ready again after SIGKILL`, `worst of ${TURNS}`, Math.max(...times), "ms");
  }
}
