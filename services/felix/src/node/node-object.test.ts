import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Datastore } from "@calico/datastore";
import type { Cidr } from "@calico/model";
import { silentLogger, systemClock } from "@calico/service-kit";
import { expect, it } from "vitest";
import { createNodeConflicts, type NodeConflict } from "./node-conflicts.ts";
import { createNodeObject } from "./node-object.ts";

const settings = { ip: "192.0.2.3/24", ipAutodetectionMethod: "", ip6: "none", ip6AutodetectionMethod: "", ipAutodetectionInterval: 60_000 };

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
  const nodeObject = createNodeObject({ datastore: { patch } as unknown as Datastore, node: "a", libDir, settings, clock: systemClock, log: silentLogger, onAnnounced: (addresses) => conflicts.onAnnounced(addresses), isForgotten: () => conflicts.isForgotten });
  await nodeObject.run(running.signal);
  rmSync(libDir, { recursive: true });
  expect([...seen, conflicts.conflict]).toEqual([null, null]);
});

it("writes addresses and condition again to a Node that was made anew", async () => {
  const libDir = mkdtempSync(join(tmpdir(), "felix-node-"));
  const conflicts = createNodeConflicts("a");
  const running = new AbortController();
  const told = (ipv4: string | null): void => conflicts.onUpdate({ kind: "Node", value: { name: "a", ipv4: ipv4 as Cidr | null, ipv6: null, asNumber: null, routeReflectorClusterId: null, vxlan: null, labels: {} } });
  const writes: unknown[] = [];
  const patch = async (_type: unknown, _ref: unknown, body: { metadata: { annotations?: Record<string, unknown> }; status?: { conditions: { type: string; status: string }[] } }): Promise<object> => {
    const { annotations } = body.metadata;
    writes.push(annotations ?? body.status?.conditions.map(({ type, status }) => `${type}=${status}`));
    // The second condition ends the test, the first is followed by a new Node.
    if (annotations !== undefined) told("192.0.2.3/24");
    else if (writes.length > 3) running.abort();
    else {
      told(null);
      nodeObject.onForgotten();
    }
    return {};
  };
  const get = async (): Promise<object> => ({ metadata: {}, status: {} });
  const nodeObject = createNodeObject({ datastore: { patch, get } as unknown as Datastore, node: "a", libDir, settings, clock: systemClock, log: silentLogger, onAnnounced: (addresses) => conflicts.onAnnounced(addresses), isForgotten: () => conflicts.isForgotten });
  nodeObject.onReady();
  await nodeObject.run(running.signal);
  rmSync(libDir, { recursive: true });
  const addresses = { "projectcalico.org/IPv4Address": "192.0.2.3/24", "projectcalico.org/IPv6Address": null };
  expect(writes).toEqual([addresses, ["NetworkUnavailable=False"], addresses, ["NetworkUnavailable=False"]]);
});
