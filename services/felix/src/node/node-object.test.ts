import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Datastore } from "@calico/datastore";
import type { Cidr } from "@calico/model";
import { silentLogger, systemClock } from "@calico/service-kit";
import { expect, it } from "vitest";
import { createNodeConflicts, type NodeConflict } from "./node-conflicts.ts";
import { createNodeObject } from "./node-object.ts";

it("takes the own new address for nobody else's, however late the answer to the write comes", async () => {
  const libDir = mkdtempSync(join(tmpdir(), "felix-node-"));
  const conflicts = createNodeConflicts("a");
  const told = (ipv4: string): void => conflicts.onUpdate({ kind: "Node", value: { name: "a", ipv4: ipv4 as Cidr, ipv6: null, asNumber: null, routeReflectorClusterId: null, vxlan: null, labels: {} } });
  conflicts.onAnnounced(["192.0.2.1/24" as Cidr]);
  told("192.0.2.1/24");
  const running = new AbortController();
  const seen: (NodeConflict | null)[] = [];
  const patch = async (): Promise<never> => {
    // Typha tells of the write before its answer is here, which is lost.
    told("192.0.2.3/24");
    seen.push(conflicts.conflict);
    running.abort();
    throw new Error("the answer is lost");
  };
  const settings = { ip: "192.0.2.3/24", ipAutodetectionMethod: "", ip6: "none", ip6AutodetectionMethod: "", ipAutodetectionInterval: 60_000 };
  const nodeObject = createNodeObject({ datastore: { patch } as unknown as Datastore, node: "a", libDir, settings, clock: systemClock, log: silentLogger, onAnnounced: (addresses) => conflicts.onAnnounced(addresses) });
  await nodeObject.run(running.signal);
  rmSync(libDir, { recursive: true });
  expect([...seen, conflicts.conflict]).toEqual([null, null]);
});
