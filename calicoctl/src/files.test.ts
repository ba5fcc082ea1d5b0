import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { readResources } from "./files.ts";
import { CommandError } from "./usage.ts";

let dir: string;
beforeEach(() => void (dir = mkdtempSync(join(tmpdir(), "calicoctl-"))));
afterEach(() => rmSync(dir, { recursive: true }));

function file(text: string, name = "file.yaml"): string {
  writeFileSync(join(dir, name), text);
  return join(dir, name);
}
const read = (path: string): string[] => readResources([path], "shop", { checkSpec: true }).map(({ object, at }) => `${object.kind} ${object.metadata.namespace ?? ""}/${object.metadata.name} ${at.replace(`${dir}/`, "")}`);
const refusal = (text: string): string[] => {
  try {
    read(file(text));
    return [];
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    return error.message.replaceAll(`${dir}/`, "").split("\n");
  }
};
const pool = (name: string, spec = "{cidr: 10.0.0.0/16}"): string => `apiVersion: projectcalico.org/v3\nkind: IPPool\nmetadata: {name: ${name}}\nspec: ${spec}\n`;

describe("resources in files", () => {
  it("come in order, with their place, from documents, lists and folders", () => {
    expect(read(file(`${pool("a")}---\n${pool("b")}`))).toEqual(["IPPool /a file.yaml:1", "IPPool /b file.yaml:6"]);
    expect(read(file(JSON.stringify({ apiVersion: "projectcalico.org/v3", kind: "NetworkPolicyList", items: [{ apiVersion: "projectcalico.org/v3", kind: "NetworkPolicy", metadata: { name: "p" }, spec: { selector: "all()" } }] }), "list.json"))).toEqual(["NetworkPolicy shop/p list.json:1"]);
    mkdirSync(join(dir, "folder"));
    for (const name of ["2.yaml", "1.yml", "ignored.txt"]) file(pool(`p${name[0]}`), join("folder", name));
    expect(read(join(dir, "folder"))).toEqual(["IPPool /p1 folder/1.yml:1", "IPPool /p2 folder/2.yaml:1"]);
  });

  it("are refused together, each with file, line, field and remedy", () => {
    expect(refusal(`${pool("a", "\n  cidr: 10.0.0.1/16\n  blocksize: 26")}---\napiVersion: v1\nkind: Pod\nmetadata: {name: x}\n---\n${pool("b", "{}")}---\nkind: IPPool\n---\napiVersion: projectcalico.org/v3\nkind: IPpool\nmetadata: {name: x}\n`)).toEqual([
      'file.yaml:5: IPPool a: spec.cidr: "10.0.0.1/16" has bits set behind the prefix; did you mean 10.0.0.0/16?',
      "file.yaml:6: IPPool a: spec.blocksize: there is no such field; did you mean blockSize?",
      "file.yaml:8: Pod of v1 is no resource of Calico's; use kubectl apply -f",
      "file.yaml:15: IPPool b: spec.cidr: this field is needed",
      "file.yaml:17: apiVersion is missing",
      'file.yaml:19: kind: "IPpool" is no kind of projectcalico.org/v3; did you mean IPPool?',
    ]);
  });

  it("of others are refused with the way to go", () => {
    expect(refusal("apiVersion: operator.tigera.io/v1\nkind: Installation\nmetadata: {name: default}\n")).toEqual(["file.yaml:1: Installation of operator.tigera.io/v1 is the operator's; this product is installed by its Helm chart"]);
    expect(refusal("apiVersion: projectcalico.org/v3\nkind: Node\nmetadata: {name: a}\n")).toEqual(["file.yaml:1: a Node is a view on an object of Kubernetes; change that with kubectl"]);
    expect(refusal("a: [")[0]).toMatch(/^file\.yaml:1: /);
    expect(refusal("# nothing\n")[0]).toMatch(/no resources in/);
    expect(() => read(join(dir, "missing.yaml"))).toThrow(/missing\.yaml cannot be read/);
  });

  it("may be anything: the answer is resources or a list of what is wrong", () => {
    fc.assert(fc.property(fc.oneof(fc.string(), fc.json(), fc.string().map((text) => pool("a", text))), (text) => {
      try {
        readResources([file(text)], "default", { checkSpec: true });
      } catch (error) {
        expect(error).toBeInstanceOf(CommandError);
      }
    }), { numRuns: 300 });
  });
});
