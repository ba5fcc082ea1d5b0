import { defaultFailsafes } from "@calico/calc";
import { resolveConfig } from "@calico/service-kit";
import { expect, it } from "vitest";
import { FAILSAFE_INBOUND, FAILSAFE_OUTBOUND, failsafePorts } from "./failsafe-ports.ts";

const params = { ports: failsafePorts(FAILSAFE_INBOUND) };
const read = (text: string): unknown => resolveConfig(params, { env: { X_PORTS: text }, envPrefix: "X_" });

it.each<[string, unknown[]]>([
  ["none", []], ["None", []], ["[]", []], ["22", [{ protocol: 6, port: 22, net: null }]], ["tcp:22, UDP:68", [{ protocol: 6, port: 22, net: null }, { protocol: 17, port: 68, net: null }]],
  ["tcp:10.1.2.3/8:22,sctp:[FD00::/8]:9,udp:fd00::1/128:5", [{ protocol: 6, port: 22, net: "10.0.0.0/8" }, { protocol: 132, port: 9, net: "fd00::/8" }, { protocol: 17, port: 5, net: "fd00::1/128" }]],
  // As typha hands FelixConfiguration over.
  ['[{"protocol":"TCP","port":22},{"port":23,"net":"192.0.2.0/24"}]', [{ protocol: 6, port: 22, net: null }, { protocol: 6, port: 23, net: "192.0.2.0/24" }]],
])("%j", (text, ports) => {
  expect(read(text)).toMatchObject({ values: { ports }, issues: [] });
});

it.each(["", "tcp", "tcp:", "tcp:0", "tcp:65536", "icmp:22", "tcp:all:22", "tcp:10.0.0.0/33:22", "tcp:22,", '[{"protocol":"TCP"}]', '[{"port":"22"}]', '[{"port":22},null]', "[22]", "[[]]", "[{", "tcp:1e1"])("%j is reported, and the default stays", (text) => {
  expect(read(text)).toMatchObject({ values: { ports: params.ports.fallback }, issues: [{ name: "X_PORTS" }] });
});

it("has Calico's defaults, which the evaluator has too", () => {
  expect([failsafePorts(FAILSAFE_INBOUND).fallback, failsafePorts(FAILSAFE_OUTBOUND).fallback]).toEqual([defaultFailsafes.inbound, defaultFailsafes.outbound]);
  const numbers = (text: string, protocol: number): number[] => failsafePorts(text).fallback.flatMap((each) => (each.protocol === protocol && each.net === null ? [each.port] : []));
  expect([numbers(FAILSAFE_INBOUND, 6), numbers(FAILSAFE_INBOUND, 17)]).toEqual([[22, 179, 2379, 2380, 5473, 6443, 6666, 6667], [68]]);
  expect([numbers(FAILSAFE_OUTBOUND, 6), numbers(FAILSAFE_OUTBOUND, 17)]).toEqual([[179, 2379, 2380, 5473, 6443, 6666, 6667], [53, 67]]);
});
