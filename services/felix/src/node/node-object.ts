/** What felix says about its node in the API: addresses, and that the network is there. */
import { join } from "node:path";
import { coreTypes, type Datastore, type KubeObject } from "@calico/datastore";
import { NODE_IPV4_ANNOTATION, NODE_IPV6_ANNOTATION, type Cidr, type Family } from "@calico/model";
import { createBackoff, delay, type Clock, type Logger } from "@calico/service-kit";
import { autodetect } from "./autodetect.ts";
import { replaceFile } from "./files.ts";
import { machineSurroundings } from "./surroundings.ts";

export type NodeObjectOptions = {
  readonly datastore: Datastore;
  readonly node: string;
  readonly libDir: string;
  readonly settings: { readonly ip: string; readonly ipAutodetectionMethod: string; readonly ip6: string; readonly ip6AutodetectionMethod: string; readonly ipAutodetectionInterval: number };
  readonly clock: Clock;
  readonly log: Logger;
  /** The Node object is about to have these addresses: typha may tell of the write before its answer comes, or instead of it. */
  readonly onAnnounced: (addresses: readonly (Cidr | null)[]) => void;
  /** The Node object does not say any more what was announced. */
  readonly isForgotten: () => boolean;
};

export interface NodeObject {
  /** In words what is missing; null: the node has its addresses in the API. */
  readonly trouble: string | null;
  /** The dataplane is in sync: NetworkUnavailable becomes False, once for each Node object. */
  onReady(): void;
  /** `isForgotten` became true: all is written again. */
  onForgotten(): void;
  run(signal: AbortSignal): Promise<void>;
}

export function createNodeObject({ datastore, node, libDir, settings, clock, log, onAnnounced, isForgotten }: NodeObjectOptions): NodeObject {
  let trouble: string | null = "the node's address was not looked for yet";
  let written = "";
  let isReady = false;
  let conditionDue = false;
  let wake: () => void = () => {};

  async function addressFor(family: Family): Promise<Cidr | null> {
    const given = family === 4 ? settings.ip : settings.ip6;
    if (given === "none" || given === "") return null;
    if (given !== "autodetect") return given as Cidr;
    return autodetect(family === 4 ? settings.ipAutodetectionMethod : settings.ip6AutodetectionMethod, family, machineSurroundings(datastore, node));
  }

  async function announce(): Promise<void> {
    const [ipv4, ipv6] = await Promise.all([addressFor(4), addressFor(6)]);
    if (ipv4 === null && ipv6 === null) throw new Error(`no address was found (IP=${settings.ip}, IP_AUTODETECTION_METHOD=${settings.ipAutodetectionMethod})`);
    replaceFile(join(libDir, "nodename"), node);
    const annotations = { [NODE_IPV4_ANNOTATION]: ipv4, [NODE_IPV6_ANNOTATION]: ipv6 };
    const text = JSON.stringify(annotations);
    const forgotten = isForgotten();
    if (text === written && !forgotten) return;
    if (forgotten) conditionDue = isReady;
    onAnnounced([ipv4, ipv6]);
    await datastore.patch(coreTypes.nodes, { name: node }, { metadata: { annotations } }, { type: "merge" });
    if (forgotten) log.warn("The Node had lost its address, it was written again", { ipv4, ipv6 });
    else if (written !== "") log.warn("The node's address changed", { ipv4, ipv6 });
    else log.info("The node's address", { ipv4, ipv6 });
    written = text;
  }

  /** kubelet and the scheduler read it; it goes to False once and is never taken back by a restart. */
  async function setCondition(): Promise<void> {
    type Condition = { type: string; status: string; reason?: string; message?: string; lastHeartbeatTime?: string; lastTransitionTime?: string };
    const found = await datastore.get<KubeObject & { status?: { conditions?: Condition[] } }>(coreTypes.nodes, { name: node });
    const conditions = found.status?.conditions ?? [];
    if (conditions.some(({ type, status, reason }) => type === "NetworkUnavailable" && status === "False" && reason === "CalicoIsUp")) return;
    const now = `${new Date(clock.now()).toISOString().slice(0, 19)}Z`;
    const condition: Condition = { type: "NetworkUnavailable", status: "False", reason: "CalicoIsUp", message: "Calico is running on this node", lastHeartbeatTime: now, lastTransitionTime: now };
    const next = [...conditions.filter(({ type }) => type !== "NetworkUnavailable"), condition];
    await datastore.patch(coreTypes.nodes, { name: node }, { metadata: { resourceVersion: found.metadata.resourceVersion }, status: { conditions: next } }, { type: "merge", subresource: "status" });
    log.info("The node's network is available");
  }

  return {
    get trouble() {
      return trouble;
    },
    onReady() {
      isReady = true;
      conditionDue = true;
      wake();
    },
    onForgotten: () => wake(),
    async run(signal) {
      const backoff = createBackoff({ firstMs: 200, maxMs: 15_000 });
      while (!signal.aborted) {
        let waitMs = settings.ipAutodetectionInterval;
        const interrupt = new AbortController();
        wake = () => interrupt.abort();
        try {
          await announce();
          trouble = null;
          if (conditionDue) {
            await setCondition();
            conditionDue = false;
          }
          backoff.reset();
        } catch (error) {
          trouble = error instanceof Error ? error.message : String(error);
          log.warn("The node could not be announced, trying again", { error });
          waitMs = backoff.next();
        }
        await delay(clock, waitMs, AbortSignal.any([signal, interrupt.signal]));
      }
    },
  };
}
