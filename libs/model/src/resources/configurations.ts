/** FelixConfiguration, KubeControllersConfiguration, ClusterInformation. */
import { z } from "zod";
import { anyObject, duration, labels, net, portNumber, portOrZero, selector, word } from "./shapes.ts";
import { trap } from "./rules.ts";

const flag = z.boolean().optional();
const severity = word("Trace", "Debug", "Info", "Warning", "Error", "Fatal").optional();
const failsafePorts = z.array(z.strictObject({ protocol: z.string().regex(/^([Tt][Cc][Pp]|[Uu][Dd][Pp]|[Ss][Cc][Tt][Pp])$/).default("TCP"), port: portNumber, net: net.optional() })).max(256).optional();

/** What this version of felix reads, and what people write for it that belongs elsewhere. */
export const felixConfigurationSpec = z.strictObject({
  bpfEnabled: flag,
  nftablesMode: z.enum(["Auto", "Enabled", "Disabled"]).optional(),
  interfacePrefix: z.string().regex(/^[a-zA-Z0-9_,-]{1,256}$/, "write what the names of the pods' interfaces begin with, such as cali").optional(),
  defaultEndpointToHostAction: word("Drop", "Accept", "Return").optional(),
  iptablesFilterDenyAction: word("Drop", "Reject").optional(),
  natPortRange: z.union([z.int(), z.string().max(11)]).meta({ "x-kubernetes-int-or-string": true }).optional(),
  natOutgoingAddress: z.string().max(45).optional(),
  disableConntrackInvalidCheck: flag,
  allowVXLANPacketsFromWorkloads: flag,
  allowIPIPPacketsFromWorkloads: flag,
  ipv6Support: flag,
  nftablesRefreshInterval: duration.optional(),
  routeRefreshInterval: duration.optional(),
  dataplaneWatchdogTimeout: duration.optional(),
  reportingInterval: duration.optional(),
  logPrefix: z.string().max(96).optional(),
  logActionRateLimit: z.string().max(16).regex(/^([1-9][0-9]{0,4}\/(second|minute|hour|day))?$/, 'write a number and second, minute, hour or day, such as "10/minute"').optional(),
  logActionRateLimitBurst: z.int().min(1).max(10_000).optional(),
  logSeverityScreen: severity,
  logSeverityFile: severity,
  failsafeInboundHostPorts: failsafePorts,
  failsafeOutboundHostPorts: failsafePorts,
  workloadSourceSpoofing: z.enum(["Disabled", "Any"]).optional(),
  healthEnabled: flag,
  healthHost: z.string().max(253).optional(),
  healthPort: portNumber.optional(),
  prometheusMetricsEnabled: flag,
  prometheusMetricsHost: z.string().max(253).optional(),
  prometheusMetricsPort: portNumber.optional(),
  mtu: z.int().min(0).max(65_535).optional(),
  mtuIfacePattern: z.string().max(512).optional(),
  vxlanEnabled: flag,
  vxlanMTU: z.int().min(0).max(65_535).optional(),
  vxlanPort: portNumber.optional(),
  vxlanVNI: z.int().min(1).max(16_777_215).optional(),
  featureDetectOverride: z.string().max(1_024).optional(),
  iptablesNATOutgoing: trap(z.boolean(), "there is no such field; whether traffic that leaves a pool is masqueraded is natOutgoing of the IPPool"),
  conntrackMaxPerCore: trap(z.int(), "this is a field of kube-proxy (conntrack.maxPerCore); the kernel's limit is the sysctl net.netfilter.nf_conntrack_max"),
});

const enabled = z.enum(["Enabled", "Disabled"]).optional();
const ONE_NAME = "two templates have one generateName, and their host endpoints would have one name; give each its own";
const hostEndpoint = z.strictObject({
  autoCreate: enabled,
  createDefaultHostEndpoint: enabled,
  templates: z.array(z.strictObject({
    generateName: z.string().max(253).regex(/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/, "a part of a name of lower-case letters, digits, '-' and '.' is needed"),
    interfaceCIDRs: z.array(net).min(1).max(64),
    interfacePattern: trap(z.string().max(256), "the interfaces of other nodes are not known here; write interfaceCIDRs with the networks that they are in").optional(),
    labels: labels.optional(),
    nodeSelector: selector.optional(),
  })).max(64).refine((templates) => new Set(templates.map(({ generateName }) => generateName)).size === templates.length, ONE_NAME)
    .meta({ "x-kubernetes-validations": [{ rule: "self.all(one, self.exists_one(other, other.generateName == one.generateName))", message: ONE_NAME }] }).optional(),
});

const controller = z.strictObject({ reconcilerPeriod: duration.optional() }).optional();

export const kubeControllersConfigurationSpec = z.strictObject({
  logSeverityScreen: severity,
  healthChecks: z.enum(["Enabled", "Disabled"]).optional(),
  prometheusMetricsPort: portOrZero.optional(),
  etcdV3CompactionPeriod: duration.optional(),
  controllers: z.strictObject({
    node: z.strictObject({
      reconcilerPeriod: duration.optional(), leakGracePeriod: duration.optional(), syncLabels: z.enum(["Enabled", "Disabled"]).optional(),
      hostEndpoint: hostEndpoint.optional(),
    }).optional(),
    policy: controller, workloadEndpoint: controller, serviceAccount: controller, namespace: controller,
    loadBalancer: z.strictObject({ assignIPs: z.enum(["AllServices", "RequestedServicesOnly"]).optional() }).optional(),
  }).optional(),
});
export const kubeControllersConfigurationStatus = z.strictObject({ runningConfig: anyObject.optional(), environmentVars: z.record(z.string(), z.string()).optional() });

export const clusterInformationSpec = z.strictObject({
  clusterGUID: z.string().max(64).optional(),
  clusterType: z.string().max(256).optional(),
  calicoVersion: z.string().max(64).optional(),
  datastoreReady: z.boolean().optional(),
  variant: z.string().max(64).optional(),
});
