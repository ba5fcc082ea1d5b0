/** What the components may not do, and beside it what they may: so that a question which nobody would allow is noticed. */
import { NAMESPACE } from "../lab/cluster/release.ts";
import type { Lab } from "../lab/lab.ts";
import { kubectlOk } from "./tools.ts";

export type Question = {
  readonly account: string;
  readonly verb: string;
  /** With its group and subresource: "ipamblocks.projectcalico.org", "pods/status". */
  readonly resource: string;
  readonly namespace?: string;
  readonly name?: string;
};

export const ACCOUNTS = ["calico-node", "calico-bird", "calico-ipam", "calico-cni", "calico-typha", "calico-kube-controllers", "calico-prepare"] as const;

/** By any of these a component would become an administrator, or see what is nobody's but a pod's. */
const NOBODY: readonly Omit<Question, "account">[] = [
  { verb: "*", resource: "*" }, { verb: "list", resource: "secrets", namespace: NAMESPACE }, { verb: "get", resource: "secrets", namespace: "kube-system" },
  { verb: "create", resource: "pods" }, { verb: "update", resource: "pods" }, { verb: "delete", resource: "pods" }, { verb: "create", resource: "pods/exec" }, { verb: "get", resource: "nodes/proxy" },
  { verb: "delete", resource: "nodes" }, { verb: "create", resource: "serviceaccounts/token" }, { verb: "impersonate", resource: "users" },
  { verb: "bind", resource: "clusterroles.rbac.authorization.k8s.io" }, { verb: "escalate", resource: "clusterroles.rbac.authorization.k8s.io" }, { verb: "create", resource: "clusterrolebindings.rbac.authorization.k8s.io" },
  { verb: "create", resource: "mutatingwebhookconfigurations.admissionregistration.k8s.io" }, { verb: "delete", resource: "customresourcedefinitions.apiextensions.k8s.io" }, { verb: "update", resource: "daemonsets.apps", namespace: NAMESPACE },
  { verb: "create", resource: "networkpolicies.networking.k8s.io" }, { verb: "create", resource: "globalnetworkpolicies.projectcalico.org" }, { verb: "update", resource: "ippools.projectcalico.org" }, { verb: "delete", resource: "ippools.projectcalico.org" },
];

const secret = (verb: string, name: string) => ({ verb, resource: "secrets", namespace: NAMESPACE, name });

export const refused: readonly Question[] = [
  ...ACCOUNTS.flatMap((account) => NOBODY.map((question) => ({ account, ...question }))),
  ...["calico-node", "calico-bird", "calico-ipam", "calico-cni", "calico-typha"].map((account) => ({ account, ...secret("get", "calico-ca") })),
  { account: "calico-kube-controllers", ...secret("get", "somebody-elses") }, { account: "calico-kube-controllers", ...secret("delete", "calico-ca") }, { account: "calico-prepare", ...secret("get", "somebody-elses") },
  { account: "calico-cni", verb: "list", resource: "pods" }, { account: "calico-cni", verb: "patch", resource: "pods" }, { account: "calico-cni", verb: "patch", resource: "nodes" }, { account: "calico-cni", verb: "get", resource: "ipamblocks.projectcalico.org" },
  { account: "calico-node", verb: "get", resource: "pods" }, { account: "calico-node", verb: "patch", resource: "pods/status" }, { account: "calico-node", verb: "list", resource: "nodes" },
  { account: "calico-ipam", verb: "patch", resource: "pods/status" }, { account: "calico-ipam", verb: "patch", resource: "nodes/status" }, { account: "calico-ipam", verb: "get", resource: "pods" },
  { account: "calico-bird", verb: "get", resource: "nodes" }, { account: "calico-bird", verb: "list", resource: "bgppeers.projectcalico.org" },
  { account: "calico-typha", verb: "patch", resource: "nodes" }, { account: "calico-typha", verb: "update", resource: "ipamblocks.projectcalico.org" },
  { account: "calico-kube-controllers", verb: "patch", resource: "nodes" }, { account: "calico-kube-controllers", verb: "create", resource: "ipamblocks.projectcalico.org" }, { account: "calico-kube-controllers", verb: "get", resource: "leases.coordination.k8s.io", namespace: "kube-system" },
  { account: "calico-prepare", verb: "patch", resource: "customresourcedefinitions.apiextensions.k8s.io", name: "certificates.cert-manager.io" }, { account: "calico-prepare", verb: "list", resource: "pods" },
];

export const allowed: readonly Question[] = [
  { account: "calico-cni", verb: "patch", resource: "pods/status", namespace: "life" }, { account: "calico-node", verb: "patch", resource: "nodes/status" }, { account: "calico-ipam", verb: "update", resource: "ipamblocks.projectcalico.org" },
  { account: "calico-bird", verb: "list", resource: "endpointslices.discovery.k8s.io", namespace: NAMESPACE }, { account: "calico-typha", verb: "watch", resource: "globalnetworkpolicies.projectcalico.org" },
  { account: "calico-kube-controllers", ...secret("get", "calico-ca") },
];

/** Whether the API server would allow each, as `kubectl auth can-i --as` asks it. */
export async function canI(lab: Lab, questions: readonly Question[]): Promise<boolean[]> {
  const answers = (await kubectlOk(lab, ["create", "-f", "-", "-o", `jsonpath={.status.allowed}{"\\n"}`], questions.map(review))).trim().split("\n");
  if (answers.length !== questions.length) throw new Error(`${answers.length} answers to ${questions.length} questions`);
  return answers.map((answer) => answer === "true");
}

function review({ account, verb, resource, namespace, name }: Question): object {
  const [path = "", subresource] = resource.split("/");
  const [plural = "", ...group] = path.split(".");
  return {
    apiVersion: "authorization.k8s.io/v1", kind: "SubjectAccessReview",
    spec: {
      user: `system:serviceaccount:${NAMESPACE}:${account}`, groups: ["system:serviceaccounts", `system:serviceaccounts:${NAMESPACE}`, "system:authenticated"],
      resourceAttributes: { verb, group: plural === "*" ? "*" : group.join("."), resource: plural, subresource, namespace, name },
    },
  };
}
