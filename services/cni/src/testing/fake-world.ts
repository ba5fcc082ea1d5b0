/** What the daemon has around it, in memory: it notes what is done, in order, and breaks where a test says so. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLogger } from "@calico/service-kit";
import { createCallHandler } from "../calls.ts";
import type { Surroundings } from "../commands.ts";
import { createContainerStore } from "../container-store.ts";
import type { PodInfo } from "../ports.ts";
import type { CallHandler } from "../server.ts";

export const silent = createLogger("cni", "Fatal", { write: () => {} });
export const networkConfig = { cniVersion: "1.0.0", name: "net", type: "calico", ipam: { type: "calico-ipam" } };

export class FakeWorld implements Disposable {
  readonly dir = mkdtempSync(join(tmpdir(), "cni-"));
  /** What was done, in order. */
  done: string[] = [];
  /** What begins like this breaks; "": nothing does. */
  failing = "";
  pod: PodInfo = { uid: "u1", annotations: {}, namespaceAnnotations: {}, namespaceLabels: { team: "a" } };
  /** What ipam has left. */
  free: { ipv4: string[]; ipv6: string[] } = { ipv4: ["10.65.0.1/26"], ipv6: [] };
  /** Why pods cannot be served. */
  notReady: string | null = null;

  constructor() {
    writeFileSync(join(this.dir, "netns"), "");
  }

  /** The verbs of what was done. */
  get verbs(): string[] {
    return this.done.map((each) => each.split(" ")[0] ?? "");
  }

  act(what: string): void {
    this.done.push(what);
    if (what.startsWith(this.failing) && this.failing !== "") throw new Error(`${this.failing} broke`);
  }

  /** A daemon; a new one reads what an earlier one kept. */
  handler(over: Partial<Surroundings> = {}): CallHandler {
    return createCallHandler({ surroundings: { ...this.#surroundings(), ...over }, notReady: async () => this.notReady, onCall: () => {} });
  }

  /** One call for the container c1 of the pod a/web. */
  call(handle: CallHandler, command: string, env: Record<string, string> = {}, conf: object = networkConfig): Promise<string> {
    const variables = { CNI_COMMAND: command, CNI_CONTAINERID: "c1", CNI_NETNS: join(this.dir, "netns"), CNI_IFNAME: "eth0", CNI_ARGS: "K8S_POD_NAMESPACE=a;K8S_POD_NAME=web;K8S_POD_UID=u1" };
    return handle({ env: { ...variables, ...env }, stdin: JSON.stringify(conf) });
  }

  [Symbol.dispose](): void {
    rmSync(this.dir, { recursive: true });
  }

  #surroundings(): Surroundings {
    const act = (what: string): void => this.act(what);
    return {
      node: "n1", log: silent, settings: { mtu: 0, mtuFile: join(this.dir, "mtu"), assignIpv6: false, policyTimeout: 10_000 }, onStage: () => {}, containers: createContainerStore(join(this.dir, "containers")),
      network: {
        setUp({ hostInterface, mtu, addresses, mac, defaultRoutes, forwarding }) {
          act(`set up ${hostInterface} ${mtu} ${addresses.join()}${mac === null ? "" : ` ${mac}`}${defaultRoutes ? "" : " no-default"}${forwarding === null ? "" : ` forwarding=${forwarding}`}`);
          return { hostIndex: 7, podMac: "02:00:00:00:00:01" };
        },
        tearDown: ({ hostIndex }) => act(`tear down ${hostIndex}`),
        isUp: () => true,
        problems: () => (this.failing === "check" ? ["cali1 is down"] : []),
      },
      pods: {
        find: async () => {
          act("find");
          return this.pod;
        },
        announce: (_namespace, _pod, _uid, container, addresses) => act(`announce ${addresses.join()} of ${container}`),
        withdraw: (_namespace, _pod, container) => act(`withdraw those of ${container}`),
        backlog: 0,
        stop: async () => {},
      },
      ipam: {
        autoAssign: async ({ ipv4Count, ipv6Count, ipv4Pools, ipv6Pools, owner }) => {
          act(`assign ${ipv4Count}+${ipv6Count} of ${[...ipv4Pools, ...ipv6Pools].join() || "any"} to ${owner?.podUid}`);
          const because = this.free.ipv4.length < ipv4Count || this.free.ipv6.length < ipv6Count ? ["pool p 10.65.0.0/26: 64 of 64 addresses in use"] : [];
          return { ipv4: this.free.ipv4.slice(0, ipv4Count), ipv6: this.free.ipv6.slice(0, ipv6Count), because };
        },
        assignAddress: async ({ address }) => {
          act(`assign ${address}`);
          return { cidr: `${address}/26` };
        },
        releaseByHandle: async ({ handleId }) => {
          act(`release ${handleId}`);
          return { released: [] };
        },
      },
      felix: {
        attachEndpoint: async ({ interfaceName, addresses }, timeoutMs) => {
          act(`attach ${interfaceName} ${addresses.join()} within ${timeoutMs}`);
          return { sequence: 1n };
        },
        detachEndpoint: async () => {
          act("detach");
          return {};
        },
      },
    };
  }
}
