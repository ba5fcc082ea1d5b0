/** Calico's pods in a cluster: one line for each. */
import { coreTypes, type Datastore, type KubeObject } from "@calico/datastore";
import { NAMESPACE } from "./release.ts";

export type ComponentState = { readonly name: string; readonly node: string; readonly ready: boolean; readonly restarts: number; /** Why it is not ready. */ readonly because: string };

type State = { readonly waiting?: { readonly reason?: string; readonly message?: string }; readonly terminated?: { readonly reason?: string; readonly exitCode?: number } };
type RawPod = KubeObject & { readonly spec?: { readonly nodeName?: string }; readonly status?: { readonly phase?: string; readonly conditions?: readonly { readonly type: string; readonly status: string; readonly message?: string }[]; readonly containerStatuses?: readonly { readonly restartCount?: number; readonly state?: State }[] } };

/** By name. Those that have ended are left out. */
export async function componentsOf(datastore: Datastore): Promise<ComponentState[]> {
  const { items } = await datastore.list<RawPod>(coreTypes.pods, { namespace: NAMESPACE });
  return items.filter(({ status }) => status?.phase !== "Succeeded" && status?.phase !== "Failed").map(stateOf).sort((one, other) => (one.name < other.name ? -1 : 1));
}

function stateOf({ metadata, spec, status }: RawPod): ComponentState {
  const ready = status?.conditions?.find(({ type }) => type === "Ready");
  const [first] = status?.containerStatuses ?? [];
  const { waiting, terminated } = first?.state ?? {};
  const reason = waiting === undefined ? (terminated?.reason ?? "") : [waiting.reason, waiting.message].filter(Boolean).join(": ");
  const isReady = ready?.status === "True";
  return { name: metadata.name, node: spec?.nodeName ?? "", ready: isReady, restarts: first?.restartCount ?? 0, because: isReady ? "" : reason || (ready?.message ?? status?.phase ?? "") };
}
