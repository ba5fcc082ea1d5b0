/** The felix of a rig: the built program as a process in the node's network, killed and started at will. */
import { spawn, type ChildProcess } from "node:child_process";
import { closeSync, mkdirSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createFelixClient, type FelixClient } from "@calico/proto";
import { bundleOf, nodeBinary } from "../lab/paths.ts";
import { untilTrue } from "../lab/wait.ts";
import type { NodeNetwork, PodInterface } from "./node-network.ts";

export interface FelixProcess {
  readonly pid: number;
  readonly logFile: string;
  start(): void;
  kill(signal: NodeJS.Signals): Promise<void>;
  /** Resolves when it says that everything is in the kernel. */
  untilReady(timeoutMs?: number): Promise<void>;
  /** Hands an interface over, as the CNI daemon does. */
  attach(pod: PodInterface, uid: string, namespace: string): Promise<void>;
  detach(pod: PodInterface, uid: string): Promise<void>;
  /** Its metrics by name; of those with labels the sum. */
  metrics(): Promise<Map<string, number>>;
  /** Resident memory, in megabytes. */
  residentMb(): number;
  /** What is left of its heap after a collection, in megabytes. The process is larger afterwards. */
  collectedHeapMb(): Promise<number>;
  cpuSeconds(): number;
  close(): Promise<void>;
}

const METRICS_PORT = 9091;
const TICKS_PER_SECOND = 100;

export function createFelix(network: NodeNetwork, node: string, typha: string, parameters: Readonly<Record<string, string>> = {}): FelixProcess {
  const dir = mkdtempSync(join(tmpdir(), "rig-"));
  const logFile = join(dir, "felix.log");
  const socket = join(dir, "felix.sock");
  const kubeconfig = join(dir, "kubeconfig");
  mkdirSync(join(dir, "lib"));
  writeFileSync(kubeconfig, NO_API_SERVER);
  let child: ChildProcess | null = null;
  let client: FelixClient | null = null;
  const env = {
    PATH: process.env["PATH"] ?? "", NODENAME: node, KUBECONFIG: kubeconfig, FELIX_TYPHAADDR: typha, FELIX_SOCKET: socket, FELIX_STATEDIR: join(dir, "state"), FELIX_LIBDIR: join(dir, "lib"),
    FELIX_DEFAULTENDPOINTTOHOSTACTION: "Accept", FELIX_PROMETHEUSMETRICSENABLED: "true", FELIX_PROMETHEUSMETRICSHOST: "0.0.0.0",
    IP: "autodetect", IP_AUTODETECTION_METHOD: "interface=eth0", ...parameters,
  };
  const ofProcess = (file: string): string => readFileSync(`/proc/${child?.pid ?? 0}/${file}`, "utf8");
  const calls = (): FelixClient => (client ??= createFelixClient(socket));
  const endAtExit = (): void => {
    child?.kill("SIGKILL");
    rmSync(dir, { recursive: true, force: true });
  };
  process.once("exit", endAtExit);

  const felix: FelixProcess = {
    get pid() {
      return child?.pid ?? 0;
    },
    logFile,
    start() {
      const log = openSync(logFile, "a");
      // With the memory flags of the image. The program of ip becomes felix, in a mount namespace that shows the node's /sys.
      child = spawn("ip", ["netns", "exec", network.namespace, nodeBinary, "--max-semi-space-size=4", "--heapsnapshot-signal=SIGUSR2", `--diagnostic-dir=${dir}`, bundleOf("felix")], { env, cwd: dir, stdio: ["ignore", log, log] });
      closeSync(log);
    },
    async kill(signal) {
      const ending = child;
      if (ending === null) return;
      child = null;
      client?.[Symbol.dispose]();
      client = null;
      if (ending.exitCode !== null || ending.signalCode !== null) return;
      const ended = once(ending, "exit");
      ending.kill(signal);
      await ended;
    },
    untilReady: (timeoutMs = 60_000) => untilTrue(`felix to be ready (${logFile})`, async () => {
      const { inSync, commits, endpointCount, endpointsReady } = await calls().status(5_000);
      return inSync && commits > 0n && endpointsReady === endpointCount;
    }, timeoutMs),
    async attach({ name, interfaceName, interfaceIndex, address }, uid, namespace) {
      await calls().attachEndpoint({ namespace, pod: name, podUid: uid, containerId: uid, interfaceName, interfaceIndex, addresses: [address], mac: "" }, 20_000);
    },
    async detach({ interfaceName, address }, uid) {
      await calls().detachEndpoint({ podUid: uid, containerId: uid, interfaceName, addresses: [address] }, 20_000);
    },
    async metrics() {
      const found = new Map<string, number>();
      const text = await (await fetch(`http://${network.address}:${METRICS_PORT}/metrics`)).text();
      for (const [, name = "", value] of text.matchAll(/^(\w+)(?:\{[^}]*\})? (\S+)$/gm)) found.set(name, (found.get(name) ?? 0) + Number(value));
      return found;
    },
    residentMb: () => Number(/^VmRSS:\s+(\d+) kB/m.exec(ofProcess("status"))?.[1] ?? 0) / 1024,
    async collectedHeapMb() {
      const taken = (): string[] => readdirSync(dir).filter((name) => name.endsWith(".heapsnapshot"));
      for (const name of taken()) rmSync(join(dir, name));
      process.kill(child?.pid ?? 0, "SIGUSR2");
      await untilTrue("felix to collect its garbage", async () => taken().length > 0, 60_000);
      // The answer waits until the snapshot is written.
      return ((await felix.metrics()).get("nodejs_heap_size_used_bytes") ?? 0) / 2 ** 20;
    },
    cpuSeconds() {
      const fields = ofProcess("stat").split(") ")[1]?.split(" ") ?? [];
      return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
    },
    async close() {
      client?.[Symbol.dispose]();
      await felix.kill("SIGKILL");
      process.off("exit", endAtExit);
      rmSync(dir, { recursive: true, force: true });
    },
  };
  return felix;
}

/** Nobody listens there: felix enforces what typha says and complains that it cannot announce its node. */
const NO_API_SERVER = `apiVersion: v1
kind: Config
current-context: rig
clusters: [{ name: rig, cluster: { server: "http://127.0.0.1:1" } }]
users: [{ name: rig, user: {} }]
contexts: [{ name: rig, context: { cluster: rig, user: rig } }]
`;
