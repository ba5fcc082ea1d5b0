/** Who may say and hear what on NATS. Pure. */

export type NatsAccount = { readonly component: string; readonly publish: readonly string[]; readonly subscribe: readonly string[] };
export type NatsUser = NatsAccount & { readonly password: string };

const INBOX = "_INBOX.>";

/** A component of a node speaks for that component alone; what serves the cluster may ask and hear everything. */
export const NATS_ACCOUNTS: readonly NatsAccount[] = [
  ofNode("felix", "policy-applied"),
  ofNode("bird", "bgp"),
  ofNode("ipam"),
  ofNode("cni"),
  { component: "typha", publish: ["calico.>", INBOX], subscribe: ["calico.>", INBOX] },
  { component: "kube-controllers", publish: ["calico.>", INBOX], subscribe: ["calico.>", INBOX] },
  { component: "calicoctl", publish: ["calico.query.>"], subscribe: [INBOX] },
];

function ofNode(component: string, ...events: readonly string[]): NatsAccount {
  return { component, publish: [`calico.node.*.state.${component}`, ...events.map((event) => `calico.node.*.${event}`), INBOX], subscribe: [`calico.query.*.${component}`, INBOX] };
}

/** The part of NATS' configuration that names its users. */
export function renderUsers(users: readonly NatsUser[]): string {
  const entries = users.map(({ component, password, publish, subscribe }) => ({ user: component, password, permissions: { publish, subscribe } }));
  return `${JSON.stringify({ authorization: { users: entries } }, null, 2)}\n`;
}
