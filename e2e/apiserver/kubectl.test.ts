import { calicoTypes, coreTypes, type KubeObject } from "@calico/datastore";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { hasKubectl, runKubectl, startTestCluster, type TestCluster } from "./testing.ts";
import type { Ended } from "../lab/run-program.ts";

let cluster: TestCluster;
beforeEach(async () => {
  cluster = await startTestCluster();
});
afterEach(() => cluster[Symbol.asyncDispose]());

const kubectl = (args: string | readonly string[], input?: object, env?: Record<string, string>): Promise<Ended> =>
  runKubectl(cluster.kubeconfig, typeof args === "string" ? args.split(" ") : args, input, env);

const pool = (name: string, spec: object): object => ({ apiVersion: "projectcalico.org/v3", kind: "IPPool", metadata: { name }, spec });
const pod = (name: string, more: object = {}): object => ({ apiVersion: "v1", kind: "Pod", metadata: { namespace: "default", name }, spec: { containers: [{ name: "c", image: "i", ports: [{ containerPort: 80 }] }], ...more } });

describe.skipIf(!hasKubectl)("kubectl", () => {
  it("applies, gets, patches, labels, waits and deletes", async () => {
    expect(await kubectl("apply -f -", pool("p", { cidr: "10.0.0.0/16" }))).toEqual({ status: 0, stdout: "ippool.projectcalico.org/p created\n", stderr: "" });
    expect((await kubectl("apply -f -", pool("p", { cidr: "10.0.0.0/16", natOutgoing: true }))).stdout).toBe("ippool.projectcalico.org/p configured\n");
    expect((await kubectl("apply -f -", pool("p", { cidr: "10.0.0.0/16", natOutgoing: true }))).stdout).toBe("ippool.projectcalico.org/p unchanged\n");
    expect((await kubectl("get ipp p -o jsonpath={.spec.natOutgoing}")).stdout).toBe("true");
    expect((await kubectl("get ippools")).stdout).toMatch(/^NAME +CIDR +IPIP +VXLAN +NAT +DISABLED +AGE\np +10\.0\.0\.0\/16 +Never +Never +true/);
    expect((await kubectl("patch ippool p --type=json -p [{\"op\":\"replace\",\"path\":\"/spec/natOutgoing\",\"value\":false}]")).stdout).toBe("ippool.projectcalico.org/p patched\n");
    expect((await kubectl("label ippool p rack=1")).stdout).toBe("ippool.projectcalico.org/p labeled\n");
    expect((await kubectl("get ippools -l rack=1 -o name")).stdout).toBe("ippool.projectcalico.org/p\n");
    expect((await kubectl("wait ippool/p --for=jsonpath={.spec.natOutgoing}=false --timeout=5s")).stdout).toBe("ippool.projectcalico.org/p condition met\n");
    expect((await kubectl("delete ippool p --timeout=5s")).stdout).toBe('ippool.projectcalico.org "p" deleted\n');
    expect((await kubectl("get ippool p")).stderr).toBe('Error from server (NotFound): ippools.projectcalico.org "p" not found\n');
  });

  it("knows the kinds and refuses unknown fields by name", async () => {
    expect((await kubectl("api-resources --api-group=projectcalico.org -o name")).stdout.split("\n")).toContain("globalnetworkpolicies.projectcalico.org");
    const refused = await kubectl("apply -f -", pool("p", { cidr: "10.0.0.0/16", blocksize: 26 }));
    expect([refused.status, refused.stderr]).toEqual([1, expect.stringContaining('unknown field "spec.blocksize"')]);
  });

  it("is told to write a file where it sends protobuf, as versions since 1.31 do", async () => {
    const { status, stdout, stderr } = await kubectl("create namespace n");
    if (status === 0) expect(stdout).toBe("namespace/n created\n");
    else expect(stderr).toContain("use kubectl apply -f");
  });

  it("discovers kinds in two requests and by category", async () => {
    const { stdout, stderr } = await kubectl("api-resources --api-group=projectcalico.org --categories=calico -o name -v=6");
    expect(stdout).toContain("ippools.projectcalico.org");
    expect(stderr.match(/\/apis?\S*\?timeout/g)).toEqual(["/api?timeout", "/apis?timeout"]);
    await kubectl("apply -f -", pool("p", { cidr: "10.0.0.0/16" }));
    expect((await kubectl("get calico -o name")).stdout).toBe("ippool.projectcalico.org/p\n");
  });

  it.each([
    ["networkpolicies.projectcalico.org.spec", /KIND: +NetworkPolicy\nVERSION: +v3[\s\S]*FIELD: spec <Object>[\s\S]*ingress\t<\[\]Object>[\s\S]*selector\t<string>/],
    ["ippools.projectcalico.org", /GROUP: +projectcalico\.org\nKIND: +IPPool[\s\S]*metadata\t<Object>/],
    ["pod.spec.containers.ports", /KIND: +Pod\nVERSION: +v1[\s\S]*containerPort\t<integer> -required-\n +Port inside the pod\./],
    ["networkpolicies.networking.k8s.io.spec.ingress.ports.port", /FIELD: port <IntOrString>/],
    ["events.reason", /One word why, for machines\./],
  ])("explains %s", async (path, expected) => {
    const { stdout, stderr } = await kubectl(`explain ${path}`);
    expect(stderr).toBe("");
    expect(stdout).toMatch(expected);
  });

  it("describes a pod and a pool with their events", async () => {
    await kubectl("apply -f -", pool("p", { cidr: "10.0.0.0/16" }));
    await kubectl("apply -f -", pod("a"));
    const poolMade = await cluster.datastore.get<KubeObject>(calicoTypes.ipPools, { name: "p" });
    const made = await cluster.datastore.get<KubeObject>(coreTypes.pods, { namespace: "default", name: "a" });
    const now = new Date().toISOString();
    const event = (name: string, involvedObject: object, message: string): KubeObject =>
      ({ apiVersion: "v1", kind: "Event", metadata: { namespace: "default", name }, involvedObject, reason: "Tested", message, type: "Warning", count: 3, firstTimestamp: now, lastTimestamp: now, source: { component: "test" } });
    await cluster.datastore.create(coreTypes.events, event("a.1", { apiVersion: "v1", kind: "Pod", namespace: "default", name: "a", uid: made.metadata.uid }, "the pod was tested"));
    await cluster.datastore.create(coreTypes.events, event("p.1", { apiVersion: "projectcalico.org/v3", kind: "IPPool", name: "p", uid: poolMade.metadata.uid }, "the pool was tested"));
    expect((await kubectl("describe pod a")).stdout).toMatch(/Containers:[\s\S]*Port: +80\/TCP[\s\S]*Events:[\s\S]*Warning +Tested +\S+ \(x3 over \S+\) +test +the pod was tested/);
    expect((await kubectl("describe ippool p")).stdout).toMatch(/Kind: +IPPool[\s\S]*Cidr: +10\.0\.0\.0\/16[\s\S]*Events:[\s\S]*the pool was tested/);
    expect((await kubectl("get events")).stdout).toMatch(/^LAST SEEN +TYPE +REASON +OBJECT +MESSAGE\n\d+s +Warning +Tested +pod\/a +the pod was tested/);
    expect((await kubectl("events --for pod/a")).stdout).toMatch(/Tested +Pod\/a +the pod was tested/);
  });

  it("describes the other kinds", async () => {
    await kubectl("apply -f -", { apiVersion: "v1", kind: "Node", metadata: { name: "n" } });
    await kubectl("apply -f -", { apiVersion: "v1", kind: "Service", metadata: { name: "s" }, spec: { ports: [{ port: 80 }] } });
    await kubectl("apply -f -", { apiVersion: "networking.k8s.io/v1", kind: "NetworkPolicy", metadata: { name: "np" }, spec: { podSelector: {} } });
    for (const [target, expected] of [["node n", /Name: +n\n/], ["service s", /Port: +<unset> +80\/TCP/], ["netpol np", /Policy Types: Ingress/], ["namespace default", /Status: +Active/], ["crd ippools.projectcalico.org", /Kind: +IPPool/]] as const) {
      const { stdout, stderr } = await kubectl(`describe ${target}`);
      expect([stderr, stdout]).toEqual(["", expect.stringMatching(expected)]);
    }
  });

  it("edits custom and core kinds", async () => {
    await kubectl("apply -f -", pool("p", { cidr: "10.0.0.0/16" }));
    await kubectl("apply -f -", pod("a"));
    expect((await kubectl("edit ippool p", undefined, { KUBE_EDITOR: "sed -i 's/vxlanMode:.*/vxlanMode: Always/'" })).stdout).toBe("ippool.projectcalico.org/p edited\n");
    expect((await kubectl("get ippool p -o jsonpath={.spec.vxlanMode}")).stdout).toBe("Always");
    expect((await kubectl("edit pod a", undefined, { KUBE_EDITOR: "sed -i 's/image:.*/image: other/'" })).stdout).toBe("pod/a edited\n");
    expect((await kubectl("get pod a -o jsonpath={.spec.containers[0].image}{.spec.containers[0].ports[0].containerPort}")).stdout).toBe("other80");
  });

  it("refuses logs and exec in clear words", async () => {
    await kubectl("apply -f -", pod("a"));
    expect((await kubectl("logs a")).stderr).toContain("no container runs: there are no logs of containers; npm run lab -- logs shows those of the services");
    expect((await kubectl("exec a -- ls")).stderr).toContain("use npm run lab -- exec NAMESPACE/POD -- COMMAND");
  });

  it("applies on the server: others' fields are a conflict that names them, force takes them, what is no longer applied goes", async () => {
    const labelled = (labels: object, spec: object): object => ({ ...pool("p", spec), metadata: { name: "p", labels } });
    expect((await kubectl("apply --server-side -f -", labelled({ a: "1" }, { cidr: "10.0.0.0/16", natOutgoing: true }))).stdout).toBe("ippool.projectcalico.org/p serverside-applied\n");
    await kubectl("patch ippool p --type=merge --field-manager=night-shift -p {\"spec\":{\"natOutgoing\":false}}");
    const refused = await kubectl("apply --server-side -f -", labelled({ a: "1" }, { cidr: "10.0.0.0/16", natOutgoing: true }));
    expect([refused.status, refused.stderr]).toEqual([1, expect.stringContaining('Apply failed with 1 conflict: conflict with "night-shift" using projectcalico.org/v3: .spec.natOutgoing')]);
    expect((await kubectl("apply --server-side --force-conflicts -f -", labelled({ b: "2" }, { cidr: "10.0.0.0/16", natOutgoing: true }))).status).toBe(0);
    expect((await kubectl("get ippool p -o jsonpath={.spec.natOutgoing}{.metadata.labels}")).stdout).toBe('true{"b":"2"}');
    const managers = (await kubectl(["get", "ippool", "p", "--show-managed-fields", "-o", "jsonpath={range .metadata.managedFields[*]}{.manager}/{.operation} {end}"])).stdout;
    expect(managers).toBe("kubectl/Apply ");
  });

  it("shows what an apply would change and changes nothing", async () => {
    await kubectl("apply --server-side -f -", pool("p", { cidr: "10.0.0.0/16" }));
    const changed = pool("p", { cidr: "10.0.0.0/16", natOutgoing: true });
    expect((await kubectl("diff --server-side -f -", changed)).stdout).toMatch(/\n\+ +natOutgoing: true\n/);
    expect((await kubectl("apply --server-side --dry-run=server -f -", changed)).stdout).toBe("ippool.projectcalico.org/p serverside-applied (server dry run)\n");
    expect((await kubectl("get ippool p -o jsonpath={.spec.natOutgoing}")).stdout).toBe("");
  });

  it("takes over with --server-side what was applied without", async () => {
    await kubectl("apply -f -", pod("a"));
    expect((await kubectl("apply --server-side -f -", pod("a", { nodeName: "n", containers: [{ name: "c", image: "j" }] }))).stderr).toBe("");
    expect((await kubectl("get pod a -o jsonpath={.spec.nodeName}{.spec.containers[0].image}{.spec.containers[0].ports}")).stdout).toBe("nj");
  });
});
