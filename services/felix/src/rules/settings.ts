import type { FailsafePort } from "@calico/calc";

/** What the rendering depends on besides policies and endpoints. */
export type RenderSettings = {
  readonly interfacePrefix: string;
  readonly defaultEndpointToHostAction: "Drop" | "Return" | "Accept";
  readonly iptablesFilterDenyAction: "Drop" | "Reject";
  readonly natPortRange: string;
  readonly natOutgoingAddress: string;
  readonly disableConntrackInvalidCheck: boolean;
  readonly vxlanPort: number;
  readonly allowVXLANPacketsFromWorkloads: boolean;
  readonly allowIPIPPacketsFromWorkloads: boolean;
  readonly ipv6Support: boolean;
  readonly logPrefix: string;
  readonly logActionRateLimit: string;
  readonly logActionRateLimitBurst: number;
  readonly failsafeInboundHostPorts: readonly FailsafePort[];
  readonly failsafeOutboundHostPorts: readonly FailsafePort[];
  /** Any: pods may have source addresses beside their own, where an annotation names them. */
  readonly workloadSourceSpoofing: "Disabled" | "Any";
};
