import { describe, expect, test } from "vitest";
import { convertEndpointSlice } from "./endpoint-slice.ts";

const metadata = { namespace: "shop", name: "web-abc", labels: { "kubernetes.io/service-name": "web" } };
const slice = (more: object): unknown => ({ metadata, addressType: "IPv4", endpoints: [], ports: [], ...more });

describe("convertEndpointSlice", () => {
  test("a whole slice: every address once, ready or not, and the ports that have a number", () => {
    const { value, findings } = convertEndpointSlice(slice({
      endpoints: [{ addresses: ["10.65.0.2"], conditions: { ready: true } }, { addresses: ["10.65.0.3", "10.65.0.2"], conditions: { ready: false } }],
      ports: [{ name: "http", port: 8080, protocol: "TCP" }, { port: 53, protocol: "UDP" }, { port: 80 }, { name: "all", port: null }],
    }));
    expect(findings).toEqual([]);
    expect(value).toEqual({
      id: "shop/web-abc", service: { namespace: "shop", name: "web" }, addresses: ["10.65.0.2", "10.65.0.3"],
      ports: [{ protocol: 6, port: 8080 }, { protocol: 17, port: 53 }, { protocol: 6, port: 80 }],
    });
  });

  test("IPv6 in canonical form; what is no address is left out and named", () => {
    const { value, findings } = convertEndpointSlice(slice({ addressType: "IPv6", endpoints: [{ addresses: ["FD00:0::2"] }, { addresses: ["pod-1"] }] }));
    expect(value?.addresses).toEqual(["fd00::2"]);
    expect(findings).toEqual([expect.objectContaining({ severity: "error", field: "endpoints[1].addresses" })]);
  });

  test.each([
    ["of no Service", { metadata: { namespace: "shop", name: "x" } }],
    ["of names", { addressType: "FQDN", endpoints: [{ addresses: ["example.com"] }] }],
    ["without a namespace", { metadata: { ...metadata, namespace: undefined } }],
  ])("none %s", (_, more) => expect(convertEndpointSlice(slice(more))).toEqual({ value: null, findings: [] }));

  test.each([null, 1, [], { metadata: null }, slice({ endpoints: "x", ports: { a: 1 } }), slice({ endpoints: [null, 1, { addresses: 1 }], ports: [null, { port: "80" }, { port: 0 }] })])("answers %j", (raw) => {
    expect(convertEndpointSlice(raw).value?.addresses ?? []).toEqual([]);
  });
});
