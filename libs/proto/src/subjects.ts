/** Subjects on NATS. Node names go in as one token: dots and what NATS treats specially are escaped. */

/** Repeated state of a component of a node (events.NodeState). */
export function nodeStateSubject(node: string, component: string): string {
  return `calico.node.${token(node)}.state.${component}`;
}

/** A step of changes reached the kernel of a node (events.PolicyApplied). */
export function policyAppliedSubject(node: string): string {
  return `calico.node.${token(node)}.policy-applied`;
}

/** A BGP session of a node changed (events.BgpSessionChange). */
export function bgpSessionSubject(node: string): string {
  return `calico.node.${token(node)}.bgp`;
}

/** An invalid object (events.FindingReport). */
export const FINDING_SUBJECT = "calico.finding";

/** Requests for the status of a component of a node; the answer is that component's StatusResponse. */
export function querySubject(node: string, component: string): string {
  return `calico.query.${token(node)}.${component}`;
}

/** RFC 3986 escapes with "_" for "%", so that no name can make another token, a wildcard or an empty token. */
function token(name: string): string {
  return name === "" ? "_" : encodeURIComponent(name.toWellFormed()).replaceAll("_", "_5F").replaceAll(".", "_2E").replaceAll("*", "_2A").replaceAll("%", "_");
}
