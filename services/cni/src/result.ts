/** What an ADD gives back, in the version that the configuration asks for. */
import { familyOf, type IpAddress } from "@calico/model";
import type { CniVersion } from "./request.ts";

export type AddResult = {
  readonly hostInterface: string;
  readonly podInterface: string;
  readonly podMac: string;
  readonly netns: string;
  readonly mtu: number;
  readonly addresses: readonly IpAddress[];
};

/** The result object; addresses are single hosts, so that nothing is "on link". Gateways are those that the pod has routes to. */
export function renderResult(result: AddResult, cniVersion: CniVersion): object {
  const withMtu = cniVersion === "1.1.0" ? { mtu: result.mtu } : {};
  return {
    cniVersion,
    interfaces: [{ name: result.hostInterface }, { name: result.podInterface, mac: result.podMac, sandbox: result.netns, ...withMtu }],
    ips: result.addresses.map((address) => {
      const family = familyOf(address);
      const version = cniVersion.startsWith("0.") ? { version: String(family) } : {};
      return { ...version, interface: 1, address: `${address}/${family === 4 ? 32 : 128}` };
    }),
    routes: [],
    dns: {},
  };
}
