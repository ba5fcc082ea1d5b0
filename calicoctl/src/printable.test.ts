import { describe, expect, it } from "vitest";
import { answerProbes, isAnswered, renderAnswer } from "./policy-eval.ts";
import { readManifests } from "./manifests.ts";
import { grid } from "./print.ts";
import { printable, printableLines } from "./printable.ts";

describe("printable", () => {
  it("writes out what would act on a terminal, and leaves letters of every script", () => {
    expect([printable("a\u001b[31mb\u0007\u009b\n\t"), printable("x\u202ey\u2066z"), printable("größe 東京 🙂")]).toEqual(["a\\u001b[31mb\\u0007\\u009b\\u000a\\u0009", "x\\u202ey\\u2066z", "größe 東京 🙂"]);
    expect(printableLines("a\u001b\nb\r\n")).toBe("a\\u001b\nb\\u000d\n");
  });

  it("is what tables and answers show", () => {
    expect(grid(["NAME", "X"], [["a\u001b[2J\nb", "1"]])).toBe("NAME                X\na\\u001b[2J\\u000ab   1\n");
    const pod = (name: string): object => ({ apiVersion: "v1", kind: "Pod", metadata: { namespace: "a", name }, spec: {} });
    const manifests = readManifests([pod("x\u001b[31m"), pod("y")].map((value) => ({ value, at: "f:1", placeOf: () => "f:1" })));
    const [answer] = answerProbes(manifests, [{ from: "a/x\u001b[31m", to: "a/y", port: 80, protocol: "TCP" }]);
    expect(answer === undefined || !isAnswered(answer) ? "" : renderAnswer(answer).split("\n")[0]).toBe("a/x\\u001b[31m > a/y port 80 TCP: allow");
  });

  it("a table of more rows than a call takes arguments is laid out", () => {
    expect(grid(["A"], Array.from({ length: 200_000 }, () => ["x"])).length).toBe(400_002);
  });
});
