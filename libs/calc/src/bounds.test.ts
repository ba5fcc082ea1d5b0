/** The largest objects that people may write: how much the calculation does for them, and for a change of one part. */
import { convertGlobalNetworkPolicy, convertGlobalNetworkSet, selector, type Policy } from "@calico/model";
import { expect, test } from "vitest";
import { createClusterHalf } from "./cluster-half.ts";
import type { ObjectKey } from "./messages.ts";
import { endpoint, ofEndpoint, ofPolicy, ofProfile, policy, profile, put, rule } from "./testing/objects.ts";

/** A half that counts what it reports. */
function counted(): { half: ReturnType<typeof createClusterHalf>; values: () => ObjectKey[]; deltas: () => number; evaluations: () => number } {
  let [keys, members]: [ObjectKey[], number] = [[], 0];
  let evaluated = 0;
  const half = createClusterHalf({ onValueChange: (key) => void keys.push(key), onIpSetDelta: (_, added, removed) => void (members += added.length + removed.length), onInterestStart() {}, onInterestStop() {} });
  return {
    half,
    values() {
      const seen = keys;
      keys = [];
      return seen;
    },
    deltas() {
      const seen = members;
      members = 0;
      return seen;
    },
    evaluations() {
      const seen = half.stats().evaluations - evaluated;
      evaluated += seen;
      return seen;
    },
  };
}

const parsed = (spec: object): Policy => {
  const { value } = convertGlobalNetworkPolicy({ metadata: { name: "big" }, spec });
  if (value === null) throw new Error("the policy cannot be used");
  return value;
};

test("1,024 rules that select alike need one set, and a changed one is one value", () => {
  const { half, values, evaluations } = counted();
  half.onUpdate(ofProfile(profile("kns.a", {})));
  for (let n = 0; n < 100; n += 1) half.onUpdate(ofEndpoint(endpoint(`p${n}`)));
  const big = (port: number): Policy => parsed({ types: ["Ingress"], ingress: Array.from({ length: 1_024 }, (_, i) => ({ action: "Allow", protocol: "TCP", source: { selector: "app == 'web'" }, destination: { ports: [i === 512 ? port : i + 1] } })) });
  evaluations();
  values();
  half.onUpdate(ofPolicy(big(1)));
  expect([half.stats().ipSets, half.stats().selectors]).toEqual([1, 2]);
  expect(evaluations(), "each of the two selectors of each endpoint at most").toBeLessThanOrEqual(200);
  values();
  half.onUpdate(ofPolicy(big(2)));
  expect([values(), evaluations()]).toEqual([["Policy:GlobalNetworkPolicy//big"], 0]);
});

test("1,024 rules that select others than there are look at nobody for that", () => {
  const { half, evaluations } = counted();
  half.onUpdate(ofProfile(profile("kns.a", {})));
  for (let n = 0; n < 20; n += 1) half.onUpdate(ofEndpoint(endpoint(`p${n}`)));
  evaluations();
  half.onUpdate(ofPolicy(parsed({ types: ["Ingress"], ingress: Array.from({ length: 1_024 }, (_, i) => ({ action: "Allow", source: { selector: `app == 'web-${i}'` } })) })));
  expect(half.stats().ipSets).toBe(1_024);
  expect(evaluations(), "an equality finds whom it is about").toBeLessThanOrEqual(20);
});

test("10,000 CIDRs are members once; one more is one member more", () => {
  const { half, deltas, evaluations, values } = counted();
  const setOf = (count: number): void => {
    const { value } = convertGlobalNetworkSet({ metadata: { name: "s", labels: { app: "web" } }, spec: { nets: Array.from({ length: count }, (_, i) => `10.${i >> 8}.${i & 255}.0/24`) } });
    half.onUpdate(put({ kind: "NetworkSet", id: "/s", value }));
  };
  half.onUpdate(ofProfile(profile("kns.a", {})));
  half.onUpdate(ofEndpoint(endpoint("x", { labels: { app: "db" } })));
  const web = selector('app == "web"');
  half.onUpdate(ofPolicy(policy("p", "all()", [rule({ selector: web })])));
  deltas();
  evaluations();
  setOf(10_000);
  expect([deltas(), evaluations()]).toEqual([10_000, expect.toSatisfy((count: number) => count <= 2)]);
  values();
  setOf(10_001);
  expect([deltas(), values(), evaluations()]).toEqual([1, [], expect.toSatisfy((count: number) => count <= 2)]);
  const value = half.valueOf(`IpSet:${web.id}`);
  expect(value?.kind === "IpSet" && value.members.length).toBe(10_001);
});
