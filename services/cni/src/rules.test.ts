/** What Calico's plugin promises, one statement after the other (2.4); those with a longer story are beside the code, under the same names. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { interfaceNameForPod } from "@calico/model";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { VERSIONS } from "./request.ts";
import { FakeWorld, networkConfig } from "./testing/fake-world.ts";

let world: FakeWorld;
beforeEach(() => {
  world = new FakeWorld();
});
afterEach(() => world[Symbol.dispose]());

const add = (conf: object = {}, env: Record<string, string> = {}): Promise<string> => world.call(world.handler(), "ADD", env, { ...networkConfig, ...conf });
const host = interfaceNameForPod("a", "web");
const annotate = (annotations: Record<string, string>, namespaceAnnotations: Record<string, string> = {}): void => {
  const prefixed = (of: Record<string, string>): Record<string, string> => Object.fromEntries(Object.entries(of).map(([name, value]) => [`cni.projectcalico.org/${name}`, value]));
  world.pod = { ...world.pod, annotations: prefixed(annotations), namespaceAnnotations: prefixed(namespaceAnnotations) };
};

describe("the specification", () => {
  it.each(VERSIONS)("2.4 Spec: ADD, CHECK and DEL in version %s", async (cniVersion) => {
    const handle = world.handler();
    const conf = { ...networkConfig, cniVersion };
    const prevResult = JSON.parse(await world.call(handle, "ADD", {}, conf)) as { cniVersion: string; ips: object[] };
    expect([prevResult.cniVersion, prevResult.ips]).toEqual([cniVersion, [{ ...(cniVersion.startsWith("0.") ? { version: "4" } : {}), address: "10.65.0.1/32", interface: 1 }]]);
    expect(await world.call(handle, "CHECK", {}, { ...conf, prevResult })).toBe("");
    expect(await world.call(handle, "DEL", {}, conf)).toBe("");
  });

  it("2.4 Spec: VERSION names the versions, and the program the same ones as the daemon", async () => {
    expect(JSON.parse(await world.call(world.handler(), "VERSION"))).toEqual({ cniVersion: "1.0.0", supportedVersions: VERSIONS });
    expect(readFileSync(join(import.meta.dirname, "..", "plugin", "calico.c"), "utf8")).toContain(`\\"supportedVersions\\":${JSON.stringify(VERSIONS).replaceAll('"', '\\"')}`);
  });

  it("2.4 Spec: another version is refused with the code for that", async () => {
    for (const cniVersion of ["0.2.0", "2.0.0"]) await expect(add({ cniVersion })).rejects.toMatchObject({ code: 1, message: `cniVersion ${cniVersion} is not supported` });
  });

  it("2.4 Spec: STATUS says why pods cannot be served", async () => {
    expect(await world.call(world.handler(), "STATUS")).toBe("");
    world.notReady = "felix is not in sync";
    await expect(world.call(world.handler(), "STATUS")).rejects.toMatchObject({ code: 50, details: "felix is not in sync" });
  });
});

/** Fields that change what is done, and how. */
const honoured: readonly (readonly [fields: object, done: string])[] = [
  [{}, `set up ${host} 1500 10.65.0.1`],
  [{ mtu: 0 }, `set up ${host} 1500 10.65.0.1`],
  [{ mtu: 9000 }, `set up ${host} 9000 10.65.0.1`],
  [{ include_default_routes: true }, `set up ${host} 1500 10.65.0.1`],
  [{ include_default_routes: false }, `set up ${host} 1500 10.65.0.1 no-default`],
  [{ container_settings: { allow_ip_forwarding: true } }, `set up ${host} 1500 10.65.0.1 forwarding=true`],
  [{ container_settings: { allow_ip_forwarding: false } }, `set up ${host} 1500 10.65.0.1 forwarding=false`],
  [{ policy_setup_timeout_seconds: 0 }, `attach ${host} 10.65.0.1 within 10000`],
  [{ policy_setup_timeout_seconds: 3 }, `attach ${host} 10.65.0.1 within 3000`],
  [{ ipam: { type: "calico-ipam", ipv4_pools: ["gold", "10.9.0.0/16"] } }, "assign 1+0 of gold,10.9.0.0/16 to u1"],
  [{ ipam: { type: "calico-ipam", assign_ipv6: "true", ipv6_pools: ["six"] } }, "assign 1+1 of six to u1"],
  [{ ipam: { type: "calico-ipam", assign_ipv4: "false", assign_ipv6: "true" } }, "assign 0+1 of any to u1"],
];
/** Fields that say what is the case anyway, or are about what this plugin does not have: a lock file, an own connection, an own log. */
const withoutEffect: readonly object[] = [
  { nodename: "n1" }, { nodename: "" }, { nodename_file: "/var/lib/calico/nodename", nodename_file_optional: true }, { kubernetes: { kubeconfig: "/etc/cni/net.d/calico-kubeconfig", node_name: "n1" } },
  { datastore_type: "kubernetes" }, { calico_api_group: "projectcalico.org/v3" }, { policy: { type: "k8s" } }, { feature_control: { ip_addrs_no_ipam: false, floating_ips: false } }, { num_queues: 1 }, { device_type: "veth" },
  { readiness_gates: [] }, { readiness_gates: null }, { ipam: undefined }, { ipam_lock_file: "/run/lock" }, { log_level: "debug", log_file_path: "/var/log/calico/cni/cni.log", log_file_max_size: 100 }, { qps: 50, burst: 100 },
  { windows_use_single_network: true }, { capabilities: { portMappings: true } }, { runtimeConfig: {} },
];
const refused: readonly (readonly [fields: object, code: number, message: string])[] = [
  [{ nodename: "n2" }, 2, 'nodename "n2" is not supported'],
  [{ kubernetes: { node_name: "n2" } }, 2, 'kubernetes.node_name "n2" is not supported'],
  [{ datastore_type: "etcdv3" }, 2, 'datastore_type "etcdv3" is not supported'],
  [{ etcd_endpoints: "http://127.0.0.1:2379" }, 2, 'etcd_endpoints "http://127.0.0.1:2379" is not supported'],
  [{ etcd_discovery_srv: "example.com" }, 2, 'etcd_discovery_srv "example.com" is not supported'],
  [{ calico_api_group: "crd.projectcalico.org/v1" }, 2, 'calico_api_group "crd.projectcalico.org/v1" is not supported'],
  [{ ipam: { type: "host-local" } }, 2, 'ipam.type "host-local" is not supported'],
  [{ ipam: { type: "calico-ipam", subnet: "usePodCidr" } }, 2, 'ipam.subnet "usePodCidr" is not supported'],
  [{ ipam: { type: "calico-ipam", ranges: [[{ subnet: "10.0.0.0/24" }]] } }, 2, 'ipam.ranges [[{"subnet":"10.0.0.0/24"}]] is not supported'],
  [{ policy: { type: "none" } }, 2, 'policy.type "none" is not supported'],
  [{ feature_control: { ip_addrs_no_ipam: true } }, 2, "feature_control.ip_addrs_no_ipam true is not supported"],
  [{ feature_control: { floating_ips: true } }, 2, "feature_control.floating_ips true is not supported"],
  [{ num_queues: 4 }, 2, "num_queues 4 is not supported"],
  [{ device_type: "netkit" }, 2, 'device_type "netkit" is not supported'],
  [{ readiness_gates: ["http://127.0.0.1:9099/readiness"] }, 2, 'readiness_gates ["http://127.0.0.1:9099/readiness"] is not supported'],
  [{ runtimeConfig: { ips: ["10.65.0.9"] } }, 2, 'runtimeConfig.ips ["10.65.0.9"] is not supported'],
  [{ runtimeConfig: { mac: "02:00:5e:10:00:01" } }, 2, 'runtimeConfig.mac "02:00:5e:10:00:01" is not supported'],
  [{ mtu: "1400" }, 7, "mtu: "],
  [{ include_default_routes: "no" }, 7, "include_default_routes: "],
  [{ container_settings: { allow_ip_forwarding: "yes" } }, 7, "container_settings.allow_ip_forwarding: "],
  [{ policy_setup_timeout_seconds: 90 }, 7, "policy_setup_timeout_seconds: "],
  [{ ipam: { ipv4_pools: "gold" } }, 7, "ipam.ipv4_pools: "],
];

