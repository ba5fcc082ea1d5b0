import { describe, expect, it } from "vitest";
import { endOf, readGoReport, type GoReport } from "./go-report.ts";

const reading: GoReport = { nameOf: (test) => test.replaceAll("_", " "), whySkipped: (words) => `because: ${words}`, remarkOf: (lines) => (lines.some((line) => line.includes("left out")) ? "not all of it" : "") };
const outcomes = (text: string): unknown[] => readGoReport(text, reading).map(({ name, outcome, seconds, reason }) => [name, outcome, seconds, reason]);

const TEXT = `=== RUN   All
    suite.go:1: applying
=== RUN   All/tcp
=== RUN   All/tcp/is_allowed
=== RUN   All/tcp/is_denied
    helper.go:90: Expected connection to fail from a to b, but instead it successfully connected.
    helper.go:70: 
        	Error Trace:	/src/helper.go:70
        	Error:      	Condition never satisfied
        	Test:       	All/tcp/is_denied
=== NAME  All/tcp
    suite.go:2: cleaned
=== RUN   All/mixed
=== RUN   All/mixed/goes_on
    helper.go:70: left out: that
=== RUN   All/sctp
=== RUN   All/sctp/is_allowed
    helper.go:70: SCTP
--- FAIL: All (9.00s)
    --- FAIL: All/tcp (5.00s)
        --- PASS: All/tcp/is_allowed (1.50s)
        --- FAIL: All/tcp/is_denied (3.25s)
    --- PASS: All/mixed (1.00s)
        --- PASS: All/mixed/goes_on (1.00s)
    --- PASS: All/sctp (0.00s)
        --- SKIP: All/sctp/is_allowed (0.00s)
FAIL`;

describe("what Go's tests print", () => {
  it("is read to one result for each innermost test", () => {
    expect(outcomes(TEXT)).toEqual([
      ["All/mixed/goes on", "passed", 1, "not all of it"],
      ["All/sctp/is allowed", "skipped", 0, "because: SCTP"],
      ["All/tcp/is allowed", "passed", 1.5, ""],
      ["All/tcp/is denied", "failed", 3.25, "Expected connection to fail from a to b, but instead it successfully connected."],
    ]);
  });

  it("a test that did not end has failed, and so has one around others that failed by itself", () => {
    expect(outcomes("=== RUN   All\n=== RUN   All/tcp\n=== RUN   All/tcp/is_allowed\npanic: test timed out")).toEqual([["All/tcp/is allowed", "failed", 0, "did not end"]]);
    expect(outcomes("=== RUN   All\n=== RUN   All/tcp\n--- FAIL: All (2.00s)\n    suite.go:9: \n        \tError:      \tReceived unexpected error:\n        \tMessages:   \terror deleting it\n    --- PASS: All/tcp (1.00s)")).toEqual([["All", "failed", 2, "error deleting it"], ["All/tcp", "passed", 1, ""]]);
    expect(outcomes("=== RUN   All\n    suite.go:3: no server\n--- FAIL: All (0.10s)")).toEqual([["All", "failed", 0.1, "no server"]]);
  });

  it("tells the end of a test as it comes", () => {
    expect(TEXT.split("\n").flatMap((line) => endOf(line) ?? []).slice(1, 3)).toEqual([{ test: "All/tcp", outcome: "failed", seconds: 5 }, { test: "All/tcp/is_allowed", outcome: "passed", seconds: 1.5 }]);
  });
});
