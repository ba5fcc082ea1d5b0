import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { calicoTypes, coreTypes, type KubeObject } from "@calico/datastore";
import { afterAll, beforeAll, expect, it } from "vitest";
import { DEMO_PORT } from "../lab/demo.ts";
import type { Lab } from "../lab/lab.ts";
import { nodeBinary, repositoryRoot } from "../lab/paths.ts";
import { untilTrue } from "../lab/wait.ts";
import { run, startDemoLab, stopLab, untilReach } from "./cluster.ts";

let lab: Lab;
beforeAll(async () => {
  lab = await startDemoLab("fvipam", 16);
  await lab.apply([
    pool("tiny", { cidr: "10.66.0.0/30", blockSize: 30 }), pool("kept", { cidr: "10.67.0.0/29", blockSize: 29 }),
    { apiVersion: "projectcalico.org/v3", kind: "IPReservation", metadata: { name: "gateways" }, spec: { reservedCIDRs: ["10.67.0.0/30"] } },
  ]);
});
afterAll(async () => expect(await stopLab(lab)).toEqual([]));

const pool = (name: string, spec: object): object => ({ apiVersion: "projectcalico.org/v3", kind: "IPPool", metadata: { name }, spec: { assignmentMode: "Manual", ...spec } });
const pod = (name: string, node: string, annotations: Record<string, string>): object => ({
  apiVersion: "v1", kind: "Pod", metadata: { namespace: "shop", name, annotations: Object.fromEntries(Object.entries(annotations).map(([key, value]) => [`cni.projectcalico.org/${key}`, value])) },
  spec: { nodeName: node, containers: [{ name: "c", image: "i", ports: [{ containerPort: DEMO_PORT }] }] },
});
const addressOf = (name: string): string => lab.pods().get(`shop/${name}`)?.addresses[0] ?? "";
const remove = (name: string): Promise<unknown> => lab.datastore.delete(coreTypes.pods, { namespace: "shop", name }, { gracePeriodSeconds: 0 });
const strict = (strictAffinity: boolean): Promise<unknown> => lab.datastore.patch(calicoTypes.ipamConfigurations, { name: "default" }, { spec: { strictAffinity } }, { type: "merge" });

it("an address borrowed from another node's block is reached from everywhere, and returned", async () => {
  await lab.apply([pod("owner", "node-1", { ipv4pools: '["tiny"]' })]);
  await lab.untilRunning(["shop/owner"]);
  await lab.apply([pod("borrower", "node-2", { ipv4pools: '["10.66.0.0/30"]' })]);
  await lab.untilRunning(["shop/borrower"]);
  expect([addressOf("owner"), addressOf("borrower")]).toEqual(["10.66.0.0", "10.66.0.1"]);
  await untilReach(lab, () => true, 20_000);
  await untilTrue("the owner of the block to have the way to the borrowed address", async () => /10\.66\.0\.1 via/.test(run(lab, "node/node-1", "ip", "route")), 10_000);
  await remove("borrower");
  await untilTrue("the way to be gone", async () => ["node-1", "node-3"].every((node) => !/10\.66\.0\.1 /.test(run(lab, `node/${node}`, "ip", "route"))), 20_000);
});

it("with strict affinity a pod waits, says why, and runs when it is lifted", async () => {
  await strict(true);
  await lab.apply([pod("patient", "node-3", { ipv4pools: '["tiny"]' })]);
  await untilTrue(() => `the reason to be told: ${lab.waiting().get("shop/patient") ?? "none"}`, async () => (lab.waiting().get("shop/patient") ?? "").includes("no address is borrowed from other nodes (strictAffinity is true)"), 10_000);
  await strict(false);
  await lab.untilRunning(["shop/patient"], 20_000);
  expect(addressOf("patient")).toMatch(/^10\.66\.0\.[123]$/);
  for (const name of ["owner", "patient"]) await remove(name);
});

it("a reserved address is given only to the pod that names it", async () => {
  await lab.apply([pod("any", "node-1", { ipv4pools: '["kept"]' }), pod("named", "node-1", { ipAddrs: '["10.67.0.1"]', hwAddr: "02:00:5e:10:00:01" })]);
  await lab.untilRunning(["shop/any", "shop/named"]);
  expect([addressOf("any"), addressOf("named")]).toEqual([expect.stringMatching(/^10\.67\.0\.[4567]$/), "10.67.0.1"]);
  expect(run(lab, "shop/named", "ip", "-o", "link", "show", "eth0")).toContain("link/ether 02:00:5e:10:00:01");
  for (const name of ["any", "named"]) await remove(name);
});

it("calicoctl releases an address that nobody has, and refuses one that a pod has", async () => {
  const release = (address: string): { status: number | null; stdout: string; stderr: string } => spawnSync(nodeBinary, [join(repositoryRoot, "calicoctl", "bin", "calicoctl.mjs"), "--kubeconfig", lab.api.kubeconfig, "ipam", "release", `--ip=${address}`], { encoding: "utf8", timeout: 10_000 });
  const used = lab.pods().get("shop/frontend")?.addresses[0] ?? "";
  expect(release(used)).toMatchObject({ status: 1, stderr: `${used} is the address of pod shop/frontend; delete the pod, or release the address all the same with --force\n` });
  const { metadata, ...block } = await lab.datastore.get<KubeObject & { spec: { allocations: (number | null)[]; unallocated: number[]; attributes: object[] } }>(calicoTypes.ipamBlocks, { name: "10-67-0-0-29" });
  const { spec } = block;
  const allocations = spec.allocations.map((held, ordinal) => (ordinal === 6 ? spec.attributes.length : held));
  await lab.datastore.update(calicoTypes.ipamBlocks, { ...block, metadata, spec: { ...spec, allocations, unallocated: spec.unallocated.filter((ordinal) => ordinal !== 6), attributes: [...spec.attributes, { handle_id: "lost", secondary: { namespace: "shop", pod: "lost", podUID: "u", node: "node-1" } }] } });
  expect([release("10.67.0.6").stdout, release("10.67.0.6").stdout]).toEqual(["10.67.0.6 is released (lost)\n", "10.67.0.6 is not assigned\n"]);
});

it("an empty block goes back when its pool does not select the node any more", async () => {
  const blocks = async (): Promise<string[]> => (await lab.datastore.list<{ apiVersion: string; kind: string; metadata: { name: string }; spec: { cidr: string } }>(calicoTypes.ipamBlocks)).items.map(({ spec }) => spec.cidr);
  expect(await blocks()).toContain("10.67.0.0/29");
  await lab.datastore.patch(calicoTypes.ipPools, { name: "kept" }, { spec: { nodeSelector: "rack == 'none'" } }, { type: "merge" });
  await untilTrue("the block to be gone", async () => !(await blocks()).includes("10.67.0.0/29"), 20_000);
});
