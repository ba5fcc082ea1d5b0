/** NetworkPolicy, GlobalNetworkPolicy, Tier. */
import { z } from "zod";
import { anyObject, condition, intOrString, net, ruleNamespaceSelector, ruleSelector, selector } from "./shapes.ts";
import { trap, withRules, type Rule } from "./rules.ts";

const nets = z.array(net).max(4096).optional();
const ports = z.array(intOrString).max(1024).optional();
const names = z.array(z.string().max(253)).max(256).optional();
const kubernetesSyntax = "this is the syntax of a Kubernetes NetworkPolicy (networking.k8s.io/v1)";

const entityRule = withRules(
  z.strictObject({
    nets, notNets: nets, selector: ruleSelector.optional(), notSelector: ruleSelector.optional(), namespaceSelector: ruleNamespaceSelector.optional(), ports, notPorts: ports,
    serviceAccounts: z.strictObject({ names, selector: ruleSelector.optional() }).optional(),
    services: z.strictObject({ name: z.string().max(253), namespace: z.string().max(63).optional() }).optional(),
  }),
  [
    {
      cel: "!has(self.services) || !(has(self.nets) || has(self.notNets) || has(self.selector) || has(self.notSelector) || has(self.namespaceSelector) || has(self.serviceAccounts))", path: ["services"],
      message: "services cannot be combined with nets, selectors or serviceAccounts",
      check: (side) => side.services === undefined || [side.nets, side.notNets, side.selector, side.notSelector, side.namespaceSelector, side.serviceAccounts].every((field) => field === undefined),
    },
  ],
);

const icmp = withRules(z.strictObject({ type: z.int().min(0).max(254).optional(), code: z.int().min(0).max(255).optional() }), [
  { cel: "!has(self.code) || has(self.type)", path: ["code"], message: "a code needs a type", check: ({ type, code }) => code === undefined || type !== undefined },
]).optional();

const http = z.strictObject({ methods: z.array(z.string().max(64)).max(20).optional(), paths: z.array(z.strictObject({ exact: z.string().max(1024).optional(), prefix: z.string().max(1024).optional() })).max(20).optional() });

/** A rule of one direction; `own` is the side of whom the policy is about. */
const policyRule = (own: "source" | "destination") => withRules(
  z.strictObject({
    // Needed, but as a rule: where a required field is missing, the API server does not evaluate the traps below.
    action: z.enum(["Allow", "Deny", "Log", "Pass"]).optional(),
    ipVersion: z.union([z.literal(4), z.literal(6)]).meta({ type: "integer", enum: [4, 6] }).optional(),
    protocol: intOrString.optional(), notProtocol: intOrString.optional(),
    icmp, notICMP: icmp, source: entityRule.optional(), destination: entityRule.optional(), http: http.optional(),
    metadata: z.strictObject({ annotations: z.record(z.string(), z.string()).optional() }).optional(),
    from: trap(z.array(anyObject).max(256), `${kubernetesSyntax}; here a rule has an action, and a source with nets, selector or namespaceSelector, such as source: {namespaceSelector: "app == 'frontend'"}`),
    to: trap(z.array(anyObject).max(256), `${kubernetesSyntax}; here a rule has an action, and a destination with nets, selector or namespaceSelector`),
  }),
  [
    { cel: "has(self.action)", path: ["action"], message: "every rule needs an action: Allow, Deny, Log or Pass", check: ({ action }) => action !== undefined },
    {
      cel: `!has(self.${own}) || !has(self.${own}.services)`, path: [own], message: "only the destination of an egress rule and the source of an ingress rule may be a Service",
      check: ({ [own]: side }) => side?.services === undefined,
    },
    {
      cel: "!has(self.destination) || !has(self.destination.services) || !(has(self.destination.ports) || has(self.destination.notPorts))", path: ["destination"],
      message: "a destination that is a Service has the Service's ports: ports and notPorts cannot be combined with services",
      check: ({ destination }) => destination?.services === undefined || (destination.ports === undefined && destination.notPorts === undefined),
    },
    {
      cel: "!(has(self.icmp) || has(self.notICMP)) || (has(self.protocol) && (self.protocol == 'ICMP' || self.protocol == 'ICMPv6' || self.protocol == 1 || self.protocol == 58))", path: ["icmp"],
      message: "icmp and notICMP need protocol ICMP or ICMPv6",
      check: ({ icmp: yes, notICMP: no, protocol }) => (yes === undefined && no === undefined) || ["ICMP", "ICMPv6", 1, 58].some((known) => known === protocol),
    },
  ],
);

const rulesOf = (own: "source" | "destination") => z.array(policyRule(own)).max(1024).optional();
export const policyFields = {
  tier: z.string().max(63).regex(/^([a-z0-9]([a-z0-9-]*[a-z0-9])?)?$/, "the name of a tier is needed: small letters, digits and -").default("default"),
  order: z.number().optional(),
  selector: selector.optional(),
  serviceAccountSelector: selector.optional(),
  types: z.array(z.enum(["Ingress", "Egress"])).min(1).max(2).optional(),
  ingress: rulesOf("destination"), egress: rulesOf("source"),
  performanceHints: z.array(z.enum(["AssumeNeededOnEveryNode"])).max(1).optional(),
  podSelector: trap(anyObject, `${kubernetesSyntax}; here it is selector: "app == 'web'"`),
  policyTypes: trap(z.array(z.string().max(16)).max(4), `${kubernetesSyntax}; here it is types`),
};

export const networkPolicySpec = z.strictObject(policyFields);

export const globalFields = { ...policyFields, namespaceSelector: selector.optional(), doNotTrack: z.boolean().optional(), preDNAT: z.boolean().optional(), applyOnForward: z.boolean().optional() };
type Stages = { readonly [flag in "preDNAT" | "doNotTrack" | "applyOnForward"]?: boolean | undefined } & { readonly egress?: readonly unknown[] | undefined; readonly types?: readonly string[] | undefined };
export const stageRules: readonly Rule<Stages>[] = [
  { cel: "!(has(self.preDNAT) && self.preDNAT && has(self.doNotTrack) && self.doNotTrack)", path: ["preDNAT"], message: "preDNAT and doNotTrack exclude each other", check: ({ preDNAT, doNotTrack }) => !(preDNAT === true && doNotTrack === true) },
  {
    cel: "!((has(self.preDNAT) && self.preDNAT) || (has(self.doNotTrack) && self.doNotTrack)) || (has(self.applyOnForward) && self.applyOnForward)", path: ["applyOnForward"], message: "a policy with preDNAT or doNotTrack needs applyOnForward: true",
    check: ({ preDNAT, doNotTrack, applyOnForward }) => (preDNAT !== true && doNotTrack !== true) || applyOnForward === true,
  },
  {
    cel: "!(has(self.preDNAT) && self.preDNAT) || !((has(self.egress) && self.egress.size() > 0) || (has(self.types) && 'Egress' in self.types))", path: ["egress"], message: "a preDNAT policy is about ingress only",
    check: ({ preDNAT, egress, types }) => preDNAT !== true || ((egress ?? []).length === 0 && types?.includes("Egress") !== true),
  },
];

export const globalNetworkPolicySpec = withRules(z.strictObject(globalFields), stageRules);

export const tierSpec = z.strictObject({ order: z.number().optional(), defaultAction: z.enum(["Deny", "Pass"]).default("Deny") });
export const tierStatus = z.strictObject({ conditions: z.array(condition).optional() });
