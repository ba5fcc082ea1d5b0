/** What FelixConfigurations say about hosts, as far as verdicts depend on it. */
import { defaultFailsafes, type EndpointToHostAction, type FailsafePort, type Failsafes } from "@calico/calc";
import { listOf, objectOf, parseCidr, protocolNumber, textOf } from "@calico/model";

/** A FelixConfiguration and where it was read. */
export type HostSettings = { readonly name: string; readonly at: string; readonly spec: Readonly<Record<string, unknown>> };

const FAILSAFES = ["failsafeInboundHostPorts", "failsafeOutboundHostPorts"] as const;
const ACTIONS: readonly EndpointToHostAction[] = ["Drop", "Accept", "Return"];

/** Failsafes are those of `default`, for all nodes alike: a problem is added for a node that has its own. */
export function readHostSettings(configurations: readonly HostSettings[], problems: string[]): { failsafes: Failsafes; endpointToHost: (node: string) => EndpointToHostAction | null } {
  const specByName = new Map(configurations.map(({ name, spec }) => [name, spec]));
  for (const { name, at, spec } of configurations) {
    if (name !== "default" && FAILSAFES.some((field) => spec[field] !== undefined)) problems.push(`${at}: FelixConfiguration ${name}: failsafe ports of one node are not evaluated by this version`);
  }
  const [inbound, outbound] = FAILSAFES.map((field) => specByName.get("default")?.[field]);
  const actionIn = (name: string): EndpointToHostAction | undefined => {
    const written = textOf(specByName.get(name)?.["defaultEndpointToHostAction"]).toLowerCase();
    return ACTIONS.find((action) => action.toLowerCase() === written);
  };
  return {
    failsafes: { inbound: inbound === undefined ? defaultFailsafes.inbound : portsOf(inbound), outbound: outbound === undefined ? defaultFailsafes.outbound : portsOf(outbound) },
    endpointToHost: (node) => actionIn(`node.${node}`) ?? actionIn("default") ?? null,
  };
}

function portsOf(written: unknown): FailsafePort[] {
  return listOf(written).map(objectOf).flatMap(({ protocol, port, net }) => {
    const number = protocolNumber(protocol ?? "TCP");
    const parsed = typeof net === "string" ? parseCidr(net) : undefined;
    return number === null || typeof port !== "number" || port < 1 || parsed === null ? [] : [{ protocol: number, port, net: parsed?.cidr ?? null }];
  });
}
