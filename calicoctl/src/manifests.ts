/** Objects of files or of a cluster, as the calculation sees them: what policy means for the pods among them. */
import type { EndpointToHostAction, Failsafes, World } from "@calico/calc";
import type { KubeObject } from "@calico/datastore";
import {
  builtInProfiles, builtInTiers, convertClusterNetworkPolicy, convertEndpointSlice, convertGlobalNetworkPolicy, convertGlobalNetworkSet, convertHostEndpoint, convertKubernetesNetworkPolicy, convertNamespace, convertNetworkPolicy, convertNetworkSet,
  convertNode, convertPod, convertServiceAccount, convertStagedGlobalNetworkPolicy, convertStagedKubernetesNetworkPolicy, convertStagedNetworkPolicy, convertTier, objectOf, specOf, textOf, type Conversion, type HostEndpoint, type IpAddress, type NetworkSet,
  type Policy, type Profile, type ServiceSlice, type StagedPolicy, type Tier, type WorkloadEndpoint,
} from "@calico/model";
import type { Item } from "./documents.ts";
import { readHostSettings, type HostSettings } from "./host-settings.ts";
import { hasName, problemsOf, shapeProblem } from "./files.ts";
import { createPlaceholders } from "./placeholders.ts";
import { sliceOf } from "./service-slice.ts";
import { refusalOfKind } from "./unknown-kinds.ts";

export type Manifests = {
  readonly world: World;
  /** In `world` they change nothing. */
  readonly staged: readonly StagedPolicy[];
  /** By "namespace/name". */
  readonly pods: ReadonlyMap<string, WorkloadEndpoint>;
  /** Pods on their node's own network, by "namespace/name": the node's name. */
  readonly hostPods: ReadonlyMap<string, string>;
  readonly nodes: ReadonlyMap<string, readonly IpAddress[]>;
  /** What becomes of packets from pods to a node of theirs; null: nothing here says it. */
  readonly endpointToHost: (node: string) => EndpointToHostAction | null;
  /** What cannot be used, with file, line and field. Nothing may be concluded while there is any. */
  readonly problems: readonly string[];
  /** Objects that were passed over, by kind. */
  readonly passedOver: ReadonlyMap<string, number>;
};

const CLUSTER_SCOPED = new Set(["Namespace", "Node", "ClusterNetworkPolicy", "GlobalNetworkPolicy", "StagedGlobalNetworkPolicy", "GlobalNetworkSet", "HostEndpoint", "FelixConfiguration", "Tier"]);
/**
 * Where objects come from. Files are read as the API server would: checked, with its defaults, and with the namespaces,
 * accounts and addresses that pods presuppose. What a cluster has is taken as it is, and as far as it can be used.
 */
export type Origin = "files" | "cluster";

export function readManifests(items: readonly Item[], origin: Origin = "files"): Manifests {
  const collected = collect(items, origin);
  const { policies, staged, tiers, profiles, networkSets, slices, rawPods, services, hostEndpoints, felixConfigurations, nodes, problems, passedOver } = collected;
  if (origin === "files") presupposeNodes(hostEndpoints, nodes);
  const { failsafes, endpointToHost } = readHostSettings(felixConfigurations, problems);
  const { pods, hostPods } = readPods(rawPods, profiles, origin);
  const placeholders = createPlaceholders(netsOf(collected, pods, failsafes));
  const addressless = [...giveAddresses(nodes, placeholders), ...(origin === "files" ? giveAddresses(pods, placeholders) : [])];
  if (addressless.length > 0) problems.push(`${items[0]?.at ?? ""}: ${addressless[0]} has no address, and the nets of the manifests leave none that could stand for it; give Pods status.podIPs and Nodes status.addresses`);
  const known = new Set(slices.map(({ service }) => `${service.namespace}/${service.name}`));
  const podsByNamespace = Map.groupBy(rawPods, ({ metadata }) => metadata.namespace ?? "");
  const derived = services.filter(({ metadata }) => !known.has(`${metadata.namespace ?? ""}/${metadata.name}`)).flatMap((service) => sliceOf(service, podsByNamespace.get(service.metadata.namespace ?? "") ?? [], pods));
  return {
    world: { policies, tiers: [...tiers.values()], profiles: [...profiles.values()], endpoints: [...pods.values()], hostEndpoints, failsafes, networkSets, serviceSlices: [...slices, ...derived], nodes: [...nodes.values()] },
    staged, pods, hostPods, nodes: new Map([...nodes].map(([name, { addresses }]) => [name, addresses])), endpointToHost, problems, passedOver,
  };
}

