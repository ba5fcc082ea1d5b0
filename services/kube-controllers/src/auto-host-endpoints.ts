/** Which host endpoints the nodes of a cluster have without anybody making them. Pure. */
import {
  canonicalAddress, contains, DEFAULT_ALLOW_PROFILE, NODE_IPV4_ANNOTATION, NODE_IPV6_ANNOTATION, NODE_VXLAN_ADDRESS_ANNOTATION, parseCidr, parseSelector, type Cidr, type IpAddress, type Labels, type Selector,
} from "@calico/model";
import type { KubeObject } from "@calico/datastore";
import type { KubeControllersConfigurationSpec } from "@calico/model/resources";

type Written = NonNullable<NonNullable<NonNullable<KubeControllersConfigurationSpec["controllers"]>["node"]>["hostEndpoint"]>;

/** One for each node that the selector matches and that has an address in one of the ranges. */
export type HostEndpointTemplate = { readonly generateName: string; readonly interfaceCidrs: readonly Cidr[]; readonly labels: Labels; readonly nodeSelector: Selector };

export type HostEndpointSettings = {
  readonly autoCreate: boolean;
  /** The one for all interfaces of a node. */
  readonly createDefault: boolean;
  readonly templates: readonly HostEndpointTemplate[];
  /** Names of the templates that cannot be used: what was made from them stays as it is. */
  readonly unreadable: ReadonlySet<string>;
  /** Why they cannot. */
  readonly issues: readonly TemplateIssue[];
};
export type TemplateIssue = { readonly field: string; readonly message: string };

/** A Node, as far as its host endpoints depend on it. */
export type NodeView = { readonly name: string; readonly labels: Labels; readonly addresses: readonly IpAddress[] };

export type AutoHostEndpoint = {
  readonly name: string;
  readonly labels: Labels;
  readonly spec: { readonly node: string; readonly interfaceName?: string; readonly expectedIPs: readonly IpAddress[]; readonly profiles: readonly string[] };
};

const CREATED_BY_LABEL = "projectcalico.org/created-by";
const CREATED_BY = "calico-kube-controllers";
const SUFFIX = "auto-hep";
const nameOf = (node: string, generateName: string): string => `${node}-${generateName}-${SUFFIX}`;

/** What the configuration asks for. The API server has checked it as far as it can; a template that cannot be used is told, and counts as none. Of two with one name the first counts. */
export function settingsOf({ autoCreate, createDefaultHostEndpoint, templates = [] }: Written): HostEndpointSettings {
  const usable: HostEndpointTemplate[] = [];
  const unreadable = new Set<string>();
  const issues: TemplateIssue[] = [];
  const names = new Set<string>();
  for (const [i, { generateName, interfaceCIDRs, labels = {}, nodeSelector = "" }] of templates.entries()) {
    const found: TemplateIssue[] = [];
    const refuse = (field: string, message: string): void => void found.push({ field: `controllers.node.hostEndpoint.templates[${i}].${field}`, message });
    if (names.has(generateName)) refuse("generateName", `another template is ${JSON.stringify(generateName)} already`);
    names.add(generateName);
    const interfaceCidrs = interfaceCIDRs.flatMap((text, j) => {
      const parsed = parseCidr(text);
      if (parsed === null) refuse(`interfaceCIDRs[${j}]`, `${JSON.stringify(text)} is not a CIDR`);
      return parsed === null ? [] : [parsed.cidr];
    });
    const selector = parseSelector(nodeSelector);
    if (!selector.ok) refuse("nodeSelector", `${JSON.stringify(nodeSelector)}: ${selector.message}`);
    if (found.length > 0) unreadable.add(generateName);
    else if (selector.ok) usable.push({ generateName, interfaceCidrs, labels, nodeSelector: selector.selector });
    issues.push(...found);
  }
  return { autoCreate: autoCreate === "Enabled", createDefault: createDefaultHostEndpoint !== "Disabled", templates: usable, unreadable, issues };
}

/** The addresses that the Node reports or is annotated with, its end of the overlay included; in order. */
export function nodeViewOf({ metadata, status }: KubeObject): NodeView {
  const reported = ((status ?? {}) as { addresses?: readonly { type?: string; address?: string }[] }).addresses ?? [];
  const texts = [
    ...[NODE_IPV4_ANNOTATION, NODE_IPV6_ANNOTATION, NODE_VXLAN_ADDRESS_ANNOTATION].map((name) => metadata.annotations?.[name] ?? ""),
    ...reported.filter(({ type }) => type === "InternalIP" || type === "ExternalIP").map(({ address = "" }) => address),
  ];
  const addresses = new Set(texts.flatMap((text) => canonicalAddress(text.split("/")[0] ?? "") ?? []));
  return { name: metadata.name, labels: metadata.labels ?? {}, addresses: [...addresses].sort() };
}

/** The host endpoints that the nodes shall have, by name. */
export function wantedHostEndpoints(nodes: Iterable<NodeView>, { autoCreate, createDefault, templates }: HostEndpointSettings): Map<string, AutoHostEndpoint> {
  const wanted = new Map<string, AutoHostEndpoint>();
  if (!autoCreate) return wanted;
  const add = (node: NodeView, name: string, labels: Labels, expectedIPs: readonly IpAddress[], interfaceName?: string): void => void wanted.set(name, {
    name, labels: { ...node.labels, ...labels, [CREATED_BY_LABEL]: CREATED_BY },
    spec: { node: node.name, ...(interfaceName === undefined ? {} : { interfaceName }), expectedIPs, profiles: [DEFAULT_ALLOW_PROFILE] },
  });
  for (const node of nodes) {
    if (createDefault) add(node, `${node.name}-${SUFFIX}`, {}, node.addresses, "*");
    for (const { generateName, interfaceCidrs, labels, nodeSelector } of templates) {
      const matching = node.addresses.filter((address) => interfaceCidrs.some((cidr) => contains(cidr, address)));
      if (matching.length > 0 && nodeSelector.evaluate(node.labels)) add(node, nameOf(node.name, generateName), labels, matching);
    }
  }
  return wanted;
}

/** True for one that this program made: it has its label and a name of its making. */
export function isAuto({ metadata }: KubeObject): boolean {
  return metadata.labels?.[CREATED_BY_LABEL] === CREATED_BY && metadata.name.endsWith(`-${SUFFIX}`);
}

/** True for one that a template made which cannot be used at the moment, of a node that is there: nobody can tell whether it is still wanted. */
export function isUndecided({ metadata, spec }: KubeObject, nodes: ReadonlyMap<string, NodeView>, { autoCreate, unreadable }: HostEndpointSettings): boolean {
  const { node = "" } = (spec ?? {}) as { node?: string };
  return autoCreate && nodes.has(node) && [...unreadable].some((generateName) => metadata.name === nameOf(node, generateName));
}

/** True when the object says what is wanted. */
export function isAsWanted(object: KubeObject, { labels, spec }: AutoHostEndpoint): boolean {
  const { node, interfaceName, expectedIPs = [], profiles = [], ...more } = (object["spec"] ?? {}) as Partial<AutoHostEndpoint["spec"]>;
  const comparable = (of: Labels): string => JSON.stringify(Object.entries(of).sort(([a], [b]) => (a < b ? -1 : 1)));
  return comparable(object.metadata.labels ?? {}) === comparable(labels) && JSON.stringify([node, interfaceName, expectedIPs, profiles, more]) === JSON.stringify([spec.node, spec.interfaceName, spec.expectedIPs, spec.profiles, {}]);
}
