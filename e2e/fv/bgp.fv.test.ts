import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { calicoTypes, coreTypes, type KubeObject } from "@calico/datastore";
import { NODE_ROUTE_REFLECTOR_ANNOTATION } from "@calico/model";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Lab } from "../lab/lab.ts";
import { untilTrue } from "../lab/wait.ts";
import { run, startDemoLab, stopLab, untilReach } from "./cluster.ts";

describe("BGP of a cluster", () => {
  let lab: Lab;
  beforeAll(async () => {
    lab = await startDemoLab("fvbgp", 29, { parameters: { bird: { BIRD_SILENCETIMEOUT: "2s" } } });
  });
  afterAll(async () => expect(await stopLab(lab)).toEqual([]));

  // Two families: each node has two sessions with each other one.
  const NODES = ["node-1", "node-2", "node-3"];
  const SECRET = { namespace: "kube-system", name: "bgp" };
  const everyone = (): boolean => true;
  const set = (kind: string, name: string, spec: object): Promise<void> => lab.apply([{ apiVersion: "projectcalico.org/v3", kind, metadata: { name }, spec }]);
  const configOf = (node: string): string => run(lab, `node/${node}`, "cat", "/etc/calico/bird/bird.cfg");
  const protocols = (node: string): string[] => run(lab, `node/${node}`, "birdc", "-s", "/run/calico/bird.ctl", "show", "protocols").split("\n").filter((line) => / BGP /.test(line));
  const established = (node: string): string[] => protocols(node).filter((line) => line.includes("Established")).map((line) => line.split(" ")[0] ?? "").sort();
  const readiness = (): string => run(lab, "node/node-3", "curl", "-s", "http://localhost:9095/readiness");

  it("a password comes from a Secret: none without it, another one when it changes, and in no log", async () => {
    const isUsed = (password: string) => async (): Promise<boolean> => NODES.every((node) => configOf(node).includes(`password "${password}";`) && established(node).length === 4);
    const create = (password: string): Promise<KubeObject> => lab.datastore.create(coreTypes.secrets, { apiVersion: "v1", kind: "Secret", metadata: { ...SECRET }, data: { mesh: btoa(password) } } as KubeObject);
    await set("BGPConfiguration", "default", { nodeMeshPassword: { secretKeyRef: { name: "bgp", key: "mesh" } } });
    await untilTrue("no session without the password", async () => NODES.every((node) => protocols(node).length === 0), 15_000);
    await untilTrue("a word about the secret", async () => readiness().includes("BGPConfiguration default is left out (spec.nodeMeshPassword.secretKeyRef: secret kube-system/bgp does not exist)"), 10_000);
    await create("first-sesame");
    await untilTrue("sessions with the password", isUsed("first-sesame"), 40_000);
    await untilReach(lab, everyone, 30_000);
    expect(run(lab, "node/node-1", "stat", "-c", "%a", "/etc/calico/bird/bird.cfg").trim()).toBe("600");
    await lab.datastore.patch(coreTypes.secrets, SECRET, { data: { mesh: btoa("second-sesame") } }, { type: "merge" });
    await untilTrue("sessions with the other password", isUsed("second-sesame"), 60_000);
    await untilReach(lab, everyone, 30_000);
    expect(readdirSync(lab.paths.logs).filter((file) => readFileSync(join(lab.paths.logs, file), "utf8").includes("sesame"))).toEqual([]);
    await lab.datastore.patch(calicoTypes.bgpConfigurations, { name: "default" }, { spec: { nodeMeshPassword: null } }, { type: "merge" });
    await untilTrue("sessions without a password", async () => NODES.every((node) => !configOf(node).includes("password") && established(node).length === 4), 60_000);
  });

  it("a BIRD that hangs makes its node not ready, and another takes its place without a loss of routes", async () => {
    const pidOf = (): number => Number(run(lab, "node/node-3", "cat", "/run/calico/bird.pid"));
    const routes = (): string => run(lab, "node/node-1", "ip", "route", "show", "proto", "bird");
    await untilTrue("the routes to both other nodes", async () => routes().trim().split("\n").length === 2, 30_000);
    const before = { pid: pidOf(), routes: routes() };
    process.kill(before.pid, "SIGSTOP");
    await untilTrue("a word about the silence", async () => /BIRD has not answered for \d+ s/.test(readiness()), 30_000);
    await untilTrue("another BIRD with its sessions", async () => pidOf() !== before.pid && established("node-3").length === 4, 30_000);
    await untilTrue("the node to be ready", async () => readiness() === "ready\n", 15_000);
    expect(routes()).toBe(before.routes);
    await untilReach(lab, everyone, 30_000);
  });

  it("nodes that peer with a reflector by selector reach each other through it", async () => {
    await lab.datastore.patch(coreTypes.nodes, { name: "node-1" }, { metadata: { labels: { reflector: "" }, annotations: { [NODE_ROUTE_REFLECTOR_ANNOTATION]: "244.0.0.1" } } }, { type: "merge" });
    await set("BGPPeer", "reflectors", { nodeSelector: "!has(reflector)", peerSelector: "has(reflector)" });
    await set("BGPConfiguration", "default", { nodeToNodeMeshEnabled: false });
    const shapeOf = (node: string): string => established(node).map((name) => name.replace(/_.*/, "")).join(" ");
    await untilTrue("the sessions of a star", async () => JSON.stringify(NODES.map(shapeOf)) === JSON.stringify(["Node Node Node Node", "Node Node", "Node Node"]), 40_000);
    await untilReach(lab, everyone, 40_000);
    expect(run(lab, "node/node-2", "birdc", "-s", "/run/calico/bird.ctl", "show", "route", "all")).toMatch(/BGP\.cluster_list: 244\.0\.0\.1/);
  });
});
