import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseCommand } from "./arguments.ts";
import { kindCalled } from "./kinds.ts";
import { UsageError } from "./usage.ts";

const connection = { kubeconfig: undefined, context: undefined };
const asked = { output: "table", timeoutMs: 2_000, nats: { url: undefined, user: undefined, caFile: undefined }, connection };
const write = { kind: null, names: [], namespace: "default", skip: false, connection };

describe("parseCommand", () => {
  it.each<[string, object]>([
    ["", { verb: "help" }],
    ["get --help", { verb: "help" }],
    ["get ippool default-ipv4-ippool -o yaml", { verb: "get", kind: "ippool", names: ["default-ipv4-ippool"], namespace: "default", output: "yaml", connection }],
    ["get nodes -o wide", { verb: "get", kind: "nodes", names: [], namespace: "default", output: "wide", connection }],
    ["get np -A", { verb: "get", kind: "np", names: [], namespace: null, output: "table", connection }],
    ["get np -n shop --kubeconfig k --context c", { verb: "get", kind: "np", names: [], namespace: "shop", output: "table", connection: { kubeconfig: "k", context: "c" } }],
    ["--kubeconfig k --allow-version-mismatch get np -n shop --context=c", { verb: "get", kind: "np", names: [], namespace: "shop", output: "table", connection: { kubeconfig: "k", context: "c" } }],
    ["--context=c node status", { verb: "node status", names: [], ...asked, connection: { kubeconfig: undefined, context: "c" } }],
    ["create -f -", { ...write, verb: "create", files: ["-"] }],
    ["apply -f a.yaml -f b --allow-version-mismatch", { ...write, verb: "apply", files: ["a.yaml", "b"] }],
    ["delete bgppeer a b --skip-not-exists", { ...write, verb: "delete", files: [], kind: "bgppeer", names: ["a", "b"], skip: true }],
    ['patch felixconfiguration default --patch={"spec":{"bpfEnabled":true}}', { verb: "patch", kind: "felixconfiguration", name: "default", namespace: "default", patch: '{"spec":{"bpfEnabled":true}}', type: "merge", connection }],
    ["ipam show --show-blocks", { verb: "ipam show", address: null, blocks: true, configuration: false, connection }],
    ["ipam show --ip=10.0.0.1", { verb: "ipam show", address: "10.0.0.1", blocks: false, configuration: false, connection }],
    ["ipam release --ip 10.0.0.1 --force", { verb: "ipam release", address: "10.0.0.1", force: true, connection }],
    ["ipam check -o json", { verb: "ipam check", output: "json", connection }],
    ["node status", { verb: "node status", names: [], ...asked }],
    ["node status a b -o json --timeout 0.5 --nats-url tls://n:4222 --nats-user u --nats-ca ca.pem", { verb: "node status", names: ["a", "b"], ...asked, output: "json", timeoutMs: 500, nats: { url: "tls://n:4222", user: "u", caFile: "ca.pem" } }],
    ["policy eval -f a.yaml -f dir --probes - -o json", { verb: "policy eval", files: ["a.yaml", "dir"], probes: "-", staged: false, output: "json" }],
    ["policy eval -f a.yaml --probes p --staged", { verb: "policy eval", files: ["a.yaml"], probes: "p", staged: true, output: "table" }],
    ["explain shop/web node:n1 80", { verb: "explain", from: "shop/web", to: "node:n1", port: 80, protocol: "TCP", output: "text", timeoutMs: 2_000, nats: { url: undefined, user: undefined, caFile: undefined }, connection: { kubeconfig: undefined, context: undefined } }],
    ["explain shop/web 10.0.0.1 53/udp -o json --timeout 1 --nats-url nats://n", { verb: "explain", from: "shop/web", to: "10.0.0.1", port: 53, protocol: "UDP", output: "json", timeoutMs: 1_000, nats: { url: "nats://n", user: undefined, caFile: undefined }, connection: { kubeconfig: undefined, context: undefined } }],
    ["policy status", { verb: "policy status", policy: null, namespace: null, waitMs: 0, ...asked }],
    ["policy status -n shop -o yaml", { verb: "policy status", policy: null, namespace: "shop", waitMs: 0, ...asked, output: "yaml" }],
    ["policy status netpol/deny --wait 30s", { verb: "policy status", policy: { kind: "netpol", name: "deny" }, namespace: "default", waitMs: 30_000, ...asked }],
    ["version", { verb: "version", connection }],
  ])("reads %j", (line, command) => expect(parseCommand(line.split(" ").filter(Boolean))).toEqual(command));

  it.each([
    ["gt nodes", /no command "gt"; did you mean get\?/],
    ["get", /get what\?/],
    ["get nodes -o ps", /-o ps: there is wide, yaml, json, name/],
    ["get nodes --namspace x", /no option namspace; did you mean --namespace\?/],
    ["apply", /apply what\?/],
    ["apply ippool", /apply takes resources from a file/],
    ["apply -f https://example.org/x.yaml", /download it first: curl -O https:\/\/example\.org\/x\.yaml/],
    ["delete ippool", /delete which ippool\?/],
    ["patch ippool p", /patch what\?/],
    ["patch ippool p -p {} -t strategic", /custom resources know no strategic merge/],
    ["ipam release", /calicoctl ipam release --ip=ADDRESS/],
    ["ipam release --from-report r.json", /reports are not read/],
    ["ipam shw", /there is ipam show, ipam check and ipam release/],
    ["node diags", /not part of this version/],
    ["node stats", /there is node status/],
    ["node status -o wide", /-o wide: there is table, yaml, json/],
    ["node status --timeout soon", /--timeout soon: a number of seconds/],
    ["policy status deny", /deny: which policy\? calicoctl policy status KIND\/NAME/],
    ["policy status a/b/c", /which policy\?/],
    ["policy status a/b c", /too many arguments: c/],
    ["policy status np/a -A", /give -n NAMESPACE/],
    ["explain shop/web", /explain what\?/],
    ["explain a b http", /http: PORT\[\/PROTOCOL\] is needed/],
    ["explain a b 80/QUIC", /is needed, such as/],
    ["explain a b 70000", /is needed/],
    ["policy show", /there is policy status and policy eval/],
    ["policy eval --probes p", /evaluate what\?/],
    ["policy eval -f a", /which connections\? --probes FILE/],
    ["policy eval -f - --probes -", /read once/],
    ["policy eval -f a --probes b -o yaml", /there is json/],
    ["version now", /too many arguments: now/],
    ["get nodes --config x", /--kubeconfig/],
    ["-c x get nodes", /--kubeconfig/],
    ["--kubeconfig", /no command "--kubeconfig"/],
  ])("refuses %j with the remedy", (line, message) => {
    expect(() => parseCommand(line.split(" "))).toThrow(UsageError);
    expect(() => parseCommand(line.split(" "))).toThrow(message);
  });

  it("answers anything with a command or a UsageError", () => {
    fc.assert(fc.property(fc.array(fc.oneof(fc.string(), fc.constantFrom("get", "apply", "node", "policy", "status", "-f", "-o", "delete", "patch", "--", "-n", "a")), { maxLength: 6 }), (argv) => {
      try {
        expect(parseCommand(argv).verb).toBeTypeOf("string");
      } catch (error) {
        expect(error).toBeInstanceOf(UsageError);
      }
    }));
  });
});

describe("kindCalled", () => {
  it.each([["ippool", "IPPool"], ["IPPools", "IPPool"], ["gnp", "GlobalNetworkPolicy"], ["networkpolicies", "NetworkPolicy"], ["Node", "Node"], ["wep", "WorkloadEndpoint"], ["kcc", "KubeControllersConfiguration"], ["profiles", "Profile"], ["bgpp", "BGPPeer"]])(
    "knows %s", (written, kind) => expect(kindCalled(written).kind).toBe(kind),
  );
  it("says what was probably meant", () => expect(() => kindCalled("ipool")).toThrow(/no kind "ipool"; did you mean ippool\?/));
});
