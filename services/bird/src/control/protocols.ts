/** What `show protocols all` and `show status` say. */
import type { ControlReply } from "./client.ts";

export type ProtocolStatus = {
  readonly name: string;
  /** "BGP", "Kernel", ... */
  readonly kind: string;
  /** "up", "start" or "down". */
  readonly state: string;
  readonly since: string;
  /** BGP state: "Established", "Active", ...; "" for other kinds. */
  readonly bgpState: string;
  readonly lastError: string;
  readonly imported: number;
  readonly exported: number;
};

/** Codes of BIRD's client protocol: a row of the table, details of the row before. */
const ROW = 1002;
const DETAIL = 1006;

/** Protocols in BIRD's order. Rows that cannot be read are left out. */
export function parseProtocols({ lines }: ControlReply): ProtocolStatus[] {
  const protocols: ProtocolStatus[] = [];
  for (const { code, text } of lines) {
    if (code === ROW) {
      const match = /^(\S+)\s+(\S+)\s+\S+\s+(\S+)\s+(\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}(?:\.\d+)?)\s*(.*)$/s.exec(text);
      if (match === null) continue;
      const [, name = "", kind = "", state = "", since = "", info = ""] = match;
      const [first = "", ...rest] = info.trim().split(/\s+/);
      protocols.push({ name, kind, state, since, bgpState: kind === "BGP" ? first : "", lastError: kind === "BGP" ? rest.join(" ") : "", imported: 0, exported: 0 });
    } else if (code === DETAIL) {
      const at = protocols.length - 1;
      const current = protocols[at];
      if (current !== undefined) protocols[at] = withDetail(current, text.trim());
    }
  }
  return protocols;
}

function withDetail(status: ProtocolStatus, text: string): ProtocolStatus {
  const state = /^BGP state:\s+(\S+)/.exec(text)?.[1];
  if (state !== undefined) return { ...status, bgpState: state };
  const error = /^Last error:\s+(.*)$/s.exec(text)?.[1];
  if (error !== undefined) return { ...status, lastError: error };
  const routes = /^Routes:\s+(\d+) imported, (?:\d+ filtered, )?(\d+) exported/.exec(text);
  if (routes !== null) return { ...status, imported: status.imported + Number(routes[1]), exported: status.exported + Number(routes[2]) };
  return status;
}

/** BIRD's version from its greeting or status. */
export function parseVersion({ lines }: ControlReply): string {
  for (const { text } of lines) {
    const version = /BIRD (\S+)/.exec(text)?.[1];
    if (version !== undefined) return version;
  }
  return "";
}

/** What to do about a session that is not up, in words; "" when there is nothing to say. */
export function explainSession(status: ProtocolStatus): string {
  const { bgpState, lastError } = status;
  if (bgpState === "Established") return "";
  if (/Connection refused/i.test(lastError)) return `${lastError}: nothing listens on the peer's BGP port; is BIRD running there?`;
  if (/(No route|unreachable)/i.test(lastError)) return `${lastError}: this node has no way to the peer's address`;
  if (/Hold timer/i.test(lastError)) return `${lastError}: the peer fell silent; is TCP port 179 blocked on the way?`;
  if (/Bad peer AS/i.test(lastError)) return `${lastError}: the peer has another AS number than configured here`;
  if (lastError !== "") return lastError;
  return bgpState === "Passive" || bgpState === "Active" ? "waiting for the connection; is TCP port 179 open between the nodes?" : "";
}
