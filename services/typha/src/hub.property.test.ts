import { ALL_NODES, type NodeUpdate, type ObjectKey } from "@calico/calc";
import { createFakeClock, silentLogger } from "@calico/service-kit";
import fc from "fast-check";
import { expect, it } from "vitest";
import { createHub } from "./hub.ts";
import { createNodeConfigStore } from "./node-config.ts";
import { createSession, type Session } from "./session.ts";
import { block, createFakeClient, createFakeHalf, createSlowSink, hostEndpoint, ipSet, settle, tier } from "./testing.ts";

const KINDS = new Set(["IpSet", "Tier", "Block", "HostEndpoint", "BgpPeer", "BgpConfig"]);
const small = fc.nat(4);
const node = fc.constantFrom("a", "b");
const member = fc.nat(6).map((n) => `10.0.0.${n}/32`);

const action = fc.oneof(
  fc.record({ do: fc.constant("tier" as const), n: small, order: small }),
  fc.record({ do: fc.constant("drop tier" as const), n: small }),
  fc.record({ do: fc.constant("block" as const), n: small, node }),
  fc.record({ do: fc.constant("drop block" as const), n: small }),
  fc.record({ do: fc.constant("host" as const), n: small, node, interfaceName: fc.constantFrom("eth0", "*") }),
  fc.record({ do: fc.constant("drop host" as const), n: small }),
  fc.record({ do: fc.constant("set" as const), n: small, members: fc.uniqueArray(member) }),
  fc.record({ do: fc.constant("drop set" as const), n: small }),
  fc.record({ do: fc.constant("want" as const), n: small, node }),
  fc.record({ do: fc.constant("unwant" as const), n: small, node }),
  { weight: 3, arbitrary: fc.record({ do: fc.constant("delta" as const), n: small, added: fc.uniqueArray(member), removed: fc.uniqueArray(member) }) },
  fc.record({ do: fc.constant("peer" as const), n: small, asNumber: fc.option(small) }),
  { weight: 3, arbitrary: fc.record({ do: fc.constant("read" as const) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("settle" as const) }) },
  fc.record({ do: fc.constant("disconnect" as const) }),
  { weight: 2, arbitrary: fc.record({ do: fc.constant("connect" as const), resume: fc.boolean() }) },
  fc.record({ do: fc.constant("wait" as const), ms: fc.constantFrom(10, 100) }),
);

const plain = (state: Iterable<readonly [string, NodeUpdate]>) =>
  Object.fromEntries([...state].map(([key, value]) => [key, value.kind === "IpSet" ? { ...value, members: [...value.members].sort() } : value]));

it("brings a client to the hub's values, whatever happens in between", async () => {
  await fc.assert(fc.asyncProperty(fc.array(action, { maxLength: 60 }), async (actions) => {
    const clock = createFakeClock();
    const config = createNodeConfigStore();
    const hub = createHub({ clock, config, labelsOf: () => ({}), retentionMs: 50, maxTombstones: 3, log: silentLogger });
    const half = createFakeHalf(hub);
    hub.attach(half);
    const client = createFakeClient();
    let sink = createSlowSink(client);
    let session: Session | null = null;
    const connect = (resume: boolean): void => {
      if (session !== null) return;
      client.onDisconnect();
      sink = createSlowSink(client);
      session = createSession({ hub, node: "a", epoch: "e", kinds: KINDS, resumeAt: resume ? client.sequence : null, revisions: () => ({}), sink, onStep: () => {}, onFailure: () => {} });
    };
    const disconnect = (): void => {
      session?.[Symbol.dispose]();
      session = null;
    };

    for (const step of actions) {
      if ("n" in step) {
        const cidr = `10.244.${step.n}.0/26`;
        switch (step.do) {
          case "tier": half.put(`Tier:t${step.n}`, tier(`t${step.n}`, step.order), ALL_NODES); break;
          case "drop tier": half.drop(`Tier:t${step.n}`); break;
          case "block": half.drop(`Block:${cidr}`); half.put(`Block:${cidr}`, block(cidr, step.node), step.node); break;
          case "drop block": half.drop(`Block:${cidr}`); break;
          case "host": half.drop(`HostEndpoint:hep/h${step.n}`); half.put(`HostEndpoint:hep/h${step.n}`, hostEndpoint(`h${step.n}`, step.interfaceName), step.node); break;
          case "drop host": half.drop(`HostEndpoint:hep/h${step.n}`); break;
          case "set": if (!half.has(`IpSet:s${step.n}`)) half.put(`IpSet:s${step.n}`, ipSet(`s${step.n}`, ...step.members)); break;
          case "drop set": half.drop(`IpSet:s${step.n}`); break;
          case "want": if (half.has(`IpSet:s${step.n}`)) half.want(step.node, `IpSet:s${step.n}`); break;
          case "unwant": half.unwant(step.node, `IpSet:s${step.n}`); break;
          case "delta": half.delta(`s${step.n}`, step.added, step.removed); break;
          case "peer": config.setBgpPeer(`p${step.n}`, step.asNumber === null ? null : { asNumber: step.asNumber }); hub.onConfigChange(); break;
        }
      } else if (step.do === "read") sink.read();
      else if (step.do === "settle") await settle();
      else if (step.do === "disconnect") disconnect();
      else if (step.do === "connect") connect(step.resume);
      else clock.advance(step.ms);
      const backlog = (session as Session | null)?.backlog ?? 0;
      // Keys of this test: five tiers, blocks, host endpoints, sets and peers, and the configuration of the node.
      expect(backlog).toBeLessThanOrEqual(26);
    }

    connect(true);
    do await settle(); while (sink.read());
    const expected = new Map<string, NodeUpdate>();
    for (const key of half.interestOf("a")) {
      const value = half.valueOf(key as ObjectKey);
      if (value !== undefined) expected.set(key, value);
    }
    for (const [key, value] of config.resolve("a", {})) if (KINDS.has(value.kind)) expected.set(key, value);
    expect(plain(client.state)).toEqual(plain(expected));
    expect((session as Session | null)?.backlog).toBe(0);
    disconnect();
  }), { numRuns: 300 });
}, 60_000);
