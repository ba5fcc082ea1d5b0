/**
 * As much of the selector language as an API server can check: the order of the words, not the nesting of parentheses. The patterns mean the
 * same in RE2 and in JavaScript, and hold no quotes.
 */
const BLANK = String.raw`[ \t]*`;
const NAME = String.raw`[\w./-]+`;
const TEXT = String.raw`(\x27[^\x27]*\x27|\x22[^\x22]*\x22)`;
const COMPARED = `([!=]=|contains|(starts|ends)${BLANK}with)${BLANK}${TEXT}`;
const LISTED = String.raw`(not${BLANK})?in${BLANK}\{(${TEXT}|[ \t,])*\}`;

/** A pattern that matches every selector that `parseSelector` accepts, and little else but wrong parentheses and what `STARTS_WITH_OPERATOR` finds. */
export function selectorOutline({ allowGlobal }: { readonly allowGlobal: boolean }): string {
  const called = String.raw`(${allowGlobal ? "(all|global)" : "all"}${BLANK}\(|has${BLANK}\(${BLANK}${NAME})${BLANK}\)`;
  return String.raw`^((^|&&|[|][|])[ \t!(]*(${called}|${NAME}${BLANK}(${COMPARED}|${LISTED}))[ \t)]*)*[ \t]*$`;
}

/** Nothing that starts so is a selector. */
export const STARTS_WITH_OPERATOR = String.raw`^[ \t]*[&|]`;
/** Matches a text in which no parenthesis stands in quotes, so that they can be counted. */
export const PARENTHESES_OUTSIDE_QUOTES = String.raw`^([^\x27\x22]|\x27[^\x27()]*\x27|\x22[^\x22()]*\x22)*$`;
