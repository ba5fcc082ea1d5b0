/** What the chart's roles allow, as single permissions. Pure. */
import type { Manifest } from "../chart/helm.ts";

type Rule = { readonly apiGroups: readonly string[]; readonly resources: readonly string[]; readonly verbs: readonly string[] };
type Role = Manifest & { readonly rules: readonly Rule[] };
type Binding = Manifest & { readonly roleRef: { readonly kind: string; readonly name: string }; readonly subjects: readonly { readonly kind: string; readonly name: string }[] };

/** One permission as a line: "calico-cni get pods", "calico-ipam patch ipamblocks.projectcalico.org". */
export const permission = (account: string, verb: string, resource: string, group: string): string => `${account} ${verb} ${resource}${group === "" ? "" : `.${group}`}`;

/** Every permission that a binding of the manifests gives to a ServiceAccount. Throws when a binding's role is not among them. */
export function grantsOf(manifests: readonly Manifest[]): Set<string> {
  const roles = new Map(manifests.filter(({ kind }) => kind === "Role" || kind === "ClusterRole").map((role) => [`${role.kind}/${role.metadata.name}`, role as Role]));
  const bindings = manifests.filter(({ kind }) => kind === "RoleBinding" || kind === "ClusterRoleBinding") as Binding[];
  return new Set(bindings.flatMap(({ metadata, roleRef, subjects }) => {
    const role = roles.get(`${roleRef.kind}/${roleRef.name}`);
    if (role === undefined) throw new Error(`the binding ${metadata.name} is of ${roleRef.kind} ${roleRef.name}, which the chart does not have`);
    return subjects.flatMap(({ name }) => role.rules.flatMap((rule) => permissionsOf(name, rule)));
  }));
}

const permissionsOf = (account: string, { apiGroups, resources, verbs }: Rule): string[] =>
  apiGroups.flatMap((group) => resources.flatMap((resource) => verbs.map((verb) => permission(account, verb, resource, group))));
