/** Sides of a rule. */
import type { EntityMatch } from "../model.ts";

/** Any address, any port. */
export const ANY_ENTITY: EntityMatch = { nets: [], notNets: [], ports: [], notPorts: [], namedPorts: [], notNamedPorts: [], selector: null, notSelector: null, service: null };
