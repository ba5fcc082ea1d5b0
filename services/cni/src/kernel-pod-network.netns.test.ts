import type { IpAddress } from "@calico/model";
import { createTestNetns, type TestNetns } from "@calico/kernel/testing";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createKernelPodNetwork } from "./kernel-pod-network.ts";
import type { PodNetwork } from "./ports.ts";

let host: TestNetns;
let pod: TestNetns;
let network: PodNetwork;
beforeEach(() => {
  host = createTestNetns("cnih");
  pod = createTestNetns("cnip");
  network = host.run(() => createKernelPodNetwork());
});
afterEach(() => {
  for (const netns of [pod, host]) netns[Symbol.dispose]();
});

const spec = () => ({ hostInterface: "cali0123456789a", podInterface: "eth0", netns: pod.path, mtu: 1430, addresses: ["10.65.0.1", "fd65::1"] as IpAddress[], mac: null as string | null, defaultRoutes: true, forwarding: null as boolean | null });
const setUp = (): { hostIndex: number; podMac: string } => host.run(() => network.setUp(spec()));
const problems = (hostIndex: number): string[] => host.run(() => network.problems({ ...spec(), hostIndex }));

describe("a pod's veth pair", () => {
  it("2.4 ADD: has the addresses, the gateways, the MTU and the neighbours, and is up on both sides", () => {
    const { hostIndex, podMac } = setUp();
    expect(host.exec("ip", "-o", "link", "show", "cali0123456789a")).toMatch(/mtu 1430 .*state UP.*link\/ether ee:ee:ee:ee:ee:ee/);
    expect(host.exec("cat", "/sys/class/net/lo/ifindex").trim()).toBe("1");
    expect(pod.exec("ip", "-o", "link", "show", "eth0")).toContain(podMac);
    expect(pod.exec("ip", "-4", "route").trim().split(/\s*\n\s*/)).toEqual(["default via 169.254.1.1 dev eth0", "169.254.1.1 dev eth0 scope link"]);
    expect(pod.exec("ip", "-6", "route", "show", "default")).toContain("default via fe80::ecee:eeff:feee:eeee dev eth0");
    expect(pod.exec("ip", "-o", "addr", "show", "eth0")).toMatch(/inet 10\.65\.0\.1\/32[\s\S]*inet6 fd65::1\/128/);
    expect(pod.exec("ip", "neigh")).toContain("169.254.1.1 dev eth0 lladdr ee:ee:ee:ee:ee:ee PERMANENT");
    expect([network.isUp({ hostInterface: "cali0123456789a", hostIndex }), problems(hostIndex)]).toEqual([true, []]);
  });

  it("2.4 NetConf fields: include_default_routes false leaves the route to the gateway alone, and CHECK is content with that", () => {
    const { hostIndex } = host.run(() => network.setUp({ ...spec(), defaultRoutes: false }));
    expect([pod.exec("ip", "-4", "route").trim(), pod.exec("ip", "-6", "route", "show", "default")]).toEqual(["169.254.1.1 dev eth0 scope link", ""]);
    expect(host.run(() => network.problems({ ...spec(), defaultRoutes: false, hostIndex }))).toEqual([]);
  });

  it.each([[true, "1"], [false, "0"]])("2.4 NetConf fields: container_settings.allow_ip_forwarding %s is a setting of the pod's namespace", (forwarding, value) => {
    host.run(() => network.setUp({ ...spec(), forwarding }));
    expect(pod.exec("cat", "/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding").trim().split("\n")).toEqual([value, value]);
  });

  it("2.4 Annotations: hwAddr: has the MAC address that is asked for", () => {
    const { podMac } = host.run(() => network.setUp({ ...spec(), mac: "02:00:5e:10:00:01" }));
    expect(podMac).toBe("02:00:5e:10:00:01");
    expect(pod.exec("ip", "-o", "link", "show", "eth0")).toContain("link/ether 02:00:5e:10:00:01");
  });

  it("leaves nothing when the pod has an interface of that name, or its namespace is gone", () => {
    pod.exec("ip", "link", "add", "eth0", "type", "bridge");
    expect(setUp).toThrow("the pod's network namespace has an interface eth0 already");
    expect(() => host.run(() => network.setUp({ ...spec(), netns: "/run/netns/gone" }))).toThrow(/ENOENT/);
    expect(host.exec("ip", "-o", "link")).not.toContain("cali");
  });

  it("replaces a pair of that name which an older sandbox left", () => {
    const first = setUp();
    const second = setUp();
    expect(second.hostIndex).not.toBe(first.hostIndex);
    expect(problems(first.hostIndex)).toEqual(["cali0123456789a is another interface than the one of this container"]);
  });

  it("2.4 CHECK: says what somebody changed", () => {
    const { hostIndex } = setUp();
    pod.exec("ip", "route", "del", "default");
    pod.exec("ip", "addr", "del", "10.65.0.1/32", "dev", "eth0");
    host.exec("ip", "link", "set", "cali0123456789a", "down");
    expect(problems(hostIndex)).toEqual(["cali0123456789a is down", "eth0 does not have the address 10.65.0.1", "the pod's route to 169.254.1.1/32 is gone", "the pod's route to 0.0.0.0/0 is gone"]);
    host.exec("ip", "link", "del", "cali0123456789a");
    expect(problems(hostIndex)).toEqual(["cali0123456789a is gone", "eth0 is not in the pod's namespace"]);
  });

  it("2.4 DEL: goes as a whole, by either end, and what is gone already is fine", () => {
    const { hostIndex } = setUp();
    host.run(() => network.tearDown({ ...spec(), hostIndex }));
    expect(host.exec("ip", "-o", "link")).not.toContain("cali");
    host.run(() => network.tearDown({ ...spec(), hostIndex }));
    const again = setUp();
    host.run(() => network.tearDown({ ...spec(), netns: "/run/netns/gone", hostIndex: again.hostIndex }));
    expect(host.exec("ip", "-o", "link")).not.toContain("cali");
  });

  it("2.4 DEL: of a newer sandbox is spared by the deletion of an older one", () => {
    const { hostIndex } = setUp();
    setUp();
    host.run(() => network.tearDown({ ...spec(), netns: "/run/netns/gone", hostIndex }));
    expect(host.exec("ip", "-o", "link")).toContain("cali0123456789a");
  });

  it("2.4 ADD: that cannot be made leaves nothing behind", () => {
    expect(() => host.run(() => network.setUp({ ...spec(), addresses: ["10.65.0.1" as IpAddress, "not an address" as IpAddress] }))).toThrow();
    expect(host.exec("ip", "-o", "link")).not.toContain("cali");
  });
});
