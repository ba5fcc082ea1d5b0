/** CHECK: is what ADD made still there (CNI specification 1.1, "CHECK")? */
import { addressOf, canonicalAddress, cidrParts } from "@calico/model";
import type { IpAddress } from "@calico/model";
import type { Surroundings } from "./commands.ts";
import { CniError, CODE } from "./errors.ts";
import type { CniRequest } from "./request.ts";

/** Throws a CniError that lists what is missing. Changes nothing. */
export function check(request: CniRequest, { containers, network }: Pick<Surroundings, "containers" | "network">): void {
  const { prevResult } = request.config;
  if (prevResult === undefined) throw new CniError(CODE.invalidConfig, "network configuration: prevResult is missing", "the runtime must hand over what ADD gave back");
  const known = containers.load(request.containerId, request.ifname);
  if (known === null) throw new CniError(CODE.unknownContainer, `container ${request.containerId} has no interface ${request.ifname} of this plugin`);
  const addresses = known.addresses as IpAddress[];
  const claimed = (prevResult.ips ?? []).map(({ address }) => hostOf(address));
  const strange = addresses.filter((address) => !claimed.includes(address)).map((address) => `prevResult does not name ${address}, which the container has`);
  const problems = [...strange, ...network.problems({ hostInterface: known.hostInterface, hostIndex: known.hostIndex, netns: request.netns, podInterface: known.ifname, addresses, defaultRoutes: request.config.include_default_routes ?? true })];
  if (problems.length > 0) throw new CniError(CODE.failed, "the container's network is not as ADD left it", problems.join("; "));
}

/** The address of "10.0.0.1/32"; the text itself when it is none. */
function hostOf(text: string): string {
  try {
    return addressOf(cidrParts(text).cidr);
  } catch {
    return canonicalAddress(text) ?? text;
  }
}
