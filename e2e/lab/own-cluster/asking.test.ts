import { describe, expect, it } from "vitest";
import { isAgnhost, question, verdict } from "./asking.ts";

const ended = (status: number, stderr: string): Parameters<typeof verdict>[0] => ({ status, stdout: "", stderr });
const NO = "command terminated with exit code 1\n";

describe("a question from inside a pod", () => {
  it("is a command of agnhost, or ping", () => {
    expect(question({ address: "10.65.0.1", port: 80, protocol: "tcp" }, 500)).toEqual(["/agnhost", "connect", "10.65.0.1:80", "--timeout=500ms", "--protocol=tcp"]);
    expect(question({ address: "fd00::1", port: 53, protocol: "udp" }, 500)).toEqual(["/agnhost", "connect", "[fd00::1]:53", "--timeout=500ms", "--protocol=udp"]);
    expect(question({ address: "10.65.0.1", port: 1, protocol: "icmp" }, 500)).toEqual(["ping", "-n", "-c", "1", "-W", "1", "10.65.0.1"]);
  });

  it.each([
    ["tcp", ended(0, ""), { reached: true, because: "connected" }],
    ["udp", ended(0, "Defaulted container \"a\" out of: a, b\n"), { reached: true, because: "echo" }],
    ["tcp", ended(1, `TIMEOUT\n${NO}`), { reached: false, because: "no answer within 500 ms" }],
    ["tcp", ended(1, `REFUSED\n${NO}`), { reached: false, because: "refused" }],
    ["tcp", ended(1, `OTHER: dial tcp 10.0.0.1:80: connect: no route to host\n${NO}`), { reached: false, because: "dial tcp 10.0.0.1:80: connect: no route to host" }],
    ["icmp", ended(1, NO), { reached: false, because: "no answer within 500 ms" }],
  ] as const)("%s: %j", (protocol, end, wanted) => {
    expect(verdict(end, protocol, 500)).toEqual(wanted);
  });

  it.each([
    ["tcp", ended(1, "Error from server (NotFound): pods \"x\" not found\n"), /not found/],
    ["icmp", ended(2, "ping: socket: Operation not permitted\ncommand terminated with exit code 2\n"), /Operation not permitted/],
  ] as const)("%s that was never asked is no answer: %j", (protocol, end, message) => {
    expect(() => verdict(end, protocol, 500)).toThrow(message);
  });

  it("knows the image that can ask", () => {
    expect(["registry.k8s.io/e2e-test-images/agnhost:2.63.0", "agnhost", "mirror/agnhost@sha256:00", "mirror/agnhosted:1", "busybox"].map((image) => isAgnhost(image))).toEqual([true, true, true, false, false]);
  });
});
