/** What the lab reads of a pod that a real kubelet runs. Pure. */
import type { PodView } from "../kubelet/pod-view.ts";

export type ContainerPod = {
  readonly view: PodView;
  /** Of its first container; empty until it was started. */
  readonly containerId: string;
  readonly image: string;
  readonly addresses: readonly string[];
  /** The first container runs. */
  readonly started: boolean;
  /** Why the pod does not run, in the words of the one who keeps it waiting. */
  readonly why: string;
};

type State = { readonly running?: object; readonly waiting?: { readonly reason?: string; readonly message?: string }; readonly terminated?: { readonly reason?: string; readonly exitCode?: number } };
type RawPod = {
  readonly spec?: { readonly containers?: readonly { readonly image?: string }[] };
  readonly status?: {
    readonly phase?: string;
    readonly podIPs?: readonly { readonly ip: string }[];
    readonly conditions?: readonly { readonly type: string; readonly status: string; readonly message?: string }[];
    readonly containerStatuses?: readonly { readonly containerID?: string; readonly state?: State }[];
  };
};

export function containerPod(raw: unknown, view: PodView): ContainerPod {
  const { spec, status } = raw as RawPod;
  const first = status?.containerStatuses?.[0];
  return {
    view,
    containerId: first?.containerID?.replace(/^containerd:\/\//, "") ?? "",
    image: spec?.containers?.[0]?.image ?? "",
    addresses: status?.podIPs?.map(({ ip }) => ip) ?? [],
    started: first?.state?.running !== undefined,
    why: whyWaiting(status, first?.state),
  };
}

export const isRunningContainer = ({ started, addresses, containerId }: ContainerPod): boolean => started && addresses.length > 0 && containerId !== "";

function whyWaiting(status: RawPod["status"], state: State | undefined): string {
  const unscheduled = status?.conditions?.find(({ type, status: value }) => type === "PodScheduled" && value !== "True");
  if (unscheduled !== undefined) return unscheduled.message ?? "not bound yet";
  if (state?.waiting !== undefined) return [state.waiting.reason, state.waiting.message].filter(Boolean).join(": ");
  if (state?.terminated !== undefined) return `ended: ${state.terminated.reason ?? ""} (exit code ${state.terminated.exitCode ?? "?"})`;
  return status?.phase ?? "not seen by a kubelet yet";
}
