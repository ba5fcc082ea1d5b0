/**
 * The API server asks pods and Services' pods through its proxy, and stands outside of the nodes: the fabric learns which node
 * has which block, for what comes from the control plane alone. Nodes still need their own routes.
 */
import { spawnSync } from "node:child_process";
import { calicoTypes, createInformer, type Datastore, type KubeObject } from "@calico/datastore";
import type { LabPlan } from "../topology.ts";

const TABLE = "100";

type Block = { readonly cidr: string; readonly node: string | null };

/** Follows the blocks until it is stopped. `podCidr` is IPv4. */
export function followBlocks(plan: LabPlan, datastore: Datastore, podCidr: string): { stop(): void } {
  const addresses = new Map(plan.nodes.map(({ name, address }) => [name, address]));
  const routed = new Map<string, string>();
  const ip = (...args: string[]): void => void spawnSync("ip", ["-n", plan.fabricNamespace, ...args], { stdio: "ignore" });
  const forget = (name: string): void => {
    const cidr = routed.get(name);
    if (cidr !== undefined) ip("route", "del", cidr, "table", TABLE);
    routed.delete(name);
  };
  ip("rule", "add", "iif", "control", "lookup", TABLE);
  spawnSync("ip", ["route", "replace", podCidr, "via", plan.controlGateway], { stdio: "ignore" });
  const informer = createInformer({
    datastore,
    type: calicoTypes.ipamBlocks,
    transform: blockOf,
    handler: {
      onUpsert: (key, { cidr, node }) => {
        forget(nameOf(key));
        const address = addresses.get(node ?? "");
        if (address === undefined || cidr.includes(":")) return;
        routed.set(nameOf(key), cidr);
        ip("route", "replace", cidr, "via", address, "table", TABLE);
      },
      onDelete: (key) => forget(nameOf(key)),
      onSynced: () => undefined,
    },
  });
  informer.start();
  return {
    stop() {
      informer.stop();
      spawnSync("ip", ["route", "del", podCidr, "via", plan.controlGateway], { stdio: "ignore" });
    },
  };
}

const nameOf = (key: string | { readonly name: string }): string => (typeof key === "string" ? key : key.name);

function blockOf(raw: unknown): Block {
  const { spec } = raw as KubeObject & { spec?: { cidr?: string; affinity?: string | null } };
  return { cidr: spec?.cidr ?? "", node: spec?.affinity?.replace(/^host:/, "") ?? null };
}
