/** What a session has beyond its two ends. */
import { secondsOf } from "./durations.ts";
import { passwordOf, passwordReference, type SecretContent } from "./secrets.ts";

export type SessionOptions = {
  /** The AS number that this node shows to the peer; null: its own. */
  readonly localAs: number | null;
  /** How often the own AS number may be in the path of a route that is taken. */
  readonly allowedLocalAs: number | null;
  /** Hops that packets of the peer may have made (RFC 5082). */
  readonly ttlSecurityHops: number | null;
  readonly nextHop: "keep" | "self" | null;
  readonly restartSeconds: number | null;
  readonly keepaliveSeconds: number | null;
  readonly password: string | null;
  /** The cluster in which this node reflects routes to the peer (RFC 4456). */
  readonly reflectorCluster: string | null;
};

export const PLAIN_OPTIONS: SessionOptions = { localAs: null, allowedLocalAs: null, ttlSecurityHops: null, nextHop: null, restartSeconds: null, keepaliveSeconds: null, password: null, reflectorCluster: null };

/** A field that cannot be put into effect. */
export type Refusal = { readonly field: string; readonly reason: string };

/** What BIRD takes: "Graceful restart time must be in range 1-1800"; a keepalive time of at most the hold time, which is 240 s. */
export const MAX_RESTART_SECONDS = 1_800;
const MAX_KEEPALIVE_SECONDS = 240;

type Spec = Readonly<Record<string, unknown>>;

/** The options that a BGPPeer asks for; `isExternal`: the two ends have different AS numbers. */
export function sessionOptions(spec: Spec, { localAs, isExternal }: { localAs: number | null; isExternal: boolean }): SessionOptions | Refusal {
  const allowedLocalAs = whole(spec["numAllowedLocalASNumbers"], 0, 255);
  if (allowedLocalAs === undefined) return refusal("numAllowedLocalASNumbers", spec, "is no number from 0 to 255");
  const ttlSecurityHops = whole(spec["ttlSecurity"], 1, 255);
  if (ttlSecurityHops === undefined) return refusal("ttlSecurity", spec, "is no number from 1 to 255");
  const restartSeconds = seconds(spec["maxRestartTime"], MAX_RESTART_SECONDS);
  if (restartSeconds === undefined) return refusal("maxRestartTime", spec, `is no duration from 1s to ${MAX_RESTART_SECONDS}s`);
  const keepaliveSeconds = seconds(spec["keepaliveTime"], MAX_KEEPALIVE_SECONDS);
  if (keepaliveSeconds === undefined) return refusal("keepaliveTime", spec, `is no duration from 1s to ${MAX_KEEPALIVE_SECONDS}s`);
  const nextHop = nextHopOf(spec, isExternal);
  if (nextHop === undefined) return refusal("nextHopMode", spec, "is none of Auto, Self and Keep");
  return { ...PLAIN_OPTIONS, localAs, allowedLocalAs, ttlSecurityHops, restartSeconds, keepaliveSeconds, nextHop };
}

/** The password that a BGPPeer asks for; null: none. */
export function sessionPassword(spec: Spec, secrets: ReadonlyMap<string, SecretContent>): string | null | Refusal {
  const reference = passwordReference(spec);
  if (reference === null) return null;
  const found = passwordOf(reference, secrets);
  return "password" in found ? found.password : { field: "spec.password.secretKeyRef", reason: found.reason };
}

function nextHopOf(spec: Spec, isExternal: boolean): SessionOptions["nextHop"] | undefined {
  switch (spec["nextHopMode"]) {
    case undefined: case null: return spec["keepOriginalNextHop"] === true && isExternal ? "keep" : null;
    case "Auto": return null;
    case "Self": return "self";
    case "Keep": return "keep";
    default: return undefined;
  }
}

function refusal(field: string, spec: Spec, what: string): Refusal {
  return { field: `spec.${field}`, reason: `${JSON.stringify(spec[field])} ${what}` };
}

/** null: not given; undefined: given and no whole number of the range. */
function whole(value: unknown, least: number, most: number): number | null | undefined {
  if (value === undefined || value === null) return null;
  return typeof value === "number" && Number.isInteger(value) && value >= least && value <= most ? value : undefined;
}

function seconds(value: unknown, most: number): number | null | undefined {
  return value === undefined || value === null ? null : whole(secondsOf(value) ?? Number.NaN, 1, most);
}
