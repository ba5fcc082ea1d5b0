import { ConfigError } from "@calico/service-kit";
import { describe, expect, it } from "vitest";
import { checkConfig, defaultObjects, defaultPools } from "./default-objects.ts";

const config = {
  ipv4PoolCidr: "192.168.0.0/16", ipv4PoolBlockSize: 26, ipv4PoolNatOutgoing: true, ipv4PoolIpip: "Never", ipv4PoolVxlan: "Never", ipv6PoolCidr: "none", ipv6PoolBlockSize: 122, ipv6PoolNatOutgoing: false, ipPools: "", leakGracePeriod: 900_000,
} as const;

describe("default objects", () => {
  it("are Calico's pool, tiers and configurations", () => {
    expect(defaultPools(config)).toMatchObject([{ name: "default-ipv4-ippool", spec: { cidr: "192.168.0.0/16", blockSize: 26, natOutgoing: true, ipipMode: "Never", vxlanMode: "Never" } }]);
    expect(defaultPools({ ...config, ipv4PoolCidr: "none", ipv6PoolCidr: "fd00::/48" }).map(({ name }) => name)).toEqual(["default-ipv6-ippool"]);
    expect(defaultObjects(config).map(({ type, name }) => `${type.kind}/${name}`)).toEqual([
      "Tier/kube-admin", "Tier/default", "Tier/kube-baseline", "FelixConfiguration/default", "BGPConfiguration/default", "IPAMConfiguration/default", "KubeControllersConfiguration/default",
    ]);
  });

  it("are not made with an encapsulation that this version does not build", () => {
    expect(() => checkConfig(config)).not.toThrow();
    expect(() => checkConfig({ ...config, ipv4PoolVxlan: "CrossSubnet" })).not.toThrow();
    expect(() => checkConfig({ ...config, ipv4PoolIpip: "Always" })).toThrow(ConfigError);
    expect(() => checkConfig({ ...config, ipv4PoolIpip: "Always" })).toThrow("CALICO_IPV4POOL_IPIP=Always");
  });
});
