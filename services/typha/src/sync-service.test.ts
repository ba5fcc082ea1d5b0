import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ALL_NODES, type NodeUpdate } from "@calico/calc";
import { createSyncClient, sync, type SyncClient, type SyncStep } from "@calico/proto";
import { createLogger, createFakeClock, createMetrics, silentLogger, startGrpcServer, systemClock, type GrpcServer } from "@calico/service-kit";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { createHub, type Hub } from "./hub.ts";
import type { IdentityCheck } from "./identity.ts";
import { createNodeConfigStore } from "./node-config.ts";
import { createSyncService, type SyncService, type SyncServiceOptions } from "./sync-service.ts";
import { createFakeHalf, ipSet, tier, type FakeHalf } from "./testing.ts";

const log = createLogger("typha", "Fatal", { write: () => {} });
let dir: string;
let hub: Hub;
let half: FakeHalf;
let service: SyncService;
let server: GrpcServer;
let address: string;
let clients: SyncClient[];

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "sync-"));
  writeFileSync(join(dir, "token"), "token-of-n1\n");
  clients = [];
  hub = createHub({ clock: systemClock, config: createNodeConfigStore(), labelsOf: () => ({}), retentionMs: 60_000, maxTombstones: 100, log });
  half = createFakeHalf(hub);
  hub.attach(half);
});
afterEach(async () => {
  for (const client of clients) await client.stop();
  service.closeAll();
  await server.close();
  rmSync(dir, { recursive: true });
});

async function serve(over: Partial<SyncServiceOptions> = {}): Promise<void> {
  service = createSyncService({ hub, epoch: "e1", ready: Promise.resolve(), revisions: () => ({ pods: "100" }), identity: null, clientCn: "", maxConnections: 10, clock: systemClock, log, metrics: createMetrics("typha"), ...over });
  server = await startGrpcServer({ host: "127.0.0.1", port: 0, portParameter: "TYPHA_SERVERPORT", tls: "insecure" }, [service.service]);
  address = `127.0.0.1:${server.port}`;
}

const peer = (name: string, asNumber: number): NodeUpdate => ({ kind: "Node", value: { name, ipv4: null, ipv6: null, asNumber, routeReflectorClusterId: null, vxlan: null, labels: {} } });

type Connected = { readonly steps: SyncStep[]; readonly told: string[]; readonly client: SyncClient };

function connect(options: { node?: string; revisions?: Record<string, string>; onStep?: (step: SyncStep) => void | Promise<void> } = {}): Connected {
  const steps: SyncStep[] = [];
  const told: string[] = [];
  const client = createSyncClient({
    addresses: async () => [address], tls: "insecure", serverName: "typha", tokenFile: join(dir, "token"), node: options.node ?? "n1", client: sync.ClientKind.CLIENT_KIND_FELIX, programVersion: "test", revisions: options.revisions ?? {}, clock: systemClock, log,
    random: () => 0, onStatus: (_, detail) => void told.push(detail),
    async onStep(step) {
      steps.push(step);
      await options.onStep?.(step);
    },
  });
  clients.push(client);
  client.start();
  return { steps, told, client };
}
const waitFor = (what: () => void): Promise<void> => vi.waitFor(what, { timeout: 10_000, interval: 10 });
const kindsOf = ({ updates }: SyncStep): string[] => updates.map(({ update }) => (update.kind === "Tier" ? `Tier ${update.value.name} ${update.value.order}` : update.kind === "Remove" ? `Remove ${update.id}` : update.kind));

