/** Questions that cannot be answered, and failures that are told in a line. */

/** A command line that is wrong: exit code 2. */
export class UsageError extends Error {}

/** Something that could not be done: exit code 1. */
export class CommandError extends Error {}

export const USAGE = `calicoctl: reads and writes Calico's resources in a Kubernetes cluster.

usage: calicoctl <command> [arguments]

  get KIND [NAME...]       shows resources                 -o wide|yaml|json|name, -n NAMESPACE, -A
  create  -f FILE          makes resources that are not there   --skip-exists
  apply   -f FILE          makes or replaces resources
  replace -f FILE          replaces resources that are there
  delete  -f FILE | KIND NAME...    removes resources      --skip-not-exists, -n NAMESPACE
  patch KIND NAME -p PATCH changes fields (merge; -t json: JSON patch)   -n NAMESPACE
  ipam show                how full the pools are   --show-blocks, --ip ADDRESS, --show-configuration
  ipam check               whether allocations agree with pods, nodes and handles   -o json
  ipam release --ip ADDRESS  frees an address that no pod has   --force: also one that a pod has
  node status [NODE...]    what felix, BIRD, ipam and cni of each node say   -o json|yaml, --timeout SECONDS
  policy status [KIND/NAME]    on how many nodes policies are in force   -n NAMESPACE, -o json|yaml, --timeout SECONDS, --wait SECONDS
  policy eval -f FILE --probes FILE    what policies in files mean for connections, without a cluster   --staged  -o json
  explain FROM TO PORT[/PROTOCOL]      why a connection is allowed or denied, and by what little it misses   -o json, --timeout SECONDS
  version                  of this program and of the cluster

FROM and TO are NAMESPACE/POD, node:NAME or an address. FILE is a YAML or JSON file, a folder of such, or - for standard input. A file is checked as a whole before anything is written.

  --kubeconfig FILE        else KUBECONFIG, the cluster it runs in, or ~/.kube/config
  --context NAME           a context of the kubeconfig
  --nats-url URL, --nats-user NAME, --nats-ca FILE
                           of status and explain; else NATS_URL, NATS_USER, NATS_PASSWORD, NATS_CAFILE, or the Secret calico-system/calicoctl-nats
  -h, --help               this text
`;
