/**
 * Chains of others that drop what they do not accept. A packet must be accepted by every table that it meets, so one of
 * them ends pods' traffic whatever our policy says; all that can be done is to say so.
 */
import { openNftables, openSys, type HookedChain, type Nftables } from "@calico/kernel";
import type { Logger } from "@calico/service-kit";
import { TABLE } from "../rules/constants.ts";

export interface ForeignChains extends Disposable {
  /** In words, by table and chain. The kernel is asked only when somebody else changed its tables since; while it does not answer it is what was seen last. */
  dropping(): readonly string[];
}

/** Hooks on the way of what is forwarded between pods. */
const ON_THE_WAY: ReadonlySet<HookedChain["hook"]> = new Set(["prerouting", "forward", "postrouting"]);

export function createForeignChains(log: Pick<Logger, "info" | "warn">, nft: Pick<Nftables, "listBaseChains" | "subscribe" | "close"> = openNftables(openSys())): ForeignChains {
  let stale = true;
  let isSilent = false;
  let found: readonly string[] = [];
  const subscription = nft.subscribe({
    onGeneration({ processId }) {
      if (processId !== process.pid) stale = true;
    },
    onOverflow() {
      stale = true;
    },
  });

  function look(): readonly string[] {
    return nft.listBaseChains()
      .filter(({ family, table, hook, policy }) => policy === "drop" && ON_THE_WAY.has(hook) && !(family === "inet" && table === TABLE))
      .map(({ family, table, chain, hook }) => `chain ${chain} of table ${family} ${table} drops at ${hook} what it does not accept`).sort();
  }

  return {
    dropping() {
      if (!stale) return found;
      stale = false;
      const before = found;
      try {
        found = look();
        isSilent = false;
      } catch (error) {
        stale = true;
        if (!isSilent) log.warn("The chains of other tables could not be listed, trying again", { error });
        isSilent = true;
      }
      for (const chain of found) if (!before.includes(chain)) log.warn("Traffic of pods may end in a table that is not ours", { reason: chain });
      for (const chain of before) if (!found.includes(chain)) log.info("A table that is not ours drops no more", { was: chain });
      return found;
    },
    [Symbol.dispose]() {
      subscription[Symbol.dispose]();
      nft.close();
    },
  };
}
