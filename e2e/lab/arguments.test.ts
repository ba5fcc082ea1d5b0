import { describe, expect, it } from "vitest";
import { parseArguments, UsageError } from "./arguments.ts";

describe("parseArguments", () => {
  it.each([
    ["", { verb: "up", nodes: 3, subnets: 1, encapsulation: "none", kubernetes: false, detach: false, demo: true }],
    ["up", { verb: "up", nodes: 3, subnets: 1, encapsulation: "none", kubernetes: false, detach: false, demo: false }],
    ["up --nodes 5 --subnets 1 --detach", { verb: "up", nodes: 5, subnets: 1, encapsulation: "none", kubernetes: false, detach: true, demo: false }],
    ["up --dataplane nftables --encapsulation none", { verb: "up", nodes: 3, subnets: 1, encapsulation: "none", kubernetes: false, detach: false, demo: false }],
    ["up --encapsulation VXLAN", { verb: "up", nodes: 3, subnets: 1, encapsulation: "vxlan", kubernetes: false, detach: false, demo: false }],
    ["up --nodes 4 --subnets 2", { verb: "up", nodes: 4, subnets: 2, encapsulation: "vxlan-crosssubnet", kubernetes: false, detach: false, demo: false }],
    ["up --subnets 2 --encapsulation vxlan", { verb: "up", nodes: 3, subnets: 2, encapsulation: "vxlan", kubernetes: false, detach: false, demo: false }],
    ["up --kubernetes --demo", { verb: "up", nodes: 3, subnets: 1, encapsulation: "none", kubernetes: true, detach: false, demo: true }],
    ["up --kubeconfig a.conf --demo", { verb: "use", kubeconfig: "a.conf", values: null, detach: false, demo: true }],
    ["up --detach --values v.yaml --kubeconfig a.conf", { verb: "use", kubeconfig: "a.conf", values: "v.yaml", detach: true, demo: false }],
    ["status -o json", { verb: "status", json: true }],
    ["exec shop/web -- ip route", { verb: "exec", target: "shop/web", command: ["ip", "route"] }],
    ["probe shop/web node/node-1 80", { verb: "probe", from: "shop/web", to: "node/node-1", port: 80, protocol: "tcp" }],
    ["probe shop/web 10.65.0.1 53 udp", { verb: "probe", from: "shop/web", to: "10.65.0.1", port: 53, protocol: "udp" }],
    ["matrix --port 80", { verb: "matrix", port: 80, json: false }],
    ["logs felix --node node-2", { verb: "logs", component: "felix", node: "node-2" }],
    ["logs", { verb: "logs", component: null, node: null }],
  ])("reads %j", (line, command) => {
    expect(parseArguments(line.split(" ").filter(Boolean))).toEqual(command);
  });

  it.each([
    ["upp", /no command "upp"/],
    ["up --nodes many", /wants a number/],
    ["up --subnets 2 --encapsulation none", /do not know where pods are; use vxlan-crosssubnet/],
    ["up --dataplane bpf", /--dataplane bpf: not built yet/],
    ["up --encapsulation ipip", /ipip: not built yet; none, vxlan, vxlan-crosssubnet are/],
    ["up --encapsulation", /: not built yet/],
    ["up --kubeconfig", /--kubeconfig wants the name of a file/],
    ["up --kubeconfig a.conf --nodes 3", /--nodes does not go with --kubeconfig/],
    ["up --kubeconfig a.conf --values --demo", /--values wants the name of a file/],
    ["up --values v.yaml", /--values goes with --kubeconfig/],
    ["exec shop/web ls", /then --/],
    ["probe shop/web shop/db 0", /not a port/],
    ["probe shop/web shop/db 80 gre", /none of tcp/],
    ["probe web shop/db 80", /NAMESPACE\/POD/],
    ["down now", /too many/],
  ])("refuses %j", (line, message) => {
    expect(() => parseArguments(line.split(" "))).toThrow(UsageError);
    expect(() => parseArguments(line.split(" "))).toThrow(message);
  });
});
