/** The plugin driven by a packaged container runtime: Debian's podman, which calls network plugins by libcni. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { calicoTypes, coreTypes, type KubeObject } from "@calico/datastore";
import { interfaceNameForPod } from "@calico/model";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readConflist } from "../lab/kubelet/cni-runtime.ts";
import { UNMANAGED } from "../lab/kubelet/pod-view.ts";
import type { Lab } from "../lab/lab.ts";
import type { NodeHost } from "../lab/node-host.ts";
import { probe } from "../lab/prober.ts";
import { MARKER } from "../lab/sweep.ts";
import { untilTrue } from "../lab/wait.ts";
import { denyInto, run, startDemoLab, stopLab } from "./cluster.ts";

const NAME = "podfv";
const NETWORK = "k8s-pod-network";
const NAMESPACE = "containers";
const PORT = 8_080;
const CGROUPS = "/sys/fs/cgroup";
const NET_DIR = "/etc/cni/podman.d";

const version = /[\d.]+/.exec(spawnSync("podman", ["--version"], { encoding: "utf8" }).stdout ?? "")?.[0];
/** podman 5 is built without its CNI backend. */
const usable = version?.startsWith("4.") === true && ["/usr/sbin/runc", "/usr/bin/runc"].some(existsSync);

/** Everything of podman's is in the lab's folder; the limits are those that a machine without CAP_SYS_RESOURCE can set. */
const configuration = (dir: string): string => `
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "none"
static_dir = "${dir}/libpod"
tmp_dir = "${dir}/tmp"
volume_path = "${dir}/volumes"
[network]
network_backend = "cni"
network_config_dir = "${NET_DIR}"
cni_plugin_dirs = ["/opt/cni/bin"]
`;

