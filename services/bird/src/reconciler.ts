/** Keeps BIRD's configuration what the cluster says: at once when idle, coalesced while a change is under way. */
import { delay, type Clock, type Logger } from "@calico/service-kit";
import { ConfigRefused, reconfigure, writeConfig } from "./control/configurator.ts";
import type { BirdProcess } from "./control/process.ts";
import { renderBird, type Rendered } from "./render/render.ts";
import type { ClusterView } from "./render/view.ts";

export interface Reconciler {
  /** The view changed. */
  trigger(): void;
  /** BIRD went away and must be brought back. */
  restart(): void;
  /** What is in effect; null before the first time. */
  readonly applied: Rendered | null;
  /** BIRD's words about the last configuration that it refused; "" when the last one was taken. */
  readonly refused: string;
  /** In words, why nothing is in effect yet; null otherwise. */
  readonly waitingFor: string | null;
  run(signal: AbortSignal): Promise<void>;
}

export type ReconcilerOptions = {
  /** The cluster, or in words what is not known of it yet. */
  readonly view: () => ClusterView | { readonly waitingFor: string };
  readonly process: BirdProcess;
  readonly files: { readonly birdPath: string; readonly configFile: string; readonly controlSocket: string };
  /** unchanged: only what is left out, or the reason for it, is another. */
  readonly onApplied: (rendered: Rendered, result: "applied" | "refused" | "unchanged") => void;
  readonly clock: Clock;
  readonly log: Logger;
};

export function createReconciler({ view, process, files, onApplied, clock, log }: ReconcilerOptions): Reconciler {
  let applied: Rendered | null = null;
  let refused = "";
  let refusedText = "";
  let waitingFor: string | null = "the sync stream";
  let wake: (() => void) | null = null;
  let triggered = false;
  let running = false;

  function trigger(): void {
    triggered = true;
    wake?.();
  }

  async function step(signal: AbortSignal): Promise<void> {
    const current = view();
    const rendered = "waitingFor" in current ? null : renderBird(current);
    if (rendered === null) {
      waitingFor = "waitingFor" in current ? current.waitingFor : `node ${current.node} has no address yet`;
      return;
    }
    if (rendered.text === applied?.text) waitingFor = null;
    // After a refusal also the text in effect is written again: the file may have the one that the running BIRD refused.
    if (rendered.text !== refusedText && (rendered.text !== applied?.text || refusedText !== "")) {
      try {
        await writeConfig(rendered.text, files);
        if (running) await reconfigure(files.controlSocket);
        applied = rendered;
        refused = "";
        refusedText = "";
        waitingFor = null;
        onApplied(rendered, "applied");
      } catch (error) {
        if (!(error instanceof ConfigRefused)) throw error;
        refused = error.message;
        refusedText = rendered.text;
        onApplied(rendered, "refused");
        log.error("BIRD refuses the configuration, the old one stays", { reason: refused });
      }
    } else if (rendered.text === applied?.text && JSON.stringify(rendered.refused) !== JSON.stringify(applied.refused)) {
      applied = rendered;
      onApplied(rendered, "unchanged");
    }
    if (!running && applied !== null) {
      await process.ensure(signal);
      // A BIRD that was found running may have an older file in effect.
      await reconfigure(files.controlSocket);
      running = true;
    }
  }

  return {
    trigger,
    restart() {
      running = false;
      trigger();
    },
    get applied() {
      return applied;
    },
    get refused() {
      return refused;
    },
    get waitingFor() {
      return waitingFor;
    },
    async run(signal) {
      signal.addEventListener("abort", () => wake?.(), { once: true });
      while (!signal.aborted) {
        if (!triggered) await new Promise<void>((resolve) => (wake = resolve));
        triggered = false;
        if (signal.aborted) return;
        try {
          await step(signal);
        } catch (error) {
          log.error("The configuration could not be put into effect, trying again", { error });
          await delay(clock, 1_000, signal);
          triggered = true;
        }
      }
    },
  };
}