describe("fields of the network configuration", () => {
  beforeEach(() => {
    world.free.ipv6 = ["fd65::1/122"];
  });

  it.each(honoured)("2.4 NetConf fields: %j is honoured", async (fields, done) => {
    await add(fields);
    expect(world.done).toContain(done);
  });

  it("2.4 NetConf fields: mtu 0 is what felix found", async () => {
    writeFileSync(join(world.dir, "mtu"), "1430\n");
    await add({ mtu: 0 });
    expect(world.done).toContain(`set up ${host} 1430 10.65.0.1`);
  });

  it.each(withoutEffect)("2.4 NetConf fields: %j changes nothing", async (fields) => {
    await add();
    const { done } = world;
    world.done = [];
    await add(fields, { CNI_CONTAINERID: "c2" });
    expect(world.done).toEqual(done.map((each) => each.replace("of c1", "of c2")));
  });

  it.each(refused)("2.4 NetConf fields: %j is refused", async (fields, code, message) => {
    await expect(add(fields)).rejects.toMatchObject({ code, message: expect.stringContaining(`network configuration: ${message}`) as string });
    expect(world.done).toEqual([]);
  });

  it.each(refused.filter(([, code]) => code === 2))("2.4 NetConf fields: %j is refused by STATUS too, with a remedy, and keeps no DEL from its work", async (fields) => {
    await expect(world.call(world.handler(), "STATUS", {}, { ...networkConfig, ...fields })).rejects.toMatchObject({ code: 2, details: expect.stringMatching(/remove it|set it to|give the pod/) as string });
    expect(await world.call(world.handler(), "DEL", {}, { ...networkConfig, ...fields })).toBe("");
    expect(world.done).toEqual(["tear down null", "release net.c1"]);
  });

  it("2.4 NetConf fields: every one is in docs/cni.md", () => {
    const text = readFileSync(join(import.meta.dirname, "..", "..", "..", "docs", "cni.md"), "utf8");
    const names = [...honoured.map(([fields]) => fields), ...withoutEffect, ...refused.map(([fields]) => fields)].flatMap(Object.keys).filter((name) => !name.startsWith("log_") && !name.startsWith("windows_"));
    expect([...new Set(names)].filter((name) => !text.includes(`\`${name}`))).toEqual([]);
  });

  it("2.4 NetConf fields: an address that the runtime asks for in CNI_ARGS is refused", async () => {
    await expect(add({}, { CNI_ARGS: "IP=10.65.0.9;K8S_POD_NAMESPACE=a;K8S_POD_NAME=web" })).rejects.toMatchObject({ code: 2, message: "CNI_ARGS has IP, which is not supported" });
  });
});

