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
};

type RawPod = {
  metadata: { namespace?: string; name: string; uid?: string; deletionTimestamp?: string; annotations?: Record<string, string> };
  spec?: { nodeName?: string; hostNetwork?: boolean; nodeSelector?: Record<string, string>; containers?: { name: string; ports?: { containerPort: number; protocol?: string }[] }[] };
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
  };
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
