/** What a node needs once, so that it routes for its pods. */
import { existsSync } from "node:fs";
import { writeSysctl } from "@calico/kernel";
import type { Logger } from "@calico/service-kit";

/** Forwarding in both families, on the host as a whole. What cannot be written is said and left as it is. */
export function prepareHost(log: Logger, ipv6: boolean): void {
  const settings = ["ipv4/ip_forward", ...(ipv6 && existsSync("/proc/sys/net/ipv6/conf/all/forwarding") ? ["ipv6/conf/all/forwarding"] : [])];
  for (const name of settings) {
    try {
      if (writeSysctl(name, "1")) log.info("Kernel setting changed", { sysctl: `net/${name}`, value: "1" });
    } catch (error) {
      log.error("A kernel setting cannot be changed; pods will not reach other nodes", { sysctl: `net/${name}`, error });
    }
  }
}
