/** NetworkSet, GlobalNetworkSet, HostEndpoint. */
import { z } from "zod";
import { NODE_NAME } from "../names.ts";
import { address, net, portNumber } from "./shapes.ts";
import { trap, withRules } from "./rules.ts";

export const networkSetSpec = z.strictObject({
  nets: z.array(net).max(65_536).optional(),
  allowedEgressDomains: trap(z.array(z.string().max(253)).max(1024), "domain names are not part of this product; list the networks in nets"),
});

export const hostEndpointSpec = withRules(
  z.strictObject({
    node: z.string().max(253).regex(NODE_NAME, "the name of one Node is needed; make a host endpoint for each, or set hostEndpoint.autoCreate of KubeControllersConfiguration"),
    interfaceName: z.string().max(15, "the name of an interface has at most 15 characters").optional(),
    expectedIPs: z.array(address).max(256).optional(),
    profiles: z.array(z.string().max(253)).max(64).optional(),
    ports: z.array(z.strictObject({ name: z.string().max(128), protocol: z.union([z.int(), z.string().max(16)]).meta({ "x-kubernetes-int-or-string": true }), port: portNumber })).max(256).optional(),
  }),
  [
    {
      cel: "(has(self.interfaceName) && self.interfaceName != '') || (has(self.expectedIPs) && self.expectedIPs.size() > 0)", path: ["interfaceName"], message: "a host endpoint needs an interfaceName or expectedIPs",
      check: ({ interfaceName = "", expectedIPs = [] }) => interfaceName !== "" || expectedIPs.length > 0,
    },
  ],
);
