/** Schemas of the core kinds around pods: nodes, services, policies, what programs write. */
import { conditions, kindSchema } from "./metadata.ts";
import { atom, flag, intOrText, list, mapList, open, record, set, text, textMap, time, whole } from "./words.ts";

const objectRef = (description: string) => atom(description, {
  apiVersion: text("API version."), kind: text("Kind."), namespace: text("Namespace."), name: text("Name."), uid: text("UID."), resourceVersion: text("Revision that is meant."), fieldPath: text("Part that is meant."),
});

const labelSelector = (description: string) => atom(description, {
  matchLabels: textMap("Labels and the values they must have."),
  matchExpressions: list("Requirements, all of which must hold.", record("A requirement.", { key: text("Label."), operator: text("In, NotIn, Exists or DoesNotExist."), values: list("Values.", { type: "string" }) }, ["key", "operator"])),
});

export const NODE = kindSchema("Node is a machine of the cluster.", {
  spec: record("What is wanted of it.", {
    podCIDR: text("Range for its pods."), podCIDRs: set("Ranges for its pods."), providerID: text("Identity at the provider."), unschedulable: flag("No new pods."),
    taints: list("What pods must tolerate.", record("A taint.", { key: text("Key."), value: text("Value."), effect: text("NoSchedule, PreferNoSchedule or NoExecute.") }, ["key", "effect"])),
  }),
  status: record("What is true of it.", {
    conditions: conditions("Ready, NetworkUnavailable and others."),
    addresses: mapList("Addresses of the node.", record("An address.", { type: text("InternalIP, ExternalIP or Hostname."), address: text("Address.") }, ["type", "address"]), ["type"]),
    capacity: { ...open("Resources in all."), additionalProperties: intOrText("Quantity.") }, allocatable: { ...open("Resources for pods."), additionalProperties: intOrText("Quantity.") }, nodeInfo: open("Versions."), images: list("Images.", open("Image.")),
  }),
});

export const SECRET = kindSchema("Secret holds secret data.", { type: text("What it is for.", { default: "Opaque" }), data: textMap("Values in base64."), stringData: textMap("Values as text; only written."), immutable: flag("Cannot be changed.") });

export const CONFIG_MAP = kindSchema("ConfigMap holds configuration.", { data: textMap("Values as text."), binaryData: textMap("Values in base64."), immutable: flag("Cannot be changed.") });

export const SERVICE = kindSchema("Service is a name and an address for a set of pods.", {
  spec: record("What is wanted of it.", {
    selector: { ...textMap("Labels of its pods."), "x-kubernetes-map-type": "atomic" }, type: text("ClusterIP, NodePort, LoadBalancer or ExternalName.", { default: "ClusterIP" }), clusterIP: text("Its address."), clusterIPs: list("Its addresses.", { type: "string" }),
    ports: mapList("Its ports.", record("A port.", { name: text("Name."), port: whole("Port."), protocol: text("TCP, UDP or SCTP.", { default: "TCP" }), targetPort: intOrText("Port of the pods, number or name."), nodePort: whole("Port of every node."), appProtocol: text("Protocol above.") }, ["port"]), ["port", "protocol"]),
    externalIPs: list("Further addresses.", { type: "string" }), sessionAffinity: text("ClientIP or None.", { default: "None" }), externalTrafficPolicy: text("Cluster or Local."), internalTrafficPolicy: text("Cluster or Local.", { default: "Cluster" }), externalName: text("Name elsewhere."),
    ipFamilies: list("Families.", { type: "string" }), ipFamilyPolicy: text("One family or two."), loadBalancerIP: text("Wanted address of the load balancer."),
  }),
  status: record("What is true of it.", { loadBalancer: open("Its load balancer."), conditions: conditions("State in detail.") }),
});

export const ENDPOINTS = kindSchema("Endpoints are the addresses behind a Service.", { subsets: list("Addresses and ports.", record("A subset.", { ports: list("Ports.", record("A port.", { protocol: text("TCP, UDP or SCTP.", { default: "TCP" }) })) })) });

export const ENDPOINT_SLICE = kindSchema("EndpointSlice is a part of the addresses behind a Service.", {
  addressType: text("IPv4, IPv6 or FQDN."), endpoints: list("Addresses.", record("An endpoint.", { conditions: open("Whether it can be used.", { default: {} }) })),
  ports: list("Ports.", record("A port.", { name: text("Name.", { default: "" }), protocol: text("TCP, UDP or SCTP.", { default: "TCP" }) })),
});

export const EVENT = kindSchema("Event is a report of something that happened to an object. Repetitions are counted in one event.", {
  involvedObject: objectRef("The object that this is about."), reason: text("One word why, for machines."), message: text("What happened, for people."), type: text("Normal or Warning."), count: whole("Times that it happened."),
  firstTimestamp: time("When it happened first."), lastTimestamp: time("When it happened last."), eventTime: time("When it was first seen."), reportingComponent: text("Program that reports."), reportingInstance: text("Which one of them."),
  source: record("Program that reports.", { component: text("Program."), host: text("Node.") }), action: text("What was done."), related: objectRef("A second object."), series: record("A series of such events.", { count: whole("Times."), lastObservedTime: time("When it was last seen.") }),
});

const peer = record("Who is meant; an ipBlock, or pods by labels of themselves and their namespaces.", {
  podSelector: labelSelector("Pods, in the policy's namespace unless namespaceSelector is given."), namespaceSelector: labelSelector("Namespaces."),
  ipBlock: record("A range of addresses.", { cidr: text("The range."), except: list("Parts that are not meant.", { type: "string" }) }, ["cidr"]),
});
const policyPort = record("A port.", { protocol: text("TCP, UDP or SCTP.", { default: "TCP" }), port: intOrText("Number or name; absent: every port."), endPort: whole("Last port of a range.") });
const ports = list("Ports; none: every port.", policyPort);

export const NETWORK_POLICY = kindSchema("NetworkPolicy describes what traffic is allowed for a set of pods.", {
  spec: record("What is wanted.", {
    podSelector: labelSelector("Pods to which it applies; empty: all of the namespace."), policyTypes: list("Ingress, Egress or both.", { type: "string" }),
    ingress: list("What may come in; none: nothing.", record("A rule.", { from: list("From whom; none: from everybody.", peer), ports })),
    egress: list("What may go out; none: nothing.", record("A rule.", { to: list("To whom; none: to everybody.", peer), ports })),
  }),
});

export const LEASE = kindSchema("Lease says who leads, or that a node lives.", {
  spec: record("What is wanted.", {
    holderIdentity: text("Who holds it."), leaseDurationSeconds: whole("Seconds after which others may take it."), acquireTime: time("When it was taken."), renewTime: time("When the holder was last seen."), leaseTransitions: whole("Number of holders before."),
  }),
});

export const CUSTOM_RESOURCE_DEFINITION = kindSchema("CustomResourceDefinition makes a kind known to the API server.", {
  spec: record("The kind.", { group: text("Group."), names: open("Names."), scope: text("Cluster or Namespaced."), versions: list("Versions.", open("A version with its schema.")), conversion: open("How versions are converted.") }, ["group", "names", "scope", "versions"]),
  status: record("What is true of it.", { conditions: conditions("State in detail."), acceptedNames: open("Names that are used."), storedVersions: list("Versions that are stored.", { type: "string" }) }),
});
