/** The chart's values under which Kubernetes' own tests run: both address families. */
import { POD_CIDR } from "../lab/components.ts";

export const conformanceValues = {
  installation: {
    calicoNetwork: {
      bgp: "Enabled",
      ipPools: [
        { cidr: POD_CIDR, encapsulation: "None", natOutgoing: "Enabled", nodeSelector: "all()" },
        { cidr: "fd00:65::/48", encapsulation: "None", natOutgoing: "Enabled", nodeSelector: "all()" },
      ],
      nodeAddressAutodetectionV4: { interface: "eth0" },
      nodeAddressAutodetectionV6: { interface: "eth0" },
    },
  },
};
