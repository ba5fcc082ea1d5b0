import { describe, expect, it } from "vitest";
import { LEFT_OUT, withoutSctpConnections, withoutSctpServers } from "./network-policy-api-edits.ts";

const container = (name: string, more = ""): string => `        - name: ${name}\n          image: registry.example/test/agnhost:2.45\n${more}`;
const sctp = (name: string): string => container(name, "          env:\n          - name: SERVE_SCTP_PORT_9003\n            value: foo\n");
const object = (name: string, ...containers: string[]): string => `kind: StatefulSet\nmetadata:\n  name: ${name}\nspec:\n      containers:\n${containers.join("")}`;

describe("the pods of the conformance tests", () => {
  it("have no servers of SCTP, and the image that is there", () => {
    const text = [object("a", container("client"), sctp("nine"), container("web", "          ports:\n            - containerPort: 80\n")), object("b", container("client"), sctp("nine"), sctp("ten")), object("c", container("client"), sctp("{{ index .Ports 6 }}"))].join("---\n");
    const wanted = [object("a", container("client"), container("web", "          ports:\n            - containerPort: 80\n")), object("b", container("client")), object("c", container("client"))].join("---\n");
    expect(withoutSctpServers(text, "lab/agnhost:1")).toBe(wanted.replaceAll("registry.example/test/agnhost:2.45", "lab/agnhost:1"));
  });

  it("are not taken for edited when they look otherwise", () => {
    expect(() => withoutSctpServers(object("a", container("client")), "lab/agnhost:1")).toThrow("no SCTP servers");
  });
});

describe("the connections of the conformance tests", () => {
  it("over SCTP are left out first of all", () => {
    const source = "package kubernetes\n\nfunc PokeServer(t *testing.T, clientPod, protocol, targetHost string, shouldConnect bool) {\n\trequire.Eventually(t)\n}\n";
    const lines = withoutSctpConnections(source).split("\n");
    expect(lines.slice(2, 4)).toEqual(["func PokeServer(t *testing.T, clientPod, protocol, targetHost string, shouldConnect bool) {", '\tif protocol == "sctp" {']);
    expect(lines.slice(7, 11)).toEqual([`\t\tt.Log("${LEFT_OUT}")`, "\t\treturn", "\t}", "\trequire.Eventually(t)"]);
  });

  it("are not taken for edited when the function is another", () => {
    expect(() => withoutSctpConnections("func Poke(t *testing.T) {\n}\n")).toThrow("no PokeServer");
  });
});
