/** Watches the sessions: often while one is not up, seldom otherwise. */
import { delay, type Clock, type Logger } from "@calico/service-kit";
import { runControlCommand } from "./control/client.ts";
import { explainSession, parseProtocols, type ProtocolStatus } from "./control/protocols.ts";
import type { BgpPeer, Rendered } from "./render/render.ts";

export type Session = { readonly peer: BgpPeer; readonly status: ProtocolStatus; readonly explanation: string };

export interface Monitor {
  readonly sessions: readonly Session[];
  /** In words, that BIRD does not answer; null while it does. */
  readonly trouble: string | null;
  /** Looks at once: something changed. */
  poke(): void;
  run(signal: AbortSignal): Promise<void>;
}

export type MonitorOptions = {
  readonly controlSocket: string;
  readonly applied: () => Rendered | null;
  /** A BIRD that has not answered a question for this long is silent; 5 s when absent. */
  readonly answerTimeoutMs?: number;
  readonly onChange: (session: Session, before: string) => void;
  /** BIRD did not answer for `silentForMs`. */
  readonly onSilence: (silentForMs: number) => void;
  readonly clock: Clock;
  readonly log: Logger;
};

const ANSWER_TIMEOUT_MS = 5_000;
const SLOW_MS = 10_000;
const FAST_MS = 1_000;

export function createMonitor({ controlSocket, applied, answerTimeoutMs = ANSWER_TIMEOUT_MS, onChange, onSilence, clock, log }: MonitorOptions): Monitor {
  let sessions: readonly Session[] = [];
  let answeredAt = clock.monotonic();
  let isSilent = false;
  let interrupt = new AbortController();

  async function look(rendered: Rendered): Promise<void> {
    const statuses = new Map(parseProtocols(await runControlCommand(controlSocket, "show protocols all", answerTimeoutMs)).map((status) => [status.name, status]));
    answeredAt = clock.monotonic();
    if (isSilent) log.info("BIRD answers again");
    isSilent = false;
    const before = new Map(sessions.map(({ peer, status }) => [peer.protocol, status.bgpState]));
    sessions = rendered.peers.flatMap((peer) => {
      const status = statuses.get(peer.protocol);
      return status === undefined ? [] : [{ peer, status, explanation: explainSession(status) }];
    });
    for (const session of sessions) {
      const was = before.get(session.peer.protocol) ?? "";
      if (was === session.status.bgpState) continue;
      const fields = { peer: session.peer.address, node: session.peer.node, state: session.status.bgpState, ...(session.explanation === "" ? {} : { reason: session.explanation }) };
      if (session.status.bgpState === "Established") log.info("BGP peer established", fields);
      else if (was === "Established") log.warn("BGP peer lost", fields);
      onChange(session, was);
    }
  }

  return {
    get sessions() {
      return sessions;
    },
    get trouble() {
      return isSilent ? `BIRD has not answered for ${Math.round((clock.monotonic() - answeredAt) / 1_000)} s` : null;
    },
    poke: () => interrupt.abort(),
    async run(signal) {
      while (!signal.aborted) {
        // Made before the look, so that a poke during it is not lost.
        interrupt = new AbortController();
        const rendered = applied();
        let calm = false;
        if (rendered === null) answeredAt = clock.monotonic();
        else {
          try {
            await look(rendered);
            calm = sessions.length === rendered.peers.length && sessions.every(({ status }) => status.bgpState === "Established");
          } catch (error) {
            if (!isSilent) log.warn("BIRD does not answer", { error });
            isSilent = true;
            onSilence(clock.monotonic() - answeredAt);
          }
        }
        await delay(clock, calm ? SLOW_MS : FAST_MS, AbortSignal.any([signal, interrupt.signal]));
      }
    },
  };
}
