/** The plan of a lab: names and addresses of its nodes and of the fabric between them. Pure. */

export type LabPlan = {
  /** Prefix of every namespace, interface and marker of this lab. */
  readonly name: string;
  /** Second octet of the fabric's addresses: two labs on one machine differ in it. */
  readonly octet: number;
  readonly subnets: readonly Subnet[];
  readonly nodes: readonly NodePlan[];
  /** Where the control plane is reached, from nodes and from the machine. */
  readonly controlAddress: string;
  /** The fabric's end of the link to the control plane. */
  readonly controlGateway: string;
  readonly fabricNamespace: string;
};

export type Subnet = { readonly index: number; readonly bridge: string; readonly gateway: string; readonly gateway6: string };

export type NodePlan = {
  readonly name: string;
  readonly namespace: string;
  readonly subnet: Subnet;
  readonly address: string;
  readonly prefixLength: number;
  readonly address6: string;
};

/** Most nodes that one /24 of the fabric holds. */
const MAX_NODES_PER_SUBNET = 200;

/**
 * Plans a lab of `nodeCount` nodes spread evenly over `subnetCount` subnets (one is a flat network).
 * Throws a RangeError that names the bound for impossible counts.
 */
export function planLab(options: { name: string; octet: number; nodeCount: number; subnetCount: number }): LabPlan {
  const { name, octet, nodeCount, subnetCount } = options;
  if (nodeCount < 1 || nodeCount > 50) throw new RangeError(`--nodes ${nodeCount}: a lab has 1 to 50 nodes`);
  if (subnetCount < 1 || subnetCount > nodeCount) throw new RangeError(`--subnets ${subnetCount}: give 1 to ${nodeCount}, at most one for each node`);
  if (nodeCount / subnetCount > MAX_NODES_PER_SUBNET) throw new RangeError(`at most ${MAX_NODES_PER_SUBNET} nodes fit into a subnet`);
  const subnets = Array.from({ length: subnetCount }, (_, index) => ({
    index,
    bridge: `br${index}`,
    gateway: `172.${octet}.${index}.1`,
    gateway6: `fd00:${octet}:${index}::1`,
  }));
  const nodes = Array.from({ length: nodeCount }, (_, index): NodePlan => {
    const subnet = subnets[index % subnetCount];
    if (!subnet) throw new RangeError("no subnet");
    const host = 11 + Math.floor(index / subnetCount);
    return {
      name: `node-${index + 1}`,
      namespace: `${name}-node-${index + 1}`,
      subnet,
      address: `172.${octet}.${subnet.index}.${host}`,
      prefixLength: 24,
      address6: `fd00:${octet}:${subnet.index}::${host}`,
    };
  });
  return {
    name,
    octet,
    subnets,
    nodes,
    controlAddress: `172.${octet}.255.2`,
    controlGateway: `172.${octet}.255.1`,
    fabricNamespace: `${name}-fabric`,
  };
}

/** Name of the network namespace of a pod: visible to `ip netns`, unique in the lab. */
export function podNamespaceName(lab: string, namespace: string, pod: string, uid: string): string {
  return `${lab}-pod-${namespace}.${pod}-${uid.slice(0, 8)}`;
}
