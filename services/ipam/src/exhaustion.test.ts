import type { Happening } from "@calico/datastore";
import type { AssignRequest } from "@calico/ipam";
import { convertIpPool, type Cidr, type IpPool } from "@calico/model";
import { describe, expect, it } from "vitest";
import { createExhaustionReport } from "./exhaustion.ts";

const pool = (name: string, cidr: string): IpPool => convertIpPool({ apiVersion: "projectcalico.org/v3", kind: "IPPool", metadata: { name }, spec: { cidr, nodeSelector: "all()" } }).value!;
const request: AssignRequest = { family: 4, count: 1, attribute: { handle_id: "h" }, requestedPools: [], namespaceLabels: {} };
const owner = { node: "n1", namespace: "shop", pod: "web", podUid: "u" };

describe("exhaustion", () => {
  function report(result: { addresses: string[]; because: string[] }, by: typeof owner | null = owner): Happening[] {
    const recorded: Happening[] = [];
    const view = { pools: [pool("a", "10.0.0.0/24"), pool("b", "10.1.0.0/24"), pool("six", "fd00::/112")], nodeLabels: {}, uidOf: (name: string) => `uid-${name}` };
    createExhaustionReport({ node: "n1", view, recorder: { record: (happening) => void recorded.push(happening) } })(by ?? undefined, request, { addresses: result.addresses as Cidr[], because: result.because });
    return recorded;
  }

  it("is told on the pod and on every pool that was asked", () => {
    const because = ["pool a 10.0.0.0/24: 256 of 256 addresses in use", "pool b 10.1.0.0/24: 256 of 256 addresses in use"];
    const onPool = (name: string): Happening => ({
      regarding: { apiVersion: "projectcalico.org/v3", kind: "IPPool", name, uid: `uid-${name}` }, type: "Warning", reason: "NoFreeAddress", message: `no address is free for a pod on node n1: ${because.join("; ")}`,
    });
    expect(report({ addresses: [], because })).toEqual([
      { regarding: { apiVersion: "v1", kind: "Pod", namespace: "shop", name: "web", uid: "u" }, type: "Warning", reason: "NoFreeAddress", message: `no IPv4 address is free for the pod: ${because.join("; ")}` }, onPool("a"), onPool("b"),
    ]);
    expect(report({ addresses: [], because }, null)).toEqual([onPool("a"), onPool("b")]);
  });

  it("is not told of a request that was served", () => {
    expect(report({ addresses: ["10.0.0.1/26"], because: [] })).toEqual([]);
  });
});