type Collected = {
  readonly policies: Policy[];
  readonly staged: StagedPolicy[];
  readonly tiers: Map<string, Tier>;
  readonly profiles: Map<string, Profile>;
  readonly networkSets: NetworkSet[];
  readonly slices: ServiceSlice[];
  readonly rawPods: KubeObject[];
  readonly services: KubeObject[];
  readonly hostEndpoints: HostEndpoint[];
  readonly felixConfigurations: HostSettings[];
  readonly nodes: Map<string, World["nodes"][number]>;
  readonly problems: string[];
  readonly passedOver: Map<string, number>;
};

/** The objects by what they are; each once. */
function collect(items: readonly Item[], origin: Origin): Collected {
  const collected: Collected = {
    policies: [], staged: [], tiers: new Map(builtInTiers.map((tier) => [tier.name, tier])), profiles: new Map(builtInProfiles.map((profile) => [profile.id, profile])), networkSets: [], slices: [], rawPods: [], services: [],
    hostEndpoints: [], felixConfigurations: [], nodes: new Map(), problems: [], passedOver: new Map(),
  };
  const seen = new Map<string, string>();
  for (const item of items) {
    const written = item.value as KubeObject;
    const refusal = shapeProblem(written) ?? (hasName(written) ? null : "metadata.name is missing");
    if (refusal !== null) {
      collected.problems.push(`${item.at}: ${refusal}`);
      continue;
    }
    const object = CLUSTER_SCOPED.has(written.kind) ? written : { ...written, metadata: { ...written.metadata, namespace: written.metadata.namespace ?? "default" } };
    const key = `${object.apiVersion} ${object.kind} ${object.metadata.namespace ?? ""}/${object.metadata.name}`;
    const before = seen.get(key);
    if (before === undefined) collectOne(object, item, origin, collected);
    else collected.problems.push(`${item.at}: ${object.kind} ${object.metadata.name} is at ${before} already`);
    seen.set(key, before ?? item.at);
  }
  return collected;
}

function collectOne(object: KubeObject, { at, placeOf }: Item, origin: Origin, { policies, staged, tiers, profiles, networkSets, slices, rawPods, services, hostEndpoints, felixConfigurations, nodes, problems, passedOver }: Collected): void {
  /** The value of a conversion without errors. */
  function use<M>({ value, findings }: Conversion<M>): M[] {
    const errors = findings.filter(({ severity }) => severity !== "warning");
    problems.push(...errors.map(({ field, message, suggestion }) => `${placeOf(field)}: ${object.kind} ${object.metadata.name}: ${field}: ${message.split("; ")[0] ?? message}${suggestion === undefined ? "" : `; ${suggestion}`}`));
    return value === null || (origin === "files" && errors.length > 0) ? [] : [value];
  }
  /** The same of an object whose definition the API server checks first. */
  function checked<M>(convert: (raw: KubeObject) => Conversion<M>): M[] {
    const refused = origin === "files" ? problemsOf(object, placeOf) : [];
    problems.push(...refused);
    return refused.length > 0 ? [] : use(convert(object));
  }
  const type = `${object.apiVersion} ${object.kind}`;
  switch (type) {
    case "v1 Pod": rawPods.push(object); break;
    case "v1 Service": services.push(object); break;
    case "v1 Namespace": for (const profile of use(convertNamespace(named(object)))) profiles.set(profile.id, profile); break;
    case "v1 ServiceAccount": for (const profile of use(convertServiceAccount(object))) profiles.set(profile.id, profile); break;
    case "v1 Node": nodes.set(object.metadata.name, nodeOf(object)); break;
    case "discovery.k8s.io/v1 EndpointSlice": slices.push(...use(convertEndpointSlice(object))); break;
    case "networking.k8s.io/v1 NetworkPolicy": policies.push(...use(convertKubernetesNetworkPolicy(object))); break;
    case "policy.networking.k8s.io/v1alpha2 ClusterNetworkPolicy": policies.push(...use(convertClusterNetworkPolicy(object))); break;
    case "projectcalico.org/v3 NetworkPolicy": policies.push(...checked(convertNetworkPolicy)); break;
    case "projectcalico.org/v3 GlobalNetworkPolicy": policies.push(...checked(convertGlobalNetworkPolicy)); break;
    case "projectcalico.org/v3 StagedNetworkPolicy": staged.push(...checked(convertStagedNetworkPolicy)); break;
    case "projectcalico.org/v3 StagedGlobalNetworkPolicy": staged.push(...checked(convertStagedGlobalNetworkPolicy)); break;
    case "projectcalico.org/v3 StagedKubernetesNetworkPolicy": staged.push(...checked(convertStagedKubernetesNetworkPolicy)); break;
    case "projectcalico.org/v3 Tier": for (const tier of checked(convertTier)) tiers.set(tier.name, tier); break;
    case "projectcalico.org/v3 NetworkSet": networkSets.push(...checked(convertNetworkSet)); break;
    case "projectcalico.org/v3 GlobalNetworkSet": networkSets.push(...checked(convertGlobalNetworkSet)); break;
    case "projectcalico.org/v3 HostEndpoint": hostEndpoints.push(...checked(convertHostEndpoint)); break;
    case "projectcalico.org/v3 FelixConfiguration": felixConfigurations.push(...checked((raw): Conversion<HostSettings> => ({ value: { name: raw.metadata.name, at, spec: specOf(raw) }, findings: [] }))); break;
    default: {
      const refusal = refusalOfKind(object);
      if (refusal !== null) problems.push(`${placeOf(refusal.field)}: ${object.kind} ${object.metadata.name}: ${refusal.message}`);
      else passedOver.set(object.kind, (passedOver.get(object.kind) ?? 0) + 1);
    }
  }
}

