import { afterEach, expect, test, vi } from "vitest";
import { helpText, serviceMain } from "./main.ts";
import { bool, defineParams, duration, text } from "./params.ts";

const description = {
  name: "test", does: "tests", envPrefix: "TEST_", otherSources: ["the file /etc/test"],
  params: defineParams({ refresh: duration(90_000).doc("How often."), tick: duration(1_500).doc("Tick."), ip: text("auto").env("IP").doc("Address."), on: bool(true).doc("Whether.") }),
};

afterEach(() => {
  vi.restoreAllMocks();
  process.exitCode = undefined;
});

test("help lists every parameter with its variable, shape, default and meaning", () => {
  const help = helpText(description);
  expect(help).toContain("Parameters come from environment variables, then the file /etc/test:");
  expect(help).toContain("  TEST_REFRESH  (duration (90s, 1m30s, or seconds), default 90s)\n      How often.\n  TEST_TICK  (duration (90s, 1m30s, or seconds), default 1500ms)\n");
  expect(help).toContain("  IP  (text, default auto)\n      Address.\n  TEST_ON  (boolean, default true)\n");
  expect(help).toContain("  NATS_URL  (text)\n");
});

test("what is no parameter is refused with code 2 and the way to go", async () => {
  const written: string[] = [];
  vi.spyOn(process.stderr, "write").mockImplementation((line) => written.push(String(line)) > 0);
  await serviceMain(description, () => Promise.reject(new Error("must not start")), ["--verbose"]);
  expect(process.exitCode).toBe(2);
  expect(written.join("")).toBe('calico-test takes no argument "--verbose": it is configured by environment variables such as TEST_LOGSEVERITYSCREEN; see --help\n');
});
