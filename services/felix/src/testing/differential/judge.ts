/** Runs a case: the real dataplane in a namespace, the machine on what the kernel has, the evaluator beside it. */
import { openNftables } from "@calico/kernel";
import { createMachine, dumpRuleset, type KernelRuleset, type Machine, type MachinePacket, type TestNetns } from "@calico/kernel/testing";
import { commonParams, createFakeClock, createLogger, resolveConfig } from "@calico/service-kit";
import { familyOf, type IpAddress, type WorkloadEndpoint } from "@calico/model";
import { ENV_PREFIX, felixParams } from "../../config.ts";
import { createDataplane, type Dataplane, type DataplaneConfig } from "../../dataplane/dataplane.ts";
import { TABLE } from "../../rules/constants.ts";
import { createTestCluster, NODE, type TestCluster } from "./cluster.ts";
import { isGone, keyOf, type Case, type Change } from "./manifests.ts";
import { questionsOf, type Question } from "./packets.ts";

/** The defaults, but tunnels of workloads are let through and so is what goes to the host: what drops them is no policy. Nothing is read again by itself. */
const config: DataplaneConfig = {
  ...resolveConfig({ ...commonParams, ...felixParams }, { env: {}, envPrefix: ENV_PREFIX }).values,
  defaultEndpointToHostAction: "Accept", allowVXLANPacketsFromWorkloads: true, allowIPIPPacketsFromWorkloads: true, nftablesRefreshInterval: 0, routeRefreshInterval: 0,
};
const UPLINK = "eth0";

export type Disagreement = { readonly round: number; readonly question: string; readonly kernel: string; readonly evaluator: string; readonly trace: readonly string[] };
export type Judgement = { readonly asked: number; readonly allowed: number; readonly disagreement: Disagreement | null };

/** What the kernel does otherwise than the evaluator, if anything, after any round of changes. Leaves no table. */
export type Judge = (given: Case) => Promise<Judgement>;

/** Judges in a namespace, in which nothing else uses the table. */
export function createJudge(netns: TestNetns): Judge {
  /** What is there without any object. */
  let atFirst: ReadonlySet<string> | null = null;

  async function judged({ rounds, denyAction = "Drop" }: Case, dataplane: Dataplane): Promise<Judgement> {
    await netns.runAsync(() => dataplane.start());
    const cluster = createTestCluster(dataplane.sink);
    const apply = async (changes: readonly Change[]): Promise<void> => {
      cluster.change(changes);
      await netns.runAsync(() => dataplane.apply());
    };
    if (atFirst === null) {
      await apply([]);
      atFirst = namesIn(netns);
    }
    const text = JSON.stringify(rounds);
    let [asked, allowed] = [0, 0];
    const failed = (round: number, question: string, kernel: string): Judgement => ({ asked, allowed, disagreement: { round, question, kernel, evaluator: "", trace: [] } });
    for (const [round, changes] of rounds.entries()) {
      await apply(changes);
      const refused = refusalsOf(dataplane);
      if (refused.length > 0) return failed(round, "every chain is in the kernel", refused.join("; "));
      const result = compare(cluster, netns.run(() => dumpRuleset(netns.sys, TABLE)), { text, round, denyAction });
      asked += result.asked;
      allowed += result.allowed;
      if (result.disagreement !== null) return { asked, allowed, disagreement: result.disagreement };
    }
    await apply(keysOf(rounds).map((key) => ({ delete: key })));
    const left = [...namesIn(netns)].filter((name) => atFirst?.has(name) !== true);
    return left.length === 0 ? { asked, allowed, disagreement: null } : failed(rounds.length, "nothing is left when everything is gone", left.join(", "));
  }

  return async (given) => {
    const dataplane = openDataplane(given.denyAction);
    try {
      return await judged(given, dataplane);
    } finally {
      await dataplane.stop();
      // Sockets are let go of in a turn of the event loop, which cases without a pause would never give it.
      await new Promise((resolve) => setImmediate(resolve));
      using nft = netns.run(() => openNftables(netns.sys));
      if (nft.listTables().includes(TABLE)) nft.commit(TABLE, [{ do: "delete-table" }]);
    }
  };
}

/** A dataplane that says nothing and that nobody asks for anything. It cuts and guards lists that are as short as here. */
export function openDataplane(denyAction: Case["denyAction"] = "Drop"): Dataplane {
  return createDataplane({ config: { ...config, iptablesFilterDenyAction: denyAction }, onDrift: () => {}, onPodMtu: () => {}, fewestGuarded: 2, sizes: { piece: 4, group: 4, block: 2 }, clock: createFakeClock(), log: createLogger("felix", "Fatal", { write: () => {} }) });
}

/** That an interface is missing is no wonder: no pod has one. */
const refusalsOf = (dataplane: Dataplane): string[] => dataplane.failures().map(({ id, reason }) => `${id}: ${reason}`).filter((line) => !line.endsWith("does not exist"));

