import { describe, expect, it } from "vitest";
import { createReplyParser, type ControlReply } from "./client.ts";
import { explainSession, parseProtocols, parseVersion, type ProtocolStatus } from "./protocols.ts";

const replyOf = (text: string): ControlReply => createReplyParser().push(text)[0] ?? { code: -1, lines: [] };

/** Recorded from BIRD 2.0.12, shortened. */
const PROTOCOLS = `2002-Name       Proto      Table      State  Since         Info
1002-device1    Device     ---        up     2026-11-21 04:21:33  
1006-
1002-kernel4    Kernel     master4    up     2026-11-21 04:21:33  
1006-  Channel ipv4
     State:          UP
     Routes:         0 imported, 2 exported, 0 preferred
     Route change stats:     received   rejected   filtered    ignored   accepted
       Import updates:              0          0          0          0          0
 
1002-Mesh_10_0_0_2 BGP        ---        up     2026-11-21 04:21:34  Established   
1006-  BGP state:          Established
     Neighbor address: 10.0.0.2
   Channel ipv4
     State:          UP
     Routes:         3 imported, 1 filtered, 2 exported, 3 preferred
   Channel ipv6
     Routes:         4 imported, 5 exported, 4 preferred
 
1002-Global_192_0_2_1 BGP        ---        start  2026-11-21 04:21:33.123  Active        Socket: Network is unreachable
1006-  BGP state:          Active
     Connect delay:    0.488/1
     Last error:       Socket: Network is unreachable
 
1002-Node_10_0_0_3 BGP        ---        down   2026-11-21 04:21:33  
1006-  BGP state:          Down
 
0000 
`;
const status = (parts: Partial<ProtocolStatus>): ProtocolStatus => ({ name: "p", kind: "BGP", state: "start", since: "2026-11-21 04:21:33", bgpState: "Active", lastError: "", imported: 0, exported: 0, ...parts });

describe("show protocols all", () => {
  it("is read row by row with its details", () => {
    expect(parseProtocols(replyOf(PROTOCOLS))).toEqual([
      { name: "device1", kind: "Device", state: "up", since: "2026-11-21 04:21:33", bgpState: "", lastError: "", imported: 0, exported: 0 },
      { name: "kernel4", kind: "Kernel", state: "up", since: "2026-11-21 04:21:33", bgpState: "", lastError: "", imported: 0, exported: 2 },
      { name: "Mesh_10_0_0_2", kind: "BGP", state: "up", since: "2026-11-21 04:21:34", bgpState: "Established", lastError: "", imported: 7, exported: 7 },
      { name: "Global_192_0_2_1", kind: "BGP", state: "start", since: "2026-11-21 04:21:33.123", bgpState: "Active", lastError: "Socket: Network is unreachable", imported: 0, exported: 0 },
      { name: "Node_10_0_0_3", kind: "BGP", state: "down", since: "2026-11-21 04:21:33", bgpState: "Down", lastError: "", imported: 0, exported: 0 },
    ]);
  });

  it("leaves rows out that it cannot read, and details without a row", () => {
    expect(parseProtocols(replyOf("1006-  BGP state: Established\n1002-half a row\n1002-p BGP --- up 2026-11-21 04:21:33 Established\n0000 \n")))
      .toEqual([status({ state: "up", bgpState: "Established" })]);
  });

  it("is nothing for an error", () => {
    expect(parseProtocols(replyOf("9001 syntax error\n"))).toEqual([]);
  });
});

describe("version", () => {
  it.each([["1000-BIRD 2.0.12\n0013 Daemon is up and running\n", "2.0.12"], ["0000 \n", ""]])("of %j is %j", (text, version) => {
    expect(parseVersion(replyOf(text))).toBe(version);
  });
});

describe("explanations", () => {
  it.each<[Partial<ProtocolStatus>, string]>([
    [{ bgpState: "Established", lastError: "Socket: Connection refused" }, ""],
    [{ lastError: "Socket: Connection refused" }, "Socket: Connection refused: nothing listens on the peer's BGP port; is BIRD running there?"],
    [{ lastError: "Socket: Network is unreachable" }, "Socket: Network is unreachable: this node has no way to the peer's address"],
    [{ lastError: "Socket: No route to host" }, "Socket: No route to host: this node has no way to the peer's address"],
    [{ lastError: "Error: Hold timer expired" }, "Error: Hold timer expired: the peer fell silent; is TCP port 179 blocked on the way?"],
    [{ lastError: "Error: Bad peer AS" }, "Error: Bad peer AS: the peer has another AS number than configured here"],
    [{ lastError: "Received: Administrative shutdown" }, "Received: Administrative shutdown"],
    [{ bgpState: "Passive" }, "waiting for the connection; is TCP port 179 open between the nodes?"],
    [{ bgpState: "Connect" }, ""],
  ])("%j: %s", (parts, words) => {
    expect(explainSession(status(parts))).toBe(words);
  });
});