describe.skipIf(!usable)(`the plugin and podman ${version}`, () => {
  let lab: Lab;
  let host: NodeHost;
  let dir: string;
  beforeAll(async () => {
    lab = await startDemoLab(NAME, 26);
    host = lab.hosts[0] as NodeHost;
    dir = join(lab.paths.dir, "podman");
    mkdirSync(join(dir, "rootfs"), { recursive: true });
    expect(spawnSync("gcc", ["-Os", "-static", "-o", join(dir, "rootfs", "server"), join(import.meta.dirname, "container.c")], { encoding: "utf8" }).stderr).toBe("");
    writeFileSync(join(dir, "containers.conf"), configuration(dir));
    install({ default_namespace: NAMESPACE });
    // Where libcni remembers results.
    mkdirSync(join(dir, "cache"));
    run(lab, "node/node-1", "sh", "-c", `mkdir -p /var/lib/cni && mount --bind '${dir}/cache' /var/lib/cni`);
    await lab.apply([{ apiVersion: "v1", kind: "Namespace", metadata: { name: NAMESPACE } }]);
  });
  afterAll(async () => {
    if (lab === undefined) return;
    podman("rm", "--force", "--all");
    expect([await stopLab(lab), await removeCgroups()]).toEqual([[], []]);
  });

  /** Gives podman the node's own configuration with other fields for our plugin. */
  function install(fields: object): void {
    const list = readConflist(host);
    if (list === null) throw new Error("the node has no network configuration");
    mkdirSync(join(host.dir, "etc-cni", "podman.d"), { recursive: true });
    writeFileSync(join(host.dir, "etc-cni", "podman.d", "10-calico.conflist"), JSON.stringify({ ...list, plugins: list.plugins.map((plugin) => (plugin.type === "calico" ? { ...plugin, ...fields } : plugin)) }));
  }

  function podman(...args: string[]): string {
    return run(lab, "node/node-1", "env", `${MARKER}=${NAME}`, `CONTAINERS_CONF=${dir}/containers.conf`, "podman", "--root", `${dir}/root`, "--runroot", `${dir}/run`, "--storage-driver", "vfs", ...args).trim();
  }

  const start = (name: string, ...options: string[]): string =>
    podman("run", "--detach", "--name", name, "--network", NETWORK, "--cgroup-parent", `/${NAME}`, "--env", `${MARKER}=${NAME}`, ...options, "--rootfs", `${dir}/rootfs`, "/server");

  /** A pod of the API that is bound to the node and has the container's name, which is all that podman tells the plugin. */
  async function createPod(name: string): Promise<void> {
    const pod = { apiVersion: "v1", kind: "Pod", metadata: { namespace: NAMESPACE, name, labels: { app: name }, annotations: { [UNMANAGED]: "true" } }, spec: { nodeName: "node-1", containers: [{ name: "c", image: "none" }] } };
    await lab.datastore.create<KubeObject>(coreTypes.pods, pod as KubeObject);
  }

  async function annotationsOf(name: string): Promise<unknown[]> {
    const { annotations = {} } = (await lab.datastore.get<KubeObject>(coreTypes.pods, { namespace: NAMESPACE, name })).metadata;
    return [annotations["cni.projectcalico.org/podIP"], annotations["cni.projectcalico.org/containerID"]];
  }

  const addressOf = (name: string): string => podman("inspect", "--format", `{{(index .NetworkSettings.Networks "${NETWORK}").IPAddress}}`, name);
  const pidOf = (name: string): number => Number(podman("inspect", "--format", "{{.State.Pid}}", name));
  const reaches = async (from: string, address: string): Promise<boolean> => (await probe(lab.network, from, { address, port: PORT, protocol: "tcp" }, 500)).reached;
  /** What the node has of a container, in the kernel and as an allocation. */
  async function traces(name: string, address: string): Promise<{ route: boolean; link: boolean; allocated: boolean }> {
    return {
      route: run(lab, "node/node-1", "ip", "route").includes(`${address} dev cali`),
      link: run(lab, "node/node-1", "ip", "-o", "link").includes(interfaceNameForPod(NAMESPACE, name)),
      allocated: JSON.stringify((await lab.datastore.list(calicoTypes.ipamBlocks)).items).includes(`"pod":"${name}"`),
    };
  }
  async function untilNothingIsLeft(name: string, address: string): Promise<void> {
    await untilTrue("the container's network to be taken away", async () => Object.values(await traces(name, address)).every((left) => !left), 10_000);
    await untilTrue("the pod's address to be withdrawn", async () => (await annotationsOf(name))[0] === "", 10_000);
  }
  /** Directories that podman leaves when its containers are gone, once their processes are; those that cannot go. */
  async function removeCgroups(): Promise<string[]> {
    const left = (): string[] => readdirSync(CGROUPS).flatMap((controller) => ["conmon", ""].map((child) => join(CGROUPS, controller, NAME, child))).filter(existsSync);
    await untilTrue("podman's control groups to be empty", async () => {
      for (const path of left()) rmdirSync(path);
      return true;
    }, 5_000).catch(() => undefined);
    return left();
  }

  it("podman network ls shows the network", () => {
    expect(podman("network", "ls", "--format", "{{.Name}} {{.Driver}}").split("\n")).toContain(`${NETWORK} calico`);
  });

  it("a container is a pod: address, route, annotations, reached from another node and reaching it, under policy", async () => {
    await createPod("web");
    const id = start("web");
    const address = addressOf("web");
    expect(address).toMatch(/^10\.65\.\d+\.\d+$/);
    expect(await traces("web", address)).toEqual({ route: true, link: true, allocated: true });
    await untilTrue("the pod to be annotated", async () => (await annotationsOf("web")).join() === `${address}/32,${id}`, 5_000);

    const [key, remote] = [...lab.pods()].find(([, { view }]) => view.node !== "node-1") ?? [];
    if (key === undefined || remote === undefined) throw new Error("no pod runs on another node");
    const inside = `/proc/${pidOf("web")}/ns/net`;
    await untilTrue("the pod to reach the container", () => reaches(lab.netnsOf(key), address), 10_000);
    await untilTrue("the container to reach the pod", () => reaches(inside, remote.addresses[0] ?? ""), 10_000);
    await lab.apply([denyInto(NAMESPACE)]);
    await untilTrue("policy to close the container", async () => !(await reaches(lab.netnsOf(key), address)), 10_000);
    expect(await reaches(inside, remote.addresses[0] ?? "")).toBe(true);
    await lab.datastore.delete(coreTypes.networkPolicies, { namespace: NAMESPACE, name: "deny" });
    await untilTrue("the pod to reach the container again", () => reaches(lab.netnsOf(key), address), 10_000);
  });

  it("stop gives everything back, start makes it anew, rm leaves nothing", async () => {
    const before = addressOf("web");
    podman("stop", "--time", "5", "web");
    await untilNothingIsLeft("web", before);
    podman("start", "web");
    const after = addressOf("web");
    expect([after === before, await traces("web", after)]).toEqual([false, { route: true, link: true, allocated: true }]);
    podman("rm", "--force", "--time", "5", "web");
    await untilNothingIsLeft("web", after);
  });

  it("a container that is killed gives everything back by itself, and can be removed", async () => {
    await createPod("killed");
    start("killed");
    const address = addressOf("killed");
    process.kill(pidOf("killed"), "SIGKILL");
    await untilNothingIsLeft("killed", address);
    podman("rm", "killed");
    await untilNothingIsLeft("killed", address);
  });

  it("a container that is removed while the daemon is down gives everything back when it comes", async () => {
    await createPod("late");
    start("late");
    const address = addressOf("late");
    await lab.supervisor.stop("cni@node-1");
    podman("rm", "--force", "--time", "5", "late");
    expect(await traces("late", address)).toEqual({ route: false, link: false, allocated: true });
    lab.supervisor.resume("cni@node-1");
    await untilNothingIsLeft("late", address);
  });

  it("a container without a pod of its name is refused in words and leaves nothing", async () => {
    expect(() => start("nobody")).toThrow(`pod ${NAMESPACE}/nobody does not exist`);
    podman("rm", "--force", "nobody");
    expect(await traces("nobody", "none")).toEqual({ route: false, link: false, allocated: false });
  });

  it("without default_namespace the refusal names the remedy", async () => {
    await createPod("nowhere");
    install({});
    expect(() => start("nowhere")).toThrow(/CNI_ARGS has no K8S_POD_NAMESPACE: .*set default_namespace in the network configuration/);
    podman("rm", "--force", "nowhere");
    install({ default_namespace: NAMESPACE });
    start("nowhere");
    expect(await traces("nowhere", addressOf("nowhere"))).toEqual({ route: true, link: true, allocated: true });
  });
});