function compare(cluster: TestCluster, ruleset: KernelRuleset, { text, round, denyAction }: { readonly text: string; readonly round: number; readonly denyAction: "Drop" | "Reject" }): Judgement {
  const evaluator = cluster.evaluator();
  const machine = createMachine(ruleset);
  let [asked, allowed] = [0, 0];
  const disagree = (question: string, kernel: string, expected: string, trace: readonly string[]): Judgement => ({ asked, allowed, disagreement: { round, question, kernel, evaluator: expected, trace } });
  const endpoints = cluster.endpoints();
  for (const question of questionsOf(endpoints, text)) {
    const { from, to, packet } = question;
    const legs = [...(from === null ? [] : [evaluator.verdict(from, "egress", packet)]), ...(to === null ? [] : [evaluator.verdict(to, "ingress", packet)])];
    const closed = legs.find((leg) => !leg.allowed);
    asked += 1;
    allowed += Number(closed === undefined);
    const outcome = ask(machine, question, "new");
    // An endpoint that the kernel does not know yet answers nobody.
    const wanted = closed === undefined ? "accept" : denyAction === "Reject" && closed.by.kind !== "unknown profile" ? "reject" : "drop";
    if (outcome.did !== wanted) return disagree(`${question.hook} ${nameOf(from)} to ${nameOf(to)}: ${JSON.stringify(packet)}`, outcome.did, `${wanted}, by ${legs.map(({ by }) => JSON.stringify(by)).join(" and ")}`, outcome.trace);
  }
  const around = surroundings(endpoints, machine, (endpoint) => evaluator.verdict(endpoint, "ingress", SOME_PACKET).by.kind !== "unknown profile");
  return around === null ? { asked, allowed, disagreement: null } : disagree(around.question, around.kernel, around.evaluator, around.trace);
}

const nameOf = (endpoint: Question["from"]): string => (endpoint === null ? "the network" : `${endpoint.namespace}/${endpoint.pod}`);

function ask(machine: Machine, { hook, from, to, packet }: Question, ctState: MachinePacket["ctState"]): { readonly did: "accept" | "drop" | "reject"; readonly trace: readonly string[] } {
  const { verdict, rejected, trace } = machine.run(hook, { ...packet, family: familyOf(packet.source.address), inInterface: from?.interfaceName ?? UPLINK, outInterface: hook === "input" ? "" : (to?.interfaceName ?? UPLINK), ctState });
  return { did: rejected ? "reject" : verdict, trace: trace.map(({ chain, comment, did }) => `${chain}: ${did}${comment === null ? "" : ` (${comment})`}`) };
}

const SOME_PACKET = { protocol: 6, source: { address: "10.99.9.9" as IpAddress, port: 1 }, destination: { address: "10.99.9.8" as IpAddress, port: 1 } };

/** What holds whatever the policies say. */
function surroundings(endpoints: readonly WorkloadEndpoint[], machine: Machine, isKnown: (endpoint: WorkloadEndpoint) => boolean): Omit<Disagreement, "round"> | null {
  const answer = (what: string, question: Question, ctState: MachinePacket["ctState"], expected: "accept" | "drop"): Omit<Disagreement, "round"> | null => {
    const { did, trace } = ask(machine, question, ctState);
    return did === expected ? null : { question: `${what}: ${nameOf(question.from)} to ${nameOf(question.to)}`, kernel: did, evaluator: expected, trace };
  };
  for (const endpoint of endpoints.filter(({ node }) => node === NODE)) {
    const [address] = endpoint.addresses;
    const foreign = { protocol: 6, source: { address: (address ?? "10.65.9.9") as IpAddress, port: 1 }, destination: { address: (address?.includes(":") === true ? "fd99::9" : "10.99.9.9") as IpAddress, port: 80 } };
    const back = { ...foreign, source: foreign.destination, destination: foreign.source };
    const out: Question = { hook: "forward", from: endpoint, to: null, packet: foreign };
    const into: Question = { hook: "forward", from: null, to: endpoint, packet: back };
    const established = answer("a connection that is there", out, "established", "accept") ?? answer("a connection that is there", into, "established", "accept");
    const fromHost = answer("the host", { ...into, hook: "output" }, "new", "accept");
    const found = address === undefined
      ? answer("no address yet", out, "new", "drop") ?? answer("no address yet", into, "new", "drop")
      : (isKnown(endpoint) ? established : null) ?? fromHost ?? answer("invalid", out, "invalid", "drop") ?? answer("invalid", into, "invalid", "drop") ?? answer("a foreign source", { ...out, packet: { ...foreign, source: foreign.destination } }, "new", "drop");
    if (found !== null) return found;
  }
  return null;
}

function namesIn(netns: TestNetns): Set<string> {
  const { chains, sets } = netns.run(() => dumpRuleset(netns.sys, TABLE));
  return new Set([...chains.keys(), ...sets.keys()]);
}

const keysOf = (rounds: Case["rounds"]): string[] => [...new Set(rounds.flat().map((change) => (isGone(change) ? change.delete : keyOf(change))))];
