/** The schema of a Pod: the fields that the product and kubectl rely on. */
import type { Json } from "../object.ts";
import { conditions, kindSchema } from "./metadata.ts";
import { flag, intOrText, list, mapList, open, record, set, text, textMap, time, whole } from "./words.ts";

const port = record("A port that a container listens on.", {
  name: text("Name by which a Service or a policy refers to it."), containerPort: whole("Port inside the pod."), protocol: text("TCP, UDP or SCTP.", { default: "TCP" }), hostPort: whole("Port of the node."),
  hostIP: text("Address of the node on which hostPort is."),
}, ["containerPort"]);

const container = record("A container of the pod.", {
  name: text("Name, unique in the pod."), image: text("Image to run."), imagePullPolicy: text("Always, Never or IfNotPresent."), command: list("Entrypoint.", { type: "string" }), args: list("Arguments of the entrypoint.", { type: "string" }),
  workingDir: text("Directory in which it starts."), restartPolicy: text("Always makes an init container a sidecar."),
  ports: mapList("Ports that it listens on.", port, ["containerPort", "protocol"]),
  env: mapList("Environment variables.", record("A variable.", { name: text("Name."), value: text("Value."), valueFrom: open("Source of the value.") }, ["name"]), ["name"]),
  envFrom: list("Sources of environment variables.", open("A source.")),
  resources: record("Compute resources.", { limits: { ...open("Most that it may use."), additionalProperties: intOrText("Quantity.") }, requests: { ...open("Least that it needs."), additionalProperties: intOrText("Quantity.") } }, [], { default: {} }),
  terminationMessagePath: text("File with its last words.", { default: "/dev/termination-log" }), terminationMessagePolicy: text("File or FallbackToLogsOnError.", { default: "File" }),
  volumeMounts: mapList("Volumes inside the container.", record("A mount.", { name: text("Volume."), mountPath: text("Where."), readOnly: flag("Not writable."), subPath: text("Path inside the volume.") }, ["name", "mountPath"]), ["mountPath"]),
  livenessProbe: open("When to restart it."), readinessProbe: open("When to send it traffic."), startupProbe: open("When it has started."), lifecycle: open("What to do at its start and end."), securityContext: open("Its privileges."),
}, ["name"]);

const containers = (description: string): Json => mapList(description, container, ["name"]);

const spec = record("What is wanted of the pod.", {
  containers: containers("Containers of the pod; at least one."), initContainers: containers("Containers that run before the others."), ephemeralContainers: containers("Containers added for debugging."),
  volumes: { ...mapList("Volumes that containers can mount.", record("A volume.", { name: text("Name."), configMap: open("A ConfigMap."), secret: open("A Secret."), emptyDir: open("Empty at the start."), hostPath: open("A path of the node.") }, ["name"]), ["name"]), "x-kubernetes-patch-strategy": "merge,retainKeys" },
  nodeName: text("Node that runs it."), nodeSelector: { ...textMap("Labels that the node must have."), "x-kubernetes-map-type": "atomic" }, serviceAccountName: text("ServiceAccount as which it runs."), hostNetwork: flag("Uses the network of its node: no addresses and no policy of its own."),
  restartPolicy: text("Always, OnFailure or Never.", { default: "Always" }), terminationGracePeriodSeconds: whole("Seconds given to end gracefully.", { default: 30 }), hostname: text("Host name."), subdomain: text("Subdomain."),
  dnsPolicy: text("How names are resolved.", { default: "ClusterFirst" }), enableServiceLinks: flag("Services are named in its environment.", { default: true }), serviceAccount: text("The older name of serviceAccountName."),
  imagePullSecrets: mapList("Secrets for pulling images.", record("A Secret.", { name: text("Name.", { default: "" }) }), ["name"]), tolerations: list("Taints that it bears.", open("A toleration.")), affinity: open("Where it would rather run."),
  hostAliases: mapList("Lines of /etc/hosts.", record("An address and its names.", { ip: text("Address."), hostnames: list("Names.", { type: "string" }) }, ["ip"]), ["ip"]),
  topologySpreadConstraints: mapList("How pods are spread.", record("A constraint.", { topologyKey: text("Label of nodes."), whenUnsatisfiable: text("What to do otherwise."), maxSkew: whole("Largest difference."), labelSelector: open("Which pods count.") }), ["topologyKey", "whenUnsatisfiable"]),
  securityContext: open("Privileges of all containers.", { default: {} }), priorityClassName: text("Priority."), schedulerName: text("Scheduler.", { default: "default-scheduler" }),
}, ["containers"]);

const status = record("What is true of the pod.", {
  phase: text("Pending, Running, Succeeded, Failed or Unknown."), conditions: conditions("State in detail."), message: text("Why it is in this state."), reason: text("One word why."), podIP: text("First address."),
  podIPs: mapList("Addresses, at most one of each family.", record("An address.", { ip: text("Address.") }, ["ip"]), ["ip"]), hostIP: text("Address of its node."),
  hostIPs: list("Addresses of its node.", open("An address.")), startTime: time("When the node accepted it."), containerStatuses: list("State of each container.", open("State.")), initContainerStatuses: list("State of each init container.", open("State.")),
  qosClass: text("Guaranteed, Burstable or BestEffort."),
});

export const POD = kindSchema("Pod is a group of containers on one node that share a network.", { spec, status });

export const SERVICE_ACCOUNT = kindSchema("ServiceAccount is an identity of pods; policies select by it.", {
  automountServiceAccountToken: flag("Pods get its token."), secrets: mapList("Secrets that its pods may use.", record("A Secret.", { name: text("Name."), namespace: text("Namespace."), kind: text("Kind.") }), ["name"]),
  imagePullSecrets: list("Secrets for pulling images.", record("A Secret.", { name: text("Name.") })),
});

export const NAMESPACE = kindSchema("Namespace is a scope for names; policies select by its labels.", {
  spec: record("What is wanted of it.", { finalizers: set("Must be empty before it goes.") }), status: record("Its state.", { phase: text("Active or Terminating."), conditions: conditions("State in detail.") }),
});
