/** What the daemon needs of its surroundings. */
import type { IpAddress } from "@calico/model";

export type PodInterfaceSpec = {
  readonly hostInterface: string;
  readonly podInterface: string;
  /** Path of the pod's network namespace. */
  readonly netns: string;
  readonly mtu: number;
  readonly addresses: readonly IpAddress[];
  /** Of the inner end; null: one that the kernel makes. */
  readonly mac: string | null;
  /** False: no route but that to the gateway. */
  readonly defaultRoutes: boolean;
  /** Whether the pod's namespace forwards packets; null: as the kernel made it. */
  readonly forwarding: boolean | null;
};

/** The kernel side of a pod's network. */
export interface PodNetwork {
  /**
   * Makes the veth pair with its inner end in the pod's namespace, addresses, routes and the gateway's neighbour entry.
   * A host interface of that name which an older sandbox left is replaced. Throws; then nothing is left behind.
   */
  setUp(spec: PodInterfaceSpec): { readonly hostIndex: number; readonly podMac: string };
  /**
   * Deletes the pair: by its inner end when the namespace is there, else by its outer end, if that has the index
   * that is known. Nothing there is fine.
   */
  tearDown(pair: { readonly hostInterface: string; readonly hostIndex: number | null; readonly netns: string; readonly podInterface: string }): void;
  /** True when the interface is there, in that namespace. */
  isUp(spec: { readonly hostInterface: string; readonly hostIndex: number }): boolean;
  /** In words what of a pair is not as `setUp` left it; empty: nothing. */
  problems(spec: Omit<PodInterfaceSpec, "mtu" | "mac" | "forwarding"> & { readonly hostIndex: number }): string[];
}

/** What ADD must know of a pod. */
export type PodInfo = { readonly uid: string; readonly annotations: Readonly<Record<string, string>>; readonly namespaceAnnotations: Readonly<Record<string, string>>; readonly namespaceLabels: Readonly<Record<string, string>> };

export interface PodDirectory {
  /** Throws a CniError when the pod is not there or the API server is away. */
  find(namespace: string, pod: string): Promise<PodInfo>;
  /** Writes the addresses on the pod, later and as often as needed. */
  announce(namespace: string, pod: string, uid: string, containerId: string, addresses: readonly IpAddress[]): void;
  /** Clears them when they are still those of this container. */
  withdraw(namespace: string, pod: string, containerId: string): void;
  readonly backlog: number;
  stop(): Promise<void>;
}
