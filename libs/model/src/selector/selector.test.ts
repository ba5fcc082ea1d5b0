import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { all, and, labelRestrictions, not, overNamespaces, overServiceAccounts, parseCanonicalSelector, parseSelector, selector, selectorOf, sortedValues, type SelectorNode } from "./selector.ts";

const key = fc.constantFrom("app", "role", "projectcalico.org/name", "__proto__", "in", "a-b_c.d/e");
const value = fc.constantFrom("", "web", "db", "it's", 'say "x"', "web-1");
const leaf: fc.Arbitrary<SelectorNode> = fc.oneof(
  fc.constant<SelectorNode>({ op: "all" }),
  key.map((k): SelectorNode => ({ op: "has", key: k })),
  fc.tuple(fc.constantFrom("==", "!=", "contains", "starts with", "ends with"), key, value).map(([op, k, v]) => ({ op, key: k, value: v }) as SelectorNode),
  fc.tuple(fc.constantFrom("in", "not in"), key, fc.array(value, { maxLength: 3 })).map(([op, k, values]) => ({ op, key: k, values: sortedValues(values) }) as SelectorNode),
);
const { tree } = fc.letrec<{ tree: SelectorNode }>((tie) => ({
  tree: fc.oneof({ maxDepth: 3 }, leaf, tie("tree").map((operand): SelectorNode => ({ op: "not", operand })),
    fc.tuple(fc.constantFrom("and", "or"), fc.array(tie("tree"), { minLength: 2, maxLength: 3 })).map(([op, operands]) => ({ op, operands }) as SelectorNode)),
}));
const labels = fc.array(fc.tuple(key, value)).map((entries): Record<string, string> => Object.fromEntries(entries));

describe("text", () => {
  test.each([
    ["", "all()"], [" all( ) ", "all()"], ["app=='web'", 'app == "web"'], ["!has(app)", "!has(app)"], ["has( app )&&role!='x'", '(has(app) && role != "x")'],
    ["a=='1'||b=='2'&&c=='3'", '(a == "1" || (b == "2" && c == "3"))'], ["app in {'b','a','b',}", 'app in {"a", "b"}'], ["app notin {}", "app not in {}"],
    ["app startswith 'w'", 'app starts with "w"'], ["app ends with 'b'", 'app ends with "b"'], ["app contains 'e'", 'app contains "e"'],
    ["in in {'x'}", 'in in {"x"}'], ["has == 'x'", 'has == "x"'], [`a == 'say "x"'`, `a == 'say "x"'`], ["!!has(a)", "!!has(a)"], ["((has(a)))", "has(a)"],
  ])("%j becomes %j", (text, canonical) => {
    expect(selector(text).text).toBe(canonical);
  });

  test.each([
    ["app = 'web'", 'a single "=" is not an operator', 4, 'use "=="'], ["app == web", "expected a quoted string", 7, "put the value in quotes: app == 'web'"],
    ["app == 'web", "the string is not closed by '", 7, "add ' at its end"], ["has(a)\n", "a line break is not allowed in a selector", 6, "write it on one line"],
    ["a == 'b' & has(c)", 'a single "&" is not an operator', 9, 'use "&&"'], ["'app' == 'web'", "a label name is written without quotes", 0, "remove the quotes around app"],
    ["(has(a)", "the parenthesis is not closed", 7, undefined], ["has(a) has(b)", 'expected "&&", "||" or the end of the selector', 7, undefined],
    ["global()", "global() may stand only in the namespaceSelector of a rule", 0, undefined], ["has()", "has() wants a label name", 4, undefined],
    ["app in {'a' 'b'}", 'expected "," or "}"', 12, undefined], ["has(a) &&", "the selector ends too early", 9, undefined], ["a == 'é' && é", 'unexpected character "é"', 12, undefined],
  ])("%j is refused", (text, message, offset, suggestion) => {
    expect(parseSelector(text)).toEqual({ ok: false, message, offset, ...(suggestion === undefined ? {} : { suggestion }) });
  });

  test("a selector has at most 1024 characters", () => {
    expect(parseSelector(`a == '${"x".repeat(1017)}'`)).toMatchObject({ ok: true });
    expect(parseSelector(`a == '${"x".repeat(1018)}'`)).toMatchObject({ ok: false, message: expect.stringContaining("1024") });
  });

  test("canonical text parses back to the same selector", () => {
    fc.assert(fc.property(tree, (ast) => {
      const made = selectorOf(ast);
      const result = parseCanonicalSelector(made.text);
      expect(result.ok && result.selector === made).toBe(true);
    }));
  });

  test("also where it is longer than what people may write", () => {
    const longest = `app in {${Array.from({ length: 169 }, (_, i) => `'${String(i).padStart(3, "0")}'`).join(",")}}`;
    const made = [
      and(overNamespaces(selector(longest)), selector(longest)), overNamespaces(selector(`has(${"k".repeat(512)})`)), selectorOf({ op: "in", key: "app", values: sortedValues(Array.from({ length: 50_000 }, (_, i) => `value-${i}`)) }),
      and(selector(`${"!".repeat(1018)}has(a)`), not(selector("has(b)"))), and(selector(`${"(has(a) && ".repeat(70)}has(b)${")".repeat(70)}`), selector("has(c)")),
    ];
    expect(made.map(({ text }) => { const result = parseCanonicalSelector(text); return result.ok ? result.selector : result; })).toEqual(made);
    expect(made.map(({ text }) => parseSelector(text).ok)).toEqual([false, false, false, false, true]);
  });

  test("a text of any depth is answered", () => {
    const message = "a selector has at most 1024 parentheses and negations inside each other";
    for (const text of [`${"(".repeat(100_000)}has(a)${")".repeat(100_000)}`, `${"!".repeat(100_000)}has(a)`, `${"!(".repeat(600)}has(a)${")".repeat(600)}`]) expect(parseCanonicalSelector(text)).toMatchObject({ ok: false, message });
    const flat = `(${Array.from({ length: 10_000 }, () => '!(has(a) || !has(b))').join(" && ")})`;
    expect(parseCanonicalSelector(flat)).toMatchObject({ ok: true });
  });

  test("no text makes the parser throw", () => {
    fc.assert(fc.property(fc.string({ unit: fc.constantFrom(...Array.from("ab ='\"(){}!&|,/in has() all() not")) }), (text) => {
      expect(typeof parseSelector(text).ok).toBe("boolean");
    }), { numRuns: 2000 });
  });
});