describe("a stream", () => {
  it("begins with a snapshot and goes on with changes", async () => {
    half.put("Tier:a", tier("a", 1), ALL_NODES);
    await serve();
    const { steps } = connect();
    await waitFor(() => expect(steps).toHaveLength(1));
    expect([steps[0]?.snapshot, steps[0]?.epoch, steps[0]?.revisions, kindsOf(steps[0] as SyncStep).filter((each) => each.startsWith("Tier"))]).toEqual([true, "e1", { pods: "100" }, ["Tier a 1"]]);
    half.put("Tier:a", tier("a", 2), ALL_NODES);
    await waitFor(() => expect(steps).toHaveLength(2));
    expect([steps[1]?.snapshot, kindsOf(steps[1] as SyncStep)]).toEqual([false, ["Tier a 2"]]);
    half.drop("Tier:a");
    await waitFor(() => expect(kindsOf(steps.at(-1) as SyncStep)).toEqual(["Remove a"]));
  });

  it("tells a node nothing of another's", async () => {
    half.put("IpSet:s:1", ipSet("s:1", "10.0.0.1/32"), "n2");
    await serve();
    const [one, two] = [connect({ node: "n1" }), connect({ node: "n2" })];
    await waitFor(() => expect([one.steps.length, two.steps.length]).toEqual([1, 1]));
    expect([kindsOf(one.steps[0] as SyncStep).includes("IpSet"), kindsOf(two.steps[0] as SyncStep).includes("IpSet")]).toEqual([false, true]);
  });

  it("goes on where it was when the connection broke", async () => {
    half.put("Tier:a", tier("a", 1), ALL_NODES);
    half.put("Tier:b", tier("b", 1), ALL_NODES);
    await serve();
    const { steps } = connect();
    await waitFor(() => expect(steps).toHaveLength(1));
    service.closeAll();
    half.put("Tier:a", tier("a", 5), ALL_NODES);
    await waitFor(() => expect(steps.length).toBeGreaterThan(1));
    expect(steps.slice(1).flatMap(kindsOf)).toEqual(["Tier a 5"]);
    expect(steps.slice(1).every(({ snapshot }) => !snapshot)).toBe(true);
  });

  it("starts over with a snapshot when a step could not be applied", async () => {
    half.put("Tier:a", tier("a", 1), ALL_NODES);
    await serve();
    let refused = 0;
    const { steps } = connect({ onStep: () => {
      if ((refused += 1) === 1) throw new Error("not now");
    } });
    await waitFor(() => expect(steps).toHaveLength(2));
    expect(steps.map(({ snapshot }) => snapshot)).toEqual([true, true]);
  });

  it("goes on without a value that cannot be encoded, and says so once", async () => {
    const config = createNodeConfigStore();
    config.setBgpPeer("p", { peerIP: "192.0.2.1" });
    const errors: unknown[] = [];
    hub = createHub({
      clock: systemClock, labelsOf: () => ({}), retentionMs: 60_000, maxTombstones: 100, log: { ...silentLogger, error: (message, fields) => void errors.push([message, fields?.["key"]]) },
      config: { ...config, resolve: (node, labels) => new Map([...config.resolve(node, labels), ["Node:bad", peer("bad", 1.1)]]) },
    });
    half = createFakeHalf(hub);
    hub.attach(half);
    half.put("Node:a", peer("a", 65_000), ALL_NODES);
    half.put("Node:b", peer("b", 9_999_999_999), ALL_NODES);
    await serve();
    const { steps } = connect();
    await waitFor(() => expect(steps).toHaveLength(1));
    expect(steps[0]?.updates.flatMap(({ update }) => (update.kind === "Node" ? [update.value.name] : []))).toEqual(["a"]);
    half.put("Node:b", peer("b", 7), ALL_NODES);
    await waitFor(() => expect(steps).toHaveLength(2));
    half.put("Node:b", peer("b", -1), ALL_NODES);
    await waitFor(() => expect(steps.slice(1).flatMap(kindsOf)).toEqual(["Node", "Remove b"]));
    const message = "A value cannot be encoded, nodes go without it";
    expect(errors).toEqual([[message, "Node:bad"], [message, "Node:b"], [message, "Node:b"]]);
  });

  it("does not wait for a kind that this typha does not follow", async () => {
    await serve();
    const { steps } = connect({ revisions: { pods: "100", clusternetworkpolicies: "500", constructor: "7" } });
    await waitFor(() => expect(steps).toHaveLength(1));
  });

  it("keeps the view of a node for as long as it was told, however the stream ended", () => {
    const clock = createFakeClock();
    hub = createHub({ clock, config: createNodeConfigStore(), labelsOf: () => ({}), retentionMs: 1_000, maxTombstones: 100, log });
    const nobody = { onValue() {}, onDelta() {}, onRemove() {} };
    const first = hub.open("n1", { ...nobody });
    first[Symbol.dispose]();
    clock.advance(600);
    first[Symbol.dispose]();
    expect([hub.views, clock.pending]).toEqual([1, 1]);
    const second = hub.open("n1", { ...nobody });
    clock.advance(600);
    second[Symbol.dispose]();
    clock.advance(900);
    expect([hub.views, clock.pending]).toEqual([1, 1]);
    clock.advance(100);
    expect([hub.views, clock.pending]).toEqual([0, 0]);
  });

  it("waits until typha has seen what the node has seen", async () => {
    let revision = "5";
    await serve({ revisions: () => ({ pods: revision }) });
    const { steps } = connect({ revisions: { pods: "9" } });
    await new Promise((resolve) => setImmediate(resolve));
    expect(steps).toHaveLength(0);
    revision = "10";
    await waitFor(() => expect(steps).toHaveLength(1));
  });
});

describe("who may connect", () => {
  const identity: IdentityCheck = { refusal: async (token, node) => (token === `token-of-${node}` ? null : `the token does not belong to node ${node}`) };

  it("is a node with its own token", async () => {
    await serve({ identity });
    const [own, other] = [connect({ node: "n1" }), connect({ node: "n2" })];
    await waitFor(() => expect(own.steps).toHaveLength(1));
    await waitFor(() => expect(other.told.join()).toContain("the token does not belong to node n2"));
    expect(other.steps).toHaveLength(0);
  });

  it.each(["*", "", "N 1"])("is nobody who names no node: %j", async (node) => {
    await serve();
    const { steps, told } = connect({ node });
    await waitFor(() => expect(told.join()).toContain("hello names no node"));
    expect(steps).toHaveLength(0);
  });

  it("is nobody while the API server cannot tell, and anybody it knows afterwards", async () => {
    let away = true;
    await serve({ identity: { refusal: async () => {
      if (away) throw new Error("away");
      return null;
    } } });
    const { steps, told } = connect();
    await waitFor(() => expect(told.join()).toContain("the identity cannot be checked now"));
    away = false;
    await waitFor(() => expect(steps).toHaveLength(1));
  });

  it("is not one more than the limit", async () => {
    await serve({ maxConnections: 1 });
    const first = connect({ node: "n1" });
    await waitFor(() => expect(first.steps).toHaveLength(1));
    const second = connect({ node: "n2" });
    await waitFor(() => expect(second.told.join()).toContain("this typha serves 1 streams already"));
    expect(service.connections).toBe(1);
  });
});
