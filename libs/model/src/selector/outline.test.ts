import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { PARENTHESES_OUTSIDE_QUOTES, selectorOutline, STARTS_WITH_OPERATOR } from "./outline.ts";
import { parseSelector } from "./selector.ts";

const outline = new RegExp(selectorOutline({ allowGlobal: false }));
const withGlobal = new RegExp(selectorOutline({ allowGlobal: true }));
const operatorFirst = new RegExp(STARTS_WITH_OPERATOR);
const word = fc.constantFrom("a", "role", "in", "has", "not", "projectcalico.org/name", "'x'", '"y"', "'}'", "'('", "'='", "==", "!=", "=", "&&", "||", "&", "!", "(", ")", "has(a)", "all()", "all( )", "global()", "in", "not in", "notin", "{", "}", "{'a','b',}", ",", "contains", "starts with", "endswith");

describe("the outline of a selector", () => {
  it.each(["", " ", "all()", "a == 'b' && (has(c) || !d in {'x', \"y\",})", "in in {'x'}", "a=='}'", "a in {'}', ')'}", "!!( has( a ) )", "a notin {}", "a ends with 'x'", "\thas(a)\t", "a!='=&'"])("has room for %j", (text) => {
    expect([parseSelector(text).ok, outline.test(text), withGlobal.test(text), operatorFirst.test(text)]).toEqual([true, true, true, false]);
  });

  it.each(["role = 'a'", "a == b", "a == 'b", "a == 'b' &&", "a == 'b' & has(c)", "a == 'b' && || has(c)", "(has(a) && )", "a ==", "a", "has()", "has(a) has(b)", "a in 'b'", "a in {b}", "all", "app: web", "has(a)\n&& has(b)"])("has no room for %j", (text) => {
    expect([parseSelector(text).ok, outline.test(text), withGlobal.test(text)]).toEqual([false, false, false]);
  });

  it("knows where global() may stand, and nothing of an operator at the start", () => {
    expect(["global()", "a == 'b' || global( )"].map((text) => [outline.test(text), withGlobal.test(text)])).toEqual([[false, true], [false, true]]);
    expect([outline.test("&& has(a)"), operatorFirst.test("&& has(a)"), operatorFirst.test(" || has(a)")]).toEqual([true, true, true]);
  });

  it("has room for whatever is a selector", () => {
    let selectors = 0;
    fc.assert(fc.property(fc.array(word, { maxLength: 9 }), fc.constantFrom("", " "), (words, between) => {
      const text = words.join(between);
      if (!parseSelector(text, { allowGlobal: true }).ok) return;
      selectors += 1;
      expect([text, withGlobal.test(text), operatorFirst.test(text)]).toEqual([text, true, false]);
      if (parseSelector(text).ok) expect([text, outline.test(text)]).toEqual([text, true]);
    }), { numRuns: 20_000 });
    expect(selectors).toBeGreaterThan(100);
  });

  it("finds the parentheses that count", () => {
    const outside = new RegExp(PARENTHESES_OUTSIDE_QUOTES);
    expect(["(a == 'b')", "a == '('", `a == "'(" && (b == ')')`, ""].map((text) => outside.test(text))).toEqual([true, false, false, true]);
  });
});
