/** Differences between the embedded API server and Kubernetes' own that stay. What is not here fails the comparison, and so does what is here and no longer seen. */
import type { Difference } from "./normalise.ts";

export type Known = {
  readonly what: string;
  /** Why it does no harm. */
  readonly why: string;
  /** "chapter / step"; "*" stands for anything. */
  readonly where: readonly string[];
  /** Paths in the answer; "*" stands for anything. */
  readonly at: readonly string[];
};

const ANYWHERE = ["*"];

export const KNOWN: readonly Known[] = [
  {
    what: "A pod gets no volume with a token, no tolerations, no priority", why: "No container runs in the embedded lab and nothing schedules by these; the product does not read them.",
    where: ANYWHERE, at: ["*spec.volumes", "*spec.containers[0].volumeMounts", "*spec.tolerations", "*spec.priority", "*spec.preemptionPolicy"],
  },
  { what: "`spec` of a pod may be changed after its creation", why: "The lab's kubelet reads labels and the node only; Kubernetes refuses with 422.", where: ["patches / merge replaces a list", "patches / what of a pod may not change", "patches / node of a pod"], at: ANYWHERE },
  { what: "Fields of core kinds that do not exist are stored, and neither refused nor warned about", why: "The schemas of core kinds hold the fields that the product and kubectl rely on, not all. Unknown fields of the project's own kinds are treated as Kubernetes does.", where: ["refusals / unknown field of a pod *", "patches / strategic unknown field"], at: ANYWHERE },
  { what: "A Service gets no address and no families, and its ports need no names", why: "There are no virtual addresses in the embedded lab: tests give a Service the addresses that they need.", where: ["*services*", "*service*", "applies / second port"], at: ["*spec.clusterIP", "*spec.clusterIPs", "*spec.ipFamilies", "*spec.ipFamilyPolicy"] },
  { what: "A Service without ports, or with two ports without names, is accepted", why: "As above; nothing in the product looks at such a Service.", where: ["refusals / service without ports", "applies / second port"], at: ANYWHERE },
  { what: "A new node has no taint and no empty versions", why: "The lab's kubelet writes the status; nothing schedules by taints.", where: ANYWHERE, at: ["*spec.taints", "*status.nodeInfo", "*status.daemonEndpoints"] },
  { what: "Status of a node at its creation", why: "As above.", where: ["objects / * nodes", "subresources / node", "clients / *node*", "clients / cordon"], at: ["body.status", "body*.status"] },
  { what: "`kubectl get` shows other columns for core kinds", why: "They are for people in the lab: of a pod its address and node. The columns of the project's own kinds are the same.", where: ["objects / table of *", "lists / table of pods"], at: ["*columnDefinitions", "*cells"] },
  { what: "Endpoints are not called deprecated", why: "A warning for people; the product reads EndpointSlices.", where: ["objects / *endpoints*"], at: ["warnings"] },
  { what: "A list at an exact revision shows the present", why: "The product and kubectl ask for any revision or for one not older.", where: ["lists / exactly"], at: ANYWHERE },
  { what: "A revision that is no number is refused with another code", why: "No client sends one: revisions come from the server.", where: ["refusals / revision is no number", "watches / from no number"], at: ANYWHERE },
  { what: "A watch with its initial events works", why: "The embedded server does what Kubernetes documents. The etcd that the lab runs under Kubernetes is too old for it: that server answers with an error, and clients list instead.", where: ["watches / with what is there*", "clients / * with what is there"], at: ANYWHERE },
  { what: "A removal in the foreground is one in the background", why: "No garbage collector runs: the product's own collector deletes what belongs to nodes and pods, and its kinds are not owned by other objects.", where: ["removals / in the foreground"], at: ANYWHERE },
  { what: "No token is issued for a ServiceAccount", why: "Tokens of the embedded lab come from a table; components read them from files as on a node.", where: ["subresources / token*"], at: ANYWHERE },
  { what: "Reviews carry no metadata, and there is none of rules", why: "Nobody stores a review. Whoever has a token may do everything, so that `kubectl auth can-i` says yes.", where: ["subresources / review *", "subresources / who am I", "subresources / may I", "subresources / what may I"], at: ANYWHERE },
  { what: "Logs are refused in words about the lab; there are no evictions and no bindings without a pod's name", why: "No container runs. The lab's scheduler binds by the pod's subresource.", where: ["subresources / logs", "subresources / eviction", "subresources / binding by the older way", "clients / log", "clients / exec*"], at: ANYWHERE },
  { what: "Protobuf is not read", why: "The product sends JSON. kubectl sends protobuf where it makes an object itself (`kubectl create configmap`); it is told to write a file and apply it.", where: ["clients / protobuf*"], at: ANYWHERE },
  { what: "Older aggregated discovery is served", why: "kubectl before 1.30 asks for it and is faster with it.", where: ["discovery / aggregated as older programs ask"], at: ANYWHERE },
  { what: "OpenAPI documents: media type of the index, and words for one that is not there", why: "kubectl reads JSON whatever it is called.", where: ["discovery / documents", "discovery / document of nothing"], at: ["contentType", "body"] },
  { what: "A field that is given twice is not refused by strict validation", why: "JSON is read into objects at once; the last one wins, as without validation.", where: ["refusals / field twice"], at: ANYWHERE },
  { what: "Unknown fields of an object that is refused anyway are not warned about", why: "The refusal names what has to be corrected first.", where: ["refusals / port is wrong", "refusals / other version"], at: ["warnings"] },
  { what: "A refusal names fewer fields", why: "The code and the reason are the same, and the field that is wrong is named.", where: ["refusals / no name", "refusals / other kind"], at: ["*causes"] },
  { what: "A strategic merge patch that makes no sense is a bad request", why: "Kubernetes calls it an internal error; no client sends one.", where: ["patches / strategic without its key", "patches / strategic with a wrong directive"], at: ["status", "body.code", "body.reason"] },
  { what: "A pool's `cidr` without a prefix length is refused at `spec.blockSize`", why: "The embedded server checks by the product's own rules, which read an address as a pool of one; it is refused all the same.", where: ["refusals / not a CIDR"], at: ["*causes*"] },
  { what: "Bookmarks come every five seconds", why: "Kubernetes sends one about every minute; sooner is within the contract.", where: ["watches / bookmark before the end"], at: ["body"] },
  { what: "A condition's empty times are not owned by anybody", why: "Ownership of nothing; an apply of them is no conflict.", where: ANYWHERE, at: ["*f:lastProbeTime", "*f:lastTransitionTime", "*f:podIP"] },
];

/** The entry that explains a difference. */
export function explains({ where, at }: Known, step: string, difference: Difference): boolean {
  return where.some((pattern) => matches(pattern, step)) && at.some((pattern) => matches(pattern, difference.at));
}

function matches(pattern: string, text: string): boolean {
  return new RegExp(`^${pattern.split("*").map((part) => part.replaceAll(/[.[\]()+?^$|{}\\/]/g, "\\$&")).join(".*")}$`).test(text);
}

/** The list as the README shows it. */
export function table(): string {
  return ["| Difference | Why it does no harm |", "|---|---|", ...KNOWN.map(({ what, why }) => `| ${what} | ${why} |`)].join("\n");
}
