/** How nodes are, as they say. Pure. */
import type { bird, cni, felix, ipam } from "@calico/proto/status";
import { grid } from "./print.ts";
import type { Answer } from "./queries.ts";

export type NodeAnswers = {
  readonly name: string;
  readonly felix: Answer<felix.StatusResponse>;
  readonly bird: Answer<bird.StatusResponse>;
  readonly ipam: Answer<ipam.StatusResponse>;
  readonly cni: Answer<cni.StatusResponse>;
};

/** More endpoints than this are counted, not listed; `-o json` lists them all. */
const MOST_LISTED = 10;

/** One node as text, its BGP sessions in the original's columns. */
export function renderNode({ name, felix: ofFelix, bird: ofBird, ipam: ofIpam, cni: ofCni }: NodeAnswers): string {
  const lines = [
    ["felix", "silence" in ofFelix ? ofFelix.silence : felixLine(ofFelix.value)],
    ...("silence" in ofFelix || ofFelix.value.overlay === "" ? [] : [["net", ofFelix.value.overlay]]),
    ["bird", "silence" in ofBird ? ofBird.silence : birdLine(ofBird.value)],
    ["ipam", "silence" in ofIpam ? ofIpam.silence : ofIpam.value.ready ? "gives addresses" : `not ready: ${ofIpam.value.detail}`],
    ["cni", "silence" in ofCni ? ofCni.silence : ofCni.value.ready ? ofCni.value.detail : `not ready: ${ofCni.value.detail}`],
  ];
  const endpoints = "silence" in ofFelix ? "" : renderEndpoints(ofFelix.value);
  const sessions = "silence" in ofBird ? "\nBGP status: unknown\n" : ([4, 6] as const).map((family) => renderSessions(ofBird.value.sessions, family)).join("");
  const process = "silence" in ofFelix ? `Calico process does not answer: ${ofFelix.silence}.` : "Calico process is running.";
  return `${name}\n${process}\n\n${lines.map(([component = "", state]) => `${component.padEnd(5)}   ${state}\n`).join("")}${endpoints}${sessions}`;
}

function felixLine({ inSync, lastError, endpointsReady, endpointCount, policies, version }: felix.StatusResponse): string {
  const refused = policies.filter(({ failure }) => failure !== "").map(({ id, failure }) => `; ${id}: ${failure}`);
  return `${inSync ? "in sync" : "not in sync"}${lastError === "" ? "" : ` (${lastError})`}, ${endpointsReady} of ${endpointCount} endpoints and ${policies.length} policies in the kernel, version ${version}${refused.join("")}`;
}

function birdLine({ ready, detail, birdVersion, routerId }: bird.StatusResponse): string {
  return `${ready ? "" : "not ready: "}${detail}${birdVersion === "" ? "" : `, BIRD ${birdVersion}`}${routerId === "" ? "" : `, router id ${routerId}`}`;
}

function renderEndpoints({ endpoints }: felix.StatusResponse): string {
  const waiting = endpoints.filter(({ ready }) => !ready);
  if (waiting.length === 0) return "";
  const more = waiting.length > MOST_LISTED ? `and ${waiting.length - MOST_LISTED} more\n` : "";
  return `\nEndpoints not in the kernel\n${grid(["ENDPOINT", "INTERFACE", "REASON"], waiting.slice(0, MOST_LISTED).map(({ id, interfaceName, waitingFor }) => [id, interfaceName, waitingFor]))}${more}`;
}

function renderSessions(sessions: readonly bird.BgpSession[], family: 4 | 6): string {
  const own = sessions.filter(({ peerAddress }) => peerAddress.includes(":") === (family === 6));
  const rows = own.map(({ peerAddress, peerType, protocolState, since, state, info }) => [peerAddress, peerType, protocolState, since.replace(/\.\d+$/, ""), `${state}${info === "" ? "" : `: ${info}`}`]);
  return `\nIPv${family} BGP status\n${rows.length === 0 ? `No IPv${family} peers found.\n` : grid(["PEER ADDRESS", "PEER TYPE", "STATE", "SINCE", "INFO"], rows)}`;
}

/** One node as a value for `-o json` and `-o yaml`. */
export function nodeValue({ name, felix: ofFelix, bird: ofBird, ipam: ofIpam, cni: ofCni }: NodeAnswers): object {
  const value = (answer: Answer<object>): object => ("silence" in answer ? { noAnswer: answer.silence } : withoutBigints(answer.value));
  return { name, felix: value(ofFelix), bird: value(ofBird), ipam: value(ofIpam), cni: value(ofCni) };
}

/** 64-bit numbers as text, as in protobuf's JSON; every other field as it is, so that "false" is said too. */
function withoutBigints(message: object): object {
  return JSON.parse(JSON.stringify(message, (_, value: unknown) => (typeof value === "bigint" ? String(value) : value))) as object;
}

/** What did not answer of what every node has: "node-2: bird: no answer within 2 s". */
export function silentParts({ name, felix: ofFelix, bird: ofBird }: NodeAnswers): string[] {
  return Object.entries({ felix: ofFelix, bird: ofBird }).flatMap(([component, answer]) => ("silence" in answer ? [`${name}: ${component}: ${answer.silence}`] : []));
}