describe("meaning", () => {
  test.each([
    ["app != 'web'", {}, true], ["app not in {'web'}", {}, true], ["!has(app)", {}, true], ["app == ''", {}, false], ["app contains ''", {}, false], ["app in {'web'}", { app: "web" }, true],
    ["has(toString)", {}, false], ["app starts with 'w' && app ends with 'b'", { app: "web" }, true], ["has(a) || has(b) && has(c)", { a: "" }, true], ["(has(a) || has(b)) && has(c)", { a: "" }, false],
  ])("%s over %j is %j", (text, given, matches) => {
    expect(selector(text).evaluate(given)).toBe(matches);
  });

  test("restrictions hold for everything that is matched", () => {
    fc.assert(fc.property(tree, labels, (ast, given) => {
      const made = selectorOf(ast);
      if (!made.evaluate(given)) return;
      for (const [restricted, restriction] of labelRestrictions(made)) {
        const present = Object.hasOwn(given, restricted);
        expect(restriction.kind === "absent" ? !present : present).toBe(true);
        if (restriction.kind === "values") expect(restriction.values.has(given[restricted] ?? "")).toBe(true);
      }
    }), { numRuns: 1000 });
  });

  test("and() leaves out all(), not() negates", () => {
    expect(and(all(), selector("has(a)"), all()).text).toBe("has(a)");
    expect(and().text).toBe("all()");
    expect(not(selector("has(a)")).evaluate({ a: "1" })).toBe(false);
  });

  test("selectors over namespaces and service accounts read inherited labels", () => {
    const over = (text: string): string => overNamespaces(selector(text)).text;
    expect(over("env == 'prod'")).toBe('pcns.env == "prod"');
    expect(over("all()")).toBe("has(projectcalico.org/namespace)");
    expect(over("global()")).toBe("!has(projectcalico.org/namespace)");
    expect(over("has(a) || all()")).toBe("(has(pcns.a) || has(projectcalico.org/namespace))");
    expect(overServiceAccounts(selector("team in {'x'}")).text).toBe('pcsa.team in {"x"}');
  });
});
