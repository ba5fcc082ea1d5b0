/** Objects that look like policy, and that nobody would enforce as they are written. Pure. */
import type { KubeObject } from "@calico/datastore";
import { nearest } from "@calico/model";
import { kinds } from "@calico/model/resources";

/** What keeps an object from counting, and of which field. */
export type Refusal = { readonly field: "apiVersion" | "kind"; readonly message: string };

type Group = {
  readonly version: string;
  readonly kinds: readonly string[];
  /** Nothing else is in the group, so that what is not known is a mistake. */
  readonly isWhole: boolean;
};

const GROUPS = new Map<string, Group>(Object.entries({
  "projectcalico.org": { version: "v3", kinds: kinds.map(({ kind }) => kind), isWhole: true },
  "policy.networking.k8s.io": { version: "v1alpha2", kinds: ["ClusterNetworkPolicy"], isWhole: true },
  "networking.k8s.io": { version: "v1", kinds: ["NetworkPolicy"], isWhole: false },
  "discovery.k8s.io": { version: "v1", kinds: ["EndpointSlice"], isWhole: false },
}));
/** Kinds that a group once had, and what has taken their place. */
const GONE = new Map(Object.entries({
  AdminNetworkPolicy: "is not enforced; ClusterNetworkPolicy has taken its place",
  BaselineAdminNetworkPolicy: "is not enforced; a ClusterNetworkPolicy of tier Baseline has taken its place",
}));
/** What Calico shows of objects of Kubernetes. */
const VIEWS = new Map(Object.entries({
  Profile: "is a view on a Namespace or a ServiceAccount; give that",
  WorkloadEndpoint: "is a view on a Pod; give that",
  Node: "is a view on a Node of Kubernetes (v1); give that",
}));
/** Groups of old, by the one whose kinds they had. */
const FORMER = new Map(Object.entries({ "crd.projectcalico.org": "projectcalico.org", extensions: "networking.k8s.io" }));

/** Why an object that is none of those that are evaluated cannot be passed over; null: verdicts do not depend on it. */
export function refusalOfKind({ apiVersion, kind }: Pick<KubeObject, "apiVersion" | "kind">): Refusal | null {
  const [written = "", version = ""] = apiVersion.split("/", 2);
  const name = FORMER.get(written) ?? written;
  const group = GROUPS.get(name);
  if (group === undefined) return null;
  const current = `${name}/${group.version}`;
  const instead = name === "policy.networking.k8s.io" ? GONE.get(kind) : name === "projectcalico.org" ? VIEWS.get(kind) : undefined;
  if (instead !== undefined) return { field: "kind", message: instead };
  if (group.kinds.includes(kind)) return written === name && version === group.version ? null : { field: "apiVersion", message: `${apiVersion} is not read; use apiVersion: ${current}` };
  const near = nearest(kind, group.kinds);
  return near === null && !group.isWhole ? null : { field: "kind", message: `is no kind of ${current}${near === null ? "" : `; did you mean ${near}?`}` };
}