/** Pods as endpoints; the namespaces and accounts that they presuppose join the profiles. */
/** A name that a node could have: only what has a node takes part. */
const SOMEWHERE = "somewhere";

function readPods(rawPods: readonly KubeObject[], profiles: Map<string, Profile>, origin: Origin): { pods: Map<string, WorkloadEndpoint>; hostPods: Map<string, string> } {
  const pods = new Map<string, WorkloadEndpoint>();
  const hostPods = new Map<string, string>();
  for (const raw of rawPods) {
    const spec = specOf(raw);
    const namespace = raw.metadata.namespace ?? "";
    const account = textOf(spec["serviceAccountName"]) || "default";
    const node = textOf(spec["nodeName"]);
    const key = `${namespace}/${raw.metadata.name}`;
    if (spec["hostNetwork"] === true) {
      hostPods.set(key, node);
      continue;
    }
    // In files, one that no scheduler has seen yet counts as running somewhere.
    const { value } = convertPod(origin === "cluster" ? raw : { ...raw, spec: { ...spec, serviceAccountName: account, nodeName: node || SOMEWHERE } });
    if (value === null) continue;
    if (origin === "cluster") {
      pods.set(key, value);
      continue;
    }
    const presupposed = [convertNamespace(named({ apiVersion: "v1", kind: "Namespace", metadata: { name: namespace } } as KubeObject)), convertServiceAccount({ metadata: { namespace, name: account } })];
    for (const { value: profile } of presupposed) if (profile !== null && !profiles.has(profile.id)) profiles.set(profile.id, profile);
    pods.set(key, { ...value, node });
  }
  return { pods, hostPods };
}

/** Nodes that only host endpoints tell of, with the addresses that these expect. */
function presupposeNodes(hostEndpoints: readonly HostEndpoint[], nodes: Collected["nodes"]): void {
  for (const [node, its] of Map.groupBy(hostEndpoints, (endpoint) => endpoint.node)) {
    if (nodes.has(node)) continue;
    nodes.set(node, { labels: {}, addresses: [...new Set(its.flatMap(({ expectedIps }) => expectedIps))] });
  }
}

/** A namespace with the label that the API server gives it. */
function named(namespace: KubeObject): KubeObject {
  const { name } = namespace.metadata;
  return { ...namespace, metadata: { ...namespace.metadata, labels: { ...objectOf(namespace.metadata.labels), "kubernetes.io/metadata.name": name } } };
}

function nodeOf(object: KubeObject): World["nodes"][number] {
  const { labels = {}, addresses = [] } = convertNode(object).value ?? {};
  return { labels, addresses };
}

/** All that tells addresses apart. */
function netsOf({ policies, staged, networkSets, slices, hostEndpoints, nodes }: Collected, pods: Manifests["pods"], { inbound, outbound }: Failsafes): string[] {
  const rules = [...policies, ...staged.flatMap(({ policy }) => policy ?? [])].flatMap((policy) => [...policy.inbound, ...policy.outbound]);
  return [
    ...rules.flatMap(({ source, destination }) => [source, destination]).flatMap(({ nets, notNets }) => [...nets, ...notNets]),
    ...networkSets.flatMap(({ nets }) => nets), ...[...inbound, ...outbound].flatMap(({ net }) => net ?? []),
    ...[...slices, ...nodes.values(), ...pods.values()].flatMap(({ addresses }) => addresses), ...hostEndpoints.flatMap(({ expectedIps }) => expectedIps),
  ];
}

/** Gives those without an address one of each family that nobody has; the names of those that cannot have them. */
function giveAddresses<T extends { readonly addresses: readonly IpAddress[] }>(all: Map<string, T>, next: () => IpAddress[]): string[] {
  const without: string[] = [];
  for (const [name, value] of all) {
    if (value.addresses.length > 0) continue;
    const addresses = next();
    if (addresses.length < 2) without.push(name);
    all.set(name, { ...value, addresses });
  }
  return without;
}