describe("ADD", () => {
  it("2.4 ADD: a pod of another uid than the runtime means is refused, and nothing is done", async () => {
    world.pod = { ...world.pod, uid: "u2" };
    await expect(add()).rejects.toMatchObject({ code: 100, details: "the runtime means uid u1, the API server has u2" });
    expect(world.done).toEqual(["find"]);
  });

  it("2.4 Must get right: a pod that gets only one of its two addresses is refused, and gives back the one", async () => {
    for (const [free, missing] of [[{ ipv4: ["10.65.0.1/26"], ipv6: [] }, "IPv6"], [{ ipv4: [], ipv6: ["fd65::1/122"] }, "IPv4"]] as const) {
      world.free = { ipv4: [...free.ipv4], ipv6: [...free.ipv6] };
      world.done = [];
      await expect(add({ ipam: { type: "calico-ipam", assign_ipv6: "true" } }), `without ${missing}`).rejects.toMatchObject({ code: 11, message: "no address is free for the pod" });
      expect(world.done).toEqual(["find", "assign 1+1 of any to u1", "release net.c1"]);
    }
  });
});

describe("annotations", () => {
  it.each<[annotations: Record<string, string>, ofNamespace: Record<string, string>, done: string]>([
    [{ ipAddrs: '["10.65.0.9"]' }, {}, "assign 10.65.0.9"],
    [{ ipAddrs: '["10.65.0.9"]', ipv4pools: '["gold"]' }, {}, "assign 10.65.0.9"],
    [{ ipv4pools: '["gold"]' }, {}, "assign 1+0 of gold to u1"],
    [{ ipv6pools: '["six"]' }, {}, "assign 1+0 of six to u1"],
    [{}, { ipv4pools: '["silver"]' }, "assign 1+0 of silver to u1"],
    [{}, { ipv6pools: '["six"]' }, "assign 1+0 of six to u1"],
    [{ ipv4pools: '["gold"]' }, { ipv4pools: '["silver"]' }, "assign 1+0 of gold to u1"],
    [{ hwAddr: "02:00:5E:10:00:01" }, {}, `set up ${host} 1500 10.65.0.1 02:00:5e:10:00:01`],
    [{}, { hwAddr: "nobody reads this", ipAddrs: "nor this" }, `set up ${host} 1500 10.65.0.1`],
  ])("2.4 Annotations: %j, of the namespace %j, lead to: %s", async (annotations, ofNamespace, done) => {
    annotate(annotations, ofNamespace);
    await add();
    expect(world.done).toContain(done);
  });

  it("2.4 Annotations: pools of the pod come before those of the configuration", async () => {
    annotate({ ipv4pools: '["gold"]' });
    await add({ ipam: { type: "calico-ipam", ipv4_pools: ["bronze"] } });
    expect(world.done).toContain("assign 1+0 of gold to u1");
  });

  it.each([
    ["hwAddr", "02:00:5e", "is no MAC address"], ["hwAddr", "01:00:5e:00:00:01", "is a multicast address"], ["hwAddr", "00:00:00:00:00:00", "is no MAC address"],
    ["ipv4pools", "gold", "is not a JSON list of strings"], ["ipv6pools", "[]", "is not a JSON list of strings"], ["ipAddrs", '["10.65.0.9/32"]', "is no address"], ["ipAddrs", "10.65.0.9", "is not a JSON list of strings"],
  ])("2.4 Annotations: %s: %s is refused", async (name, value, reason) => {
    annotate({ [name]: value });
    await expect(add()).rejects.toMatchObject({ code: 7, message: expect.stringContaining(reason) as string });
    expect(world.done).toEqual(["find"]);
  });

  it.each(["ipAddrsNoIpam", "ipFamilies", "floatingIPs", "allowedSourcePrefixes"])("2.4 Annotations: %s is refused by name", async (name) => {
    annotate({ [name]: "[]" });
    await expect(add()).rejects.toMatchObject({ code: 2, message: `annotation cni.projectcalico.org/${name} is not supported` });
    expect(world.done).toEqual(["find"]);
  });
});
