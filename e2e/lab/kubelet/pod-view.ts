/** What the lab's kubelet and scheduler read of a pod. Pure. */

export type PodPort = { readonly port: number; readonly protocol: "TCP" | "UDP" | "SCTP" };

export type PodView = {
  readonly key: string;
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly node: string | null;
  readonly hostNetwork: boolean;
  readonly deleting: boolean;
  readonly finished: boolean;
  /** Left to a test or a benchmark, which calls the plugin itself. */
  readonly unmanaged: boolean;
  readonly nodeSelector: Readonly<Record<string, string>>;
  readonly ports: readonly PodPort[];
  readonly containers: readonly string[];
  /** What a container runtime hands to the plugins that declare it. */
  readonly capabilities: Readonly<Record<string, unknown>>;
};

type RawPod = {
  metadata: { namespace?: string; name: string; uid?: string; deletionTimestamp?: string; annotations?: Record<string, string> };
  spec?: { nodeName?: string; hostNetwork?: boolean; nodeSelector?: Record<string, string>; containers?: { name: string; ports?: { containerPort: number; hostPort?: number; hostIP?: string; protocol?: string }[] }[] };
  status?: { phase?: string };
};

/** Annotation of a pod that the lab's kubelet leaves alone. */
export const UNMANAGED = "lab.calico/unmanaged";

/** Keeps the few fields that matter here. */
export function podView(raw: unknown): PodView {
  const { metadata, spec = {}, status = {} } = raw as RawPod;
  const namespace = metadata.namespace ?? "default";
  const containers = spec.containers ?? [];
  return {
    key: `${namespace}/${metadata.name}`,
    namespace,
    name: metadata.name,
    uid: metadata.uid ?? "",
    node: spec.nodeName || null,
    hostNetwork: spec.hostNetwork === true,
    deleting: metadata.deletionTimestamp !== undefined,
    finished: status.phase === "Succeeded" || status.phase === "Failed",
    unmanaged: metadata.annotations?.[UNMANAGED] === "true",
    nodeSelector: spec.nodeSelector ?? {},
    ports: containers.flatMap((container) => (container.ports ?? []).map((port) => ({ port: port.containerPort, protocol: (port.protocol ?? "TCP") as PodPort["protocol"] }))),
    containers: containers.map((container) => container.name),
    capabilities: capabilitiesOf(metadata.annotations ?? {}, containers.flatMap((container) => container.ports ?? [])),
  };
}

function capabilitiesOf(annotations: Readonly<Record<string, string>>, ports: readonly { containerPort: number; hostPort?: number; hostIP?: string; protocol?: string }[]): Record<string, unknown> {
  const portMappings = ports.filter(({ hostPort }) => hostPort !== undefined).map(({ containerPort, hostPort, hostIP = "", protocol = "TCP" }) => ({ hostPort, containerPort, hostIP, protocol: protocol.toLowerCase() }));
  const ingressRate = bitsOf(annotations["kubernetes.io/ingress-bandwidth"]);
  const egressRate = bitsOf(annotations["kubernetes.io/egress-bandwidth"]);
  return {
    ...(portMappings.length === 0 ? {} : { portMappings }),
    ...(ingressRate === null && egressRate === null ? {} : { bandwidth: { ...(ingressRate === null ? {} : { ingressRate, ingressBurst: BURST }), ...(egressRate === null ? {} : { egressRate, egressBurst: BURST }) } }),
  };
}

/** Bits; as container runtimes set it when a pod says nothing. */
const BURST = 2 ** 31 - 1;
const MULTIPLES: Readonly<Record<string, number>> = { "": 1, k: 1e3, K: 1e3, M: 1e6, G: 1e9 };

/** "10M" in bits a second; null for nothing that can be read. */
function bitsOf(quantity: string | undefined): number | null {
  const [, number, unit = ""] = /^(\d+)([kKMG]?)$/.exec(quantity ?? "") ?? [];
  return number === undefined ? null : Number(number) * (MULTIPLES[unit] ?? 1);
}

/** The status of a pod that runs at an address, as a kubelet writes it. */
export function runningStatus(pod: PodView, addresses: readonly string[], hostAddress: string, containerId: string, now: string): object {
  const condition = (type: string): object => ({ type, status: "True", lastTransitionTime: now });
  return {
    phase: "Running",
    podIP: addresses[0],
    podIPs: addresses.map((ip) => ({ ip })),
    hostIP: hostAddress,
    hostIPs: [{ ip: hostAddress }],
    startTime: now,
    conditions: ["PodScheduled", "PodReadyToStartContainers", "Initialized", "ContainersReady", "Ready"].map(condition),
    containerStatuses: pod.containers.map((name) => ({
      name,
      ready: true,
      started: true,
      restartCount: 0,
      image: "",
      imageID: "",
      containerID: `lab://${containerId}`,
      state: { running: { startedAt: now } },
    })),
  };
}
