/** Fields that several kinds have. */
import { z } from "zod";
import { asNumberOf } from "../convert/as-number.ts";
import { canonicalAddress, parseCidr } from "../ip.ts";
import { PARENTHESES_OUTSIDE_QUOTES, selectorOutline, STARTS_WITH_OPERATOR } from "../selector/outline.ts";
import { MAX_SELECTOR_LENGTH, parseSelector } from "../selector/selector.ts";

/**
 * Adds a message for a text that is not what it should be. `server` is as much of the check as the API server can make:
 * CEL rules with their messages, or a pattern where a rule would cost too much, as in lists of lists.
 */
function textThat(maxLength: number, problem: (text: string) => string | null, server: { rules?: readonly { rule: string; message: string }[]; pattern?: string } = {}): z.ZodType<string, string> {
  const checked = z.string().max(maxLength).superRefine((value, context) => {
    const message = problem(value);
    if (message !== null) context.addIssue({ code: "custom", message });
  });
  const { rules = [], pattern } = server;
  return checked.meta({ ...(rules.length === 0 ? {} : { "x-kubernetes-validations": rules }), ...(pattern === undefined ? {} : { pattern }) });
}

function selectorProblem(allowGlobal: boolean): (text: string) => string | null {
  return (text) => {
    const result = parseSelector(text, { allowGlobal });
    return result.ok ? null : `${JSON.stringify(text)}: ${result.message} at character ${result.offset + 1}${result.suggestion === undefined ? "" : `; ${result.suggestion}`}`;
  };
}

const outline = {
  rule: `self.matches(r'${selectorOutline({ allowGlobal: false })}') && !self.matches(r'${STARTS_WITH_OPERATOR}')`,
  message: "this is no selector: write role == 'frontend' && has(tier), with values in quotes, == and not =, && and not &",
};
const balanced = { rule: `!self.matches(r'${PARENTHESES_OUTSIDE_QUOTES}') || self.split('(').size() == self.split(')').size()`, message: "this is no selector: a parenthesis is not closed, or closes nothing" };

export const selector = textThat(MAX_SELECTOR_LENGTH, selectorProblem(false), { rules: [outline, balanced] });
/** A selector in a rule: of these there may be thousands, so that the API server is given a pattern, which costs nothing and has no remedy to tell. */
export const ruleSelector = textThat(MAX_SELECTOR_LENGTH, selectorProblem(false), { pattern: selectorOutline({ allowGlobal: false }) });
/** The namespaceSelector of a rule, which may say `global()`. */
export const ruleNamespaceSelector = textThat(MAX_SELECTOR_LENGTH, selectorProblem(true), { pattern: selectorOutline({ allowGlobal: true }) });

const CIDR_HINT = 'write an address with its prefix length, such as "203.0.113.10/32"';
/** A CIDR; an address alone stands for itself. */
export const net = textThat(49, (text) => (parseCidr(text) === null ? `${JSON.stringify(text)} is not a CIDR; ${CIDR_HINT}` : null), { pattern: "^[0-9a-fA-F:.]+(/[0-9]{1,3})?$" });
/** A CIDR without bits behind its prefix. */
export const maskedNet = textThat(49, (text) => {
  const parsed = parseCidr(text);
  if (parsed === null) return `${JSON.stringify(text)} is not a CIDR; ${CIDR_HINT}`;
  return parsed.masked ? `${JSON.stringify(text)} has bits set behind the prefix; did you mean ${parsed.cidr}?` : null;
}, { rules: [{ rule: "isCIDR(self) && cidr(self) == cidr(self).masked()", message: 'a CIDR without bits behind its prefix is needed, such as "10.65.0.0/16"' }] });
export const address = textThat(45, (text) => (canonicalAddress(text) === null ? `${JSON.stringify(text)} is not an IP address` : null), { rules: [{ rule: "isIP(self)", message: "an IP address is needed" }] });

/** "10s", "1m30s": a duration as Go writes it. */
export const duration = z.string().max(64).regex(/^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$/, 'write a duration such as "10s" or "1m30s"');
export const portNumber = z.int().min(1).max(65_535);
export const portOrZero = z.int().min(0).max(65_535);

/** A number or a text. The API server calls this int-or-string. */
export const intOrString = z.union([z.int(), z.string().max(256)]).meta({ "x-kubernetes-int-or-string": true });
const UP_TO_65535 = "6553[0-5]|655[0-2]\\d|65[0-4]\\d\\d|6[0-4]\\d{3}|[0-5]\\d{4}|\\d{1,4}";
const AS_NUMBER = 'an AS number from 1 to 4294967295 is needed, such as 64512 or "1.10"';
/** An AS number: 1 to 4294967295, also as "64512" or "1.10". */
export const asNumber = z.union([z.int(), z.string().max(256)]).refine((value) => asNumberOf(value) !== null, AS_NUMBER).meta({
  "x-kubernetes-int-or-string": true,
  // Two rules, since the API server reckons the cost of each with the longest text that there could be.
  "x-kubernetes-validations": [
    { rule: `type(self) == int || string(self).matches(r'^\\d{1,10}$|^\\d{1,5}[.](${UP_TO_65535})$')`, message: AS_NUMBER },
    { rule: "type(self) == int ? self >= 1 && self <= 4294967295 : !string(self).matches('^[0-9]+([.][0-9]+)?$') || (double(string(self)) > 0.0 && double(string(self)) < (string(self).contains('.') ? 65536.0 : 4294967296.0))", message: AS_NUMBER },
  ],
});

export const secretKeyRef = z.strictObject({ name: z.string().max(253), key: z.string().max(253), optional: z.boolean().optional() });
export const labels = z.record(z.string(), z.string());
/** Anything: written and read by the product itself. */
export const anyObject = z.looseObject({}).meta({ "x-kubernetes-preserve-unknown-fields": true });
export const condition = z.strictObject({
  type: z.string().max(316), status: z.enum(["True", "False", "Unknown"]), reason: z.string().max(1024), message: z.string().max(32_768),
  lastTransitionTime: z.string(), observedGeneration: z.int().min(0).optional(),
});

/** One of a few words, in any case. */
export function word(...words: readonly string[]): z.ZodType<string, string> {
  // Both cases of each letter: what says "ignore case" is not the same in the API server's expressions and in JavaScript's.
  const eitherCase = (text: string): string => text.replace(/[a-z]/gi, (letter) => `[${letter.toUpperCase()}${letter.toLowerCase()}]`);
  return z.string().regex(new RegExp(`^(?:${words.map(eitherCase).join("|")})$`), `one of ${words.join(", ")} is needed`);
}
