import fc from "fast-check";
import { expect, test } from "vitest";
import { selector } from "./selector.ts";
import { unmetConditions } from "./unmet.ts";

const unmet = (text: string, labels: Record<string, string>): readonly string[] => unmetConditions(selector(text).ast, labels);

test.each([
  ["app == 'frontend'", { app: "fronted" }, ['label app is "fronted", not "frontend"']],
  ["app == 'frontend' && has(team)", {}, ['there is no label app, which would have to be "frontend"', "there is no label team"]],
  ["app in {'a', 'b'} || team == 'x' && has(c)", { app: "c" }, ['label app is "c", not "a" or "b"']],
  ["app != 'a'", { app: "a" }, ['label app is "a"']],
  ["app starts with 'f'", { app: "web" }, ['label app is "web", which does not start with "f"']],
  ["!has(app)", { app: "web" }, ["there is label app"]],
  ["!(app == 'web')", { app: "web" }, ['app == "web" holds']],
  ["projectcalico.org/namespace == 'shop' && pcns.team == 'a' && pcsa.role == 'b'", { "projectcalico.org/namespace": "other", "pcns.team": "c" }, ['namespace is "other", not "shop"', 'label team of the namespace is "c", not "a"', 'there is no label role of the service account, which would have to be "b"']],
])("%s of %j", (text, labels, words) => expect(unmet(text, labels)).toEqual(words));

test("says something exactly when the selector does not match", () => {
  const text = fc.constantFrom("all()", "a == '1' && (b != '2' || has(c))", "!(a in {'1', '2'}) || b contains '1'", "a not in {'1'} && !has(b)", "(a == '1' || b == '1') && (a == '2' || c ends with '1')");
  const labels = fc.dictionary(fc.constantFrom("a", "b", "c"), fc.constantFrom("1", "2", "12"));
  fc.assert(fc.property(text, labels, (each, of) => {
    expect(unmet(each, of).length === 0).toBe(selector(each).evaluate(of));
  }), { numRuns: 500 });
});
