import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CniError } from "./errors.ts";
import { parseRequest } from "./request.ts";
import { parseSpooled } from "./spool.ts";

const env = { CNI_COMMAND: "ADD", CNI_CONTAINERID: "c1", CNI_NETNS: "/run/netns/x", CNI_IFNAME: "eth0", CNI_ARGS: "IgnoreUnknown=1;K8S_POD_NAMESPACE=a;K8S_POD_NAME=web" };
const stdin = JSON.stringify({ cniVersion: "1.0.0", name: "net", type: "calico", unknown: { to: "us" } });

describe("parseRequest", () => {
  it("takes a call apart", () => {
    expect(parseRequest(env, stdin)).toMatchObject({ command: "ADD", containerId: "c1", netns: "/run/netns/x", ifname: "eth0", namespace: "a", pod: "web", podUid: "", cniVersion: "1.0.0" });
  });

  it.each<[string, Partial<typeof env>, string, number]>([
    ["a container id that is a path", { CNI_CONTAINERID: "../../etc/passwd" }, stdin, 4],
    ["an interface name with a slash", { CNI_IFNAME: "a/b" }, stdin, 4],
    ["an interface name of 16 bytes", { CNI_IFNAME: "a".repeat(16) }, stdin, 4],
    ["two dots", { CNI_IFNAME: ".." }, stdin, 4],
    ["a relative namespace", { CNI_NETNS: "x" }, stdin, 4],
    ["no pod", { CNI_ARGS: "" }, stdin, 4],
    ["a pod that is no name", { CNI_ARGS: "K8S_POD_NAMESPACE=a;K8S_POD_NAME=../b" }, stdin, 4],
    ["a list", {}, "[]", 7],
    ["an MTU that is none", {}, JSON.stringify({ name: "n", mtu: 70_000 }), 7],
  ])("refuses %s", (_, change, input, code) => {
    expect(() => parseRequest({ ...env, ...change }, input)).toThrow(expect.objectContaining({ code }) as Error);
  });

  it("takes the pod's namespace from the configuration when the runtime names none", () => {
    const config = JSON.stringify({ name: "net", default_namespace: "containers" });
    const namespaceOf = (args: string): string => parseRequest({ ...env, CNI_ARGS: args }, config).namespace;
    expect([namespaceOf("K8S_POD_NAME=web"), namespaceOf("K8S_POD_NAMESPACE=a;K8S_POD_NAME=web")]).toEqual(["containers", "a"]);
    expect(() => parseRequest({ ...env, CNI_ARGS: "K8S_POD_NAME=web" }, stdin)).toThrow(expect.objectContaining({ code: 4, details: expect.stringContaining("set default_namespace") as string }) as Error);
    expect(() => parseRequest({ ...env, CNI_ARGS: "K8S_POD_NAME=web" }, JSON.stringify({ name: "net", default_namespace: "../a" }))).toThrow(expect.objectContaining({ code: 7 }) as Error);
  });

  it("does not need a namespace for DEL", () => expect(parseRequest({ ...env, CNI_COMMAND: "DEL", CNI_NETNS: "" }, stdin).netns).toBe(""));

  it("answers anything with a request or an error of the specification", () => {
    const any = fc.dictionary(fc.constantFrom(...Object.keys(env)), fc.oneof(fc.string({ unit: "binary" }), fc.constantFrom(...Object.values(env))));
    fc.assert(fc.property(any, fc.oneof(fc.string(), fc.json(), fc.constant(stdin)), (variables, input) => {
      try {
        const { containerId, ifname } = parseRequest(variables, input);
        expect(`${containerId}${ifname}`).not.toMatch(/\//);
      } catch (error) {
        expect(error).toBeInstanceOf(CniError);
      }
    }));
  });
});

it("parseSpooled takes deletions only and survives anything", () => {
  expect(parseSpooled("POST /cni HTTP/1.1\r\nX-CNI_COMMAND: DEL\r\nX-CNI_IFNAME: eth0\r\n\r\n{}")).toEqual({ env: { CNI_COMMAND: "DEL", CNI_IFNAME: "eth0" }, stdin: "{}" });
  expect(parseSpooled("POST /cni HTTP/1.1\r\nX-CNI_COMMAND: ADD\r\n\r\n{}")).toBeNull();
  fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => {
    parseSpooled(text);
    parseSpooled(`POST /cni ${text}`);
  }));
});
