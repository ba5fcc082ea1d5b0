/** Rules that conversions put together themselves. */
import type { Action, EntityMatch, Rule } from "../model.ts";

/** Any address, any port. */
export const ANYONE: EntityMatch = {
  nets: [], notNets: [], ports: [], notPorts: [], namedPorts: [], notNamedPorts: [], selector: null, notSelector: null, service: null, nodes: null,
};

/** A rule about every packet. */
export function ruleForAll(action: Action, index: number): Rule {
  return { action, ipVersion: 0, protocol: null, notProtocol: null, icmp: null, notIcmp: null, source: ANYONE, destination: ANYONE, index };
}
