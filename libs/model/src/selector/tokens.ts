/** The words of the selector language. */

export type TokenKind =
  | "identifier" | "string" | "has" | "all" | "global" | "(" | ")" | "{" | "}" | ","
  | "==" | "!=" | "!" | "&&" | "||" | "in" | "not in" | "contains" | "starts with" | "ends with" | "end";

export type Token = { readonly kind: TokenKind; readonly text: string; readonly offset: number };

/** What is wrong with a text, where (offset in UTF-16 units), and what was probably meant. */
export class SelectorSyntaxError extends Error {
  readonly offset: number;
  readonly suggestion: string | undefined;

  constructor(message: string, offset: number, suggestion?: string) {
    super(message);
    this.name = "SelectorSyntaxError";
    this.offset = offset;
    this.suggestion = suggestion;
  }
}

const SYMBOLS = ["==", "!=", "&&", "||", "!", "(", ")", "{", "}", ","] as const;
const IDENTIFIER = /[A-Za-z0-9_./-]{1,512}/y;
/** In canonical text a prefix may have made the longest one longer. */
const ANY_IDENTIFIER = /[A-Za-z0-9_./-]+/y;
/** Operators made of words; only where a comparison may stand (after an identifier). */
const WORD_OPERATORS: readonly { readonly kind: TokenKind; readonly pattern: RegExp }[] = [
  { kind: "not in", pattern: /not[ \t]*in(?![A-Za-z0-9_./-])/y },
  { kind: "starts with", pattern: /starts[ \t]*with(?![A-Za-z0-9_./-])/y },
  { kind: "ends with", pattern: /ends[ \t]*with(?![A-Za-z0-9_./-])/y },
  { kind: "contains", pattern: /contains(?![A-Za-z0-9_./-])/y },
  { kind: "in", pattern: /in(?![A-Za-z0-9_./-])/y },
];
const CALL = /(has|all|global)[ \t]*\(/y;
/** What people write for an operator that has another name here. */
const MISTAKES: readonly (readonly [RegExp, string, string])[] = [
  [/=(?!=)/y, 'a single "=" is not an operator', 'use "=="'],
  [/&(?!&)/y, 'a single "&" is not an operator', 'use "&&"'],
  [/\|(?!\|)/y, 'a single "|" is not an operator', 'use "||"'],
  [/[\n\r]/y, "a line break is not allowed in a selector", "write it on one line"],
];

/** Splits a selector into tokens, the last of kind "end". Throws a SelectorSyntaxError. */
export function tokenize(text: string, isCanonical = false): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  const push = (kind: TokenKind, value: string, length: number): void => {
    tokens.push({ kind, text: value, offset: at });
    at += length;
  };
  while (at < text.length) {
    const char = text.charAt(at);
    if (char === " " || char === "\t") {
      at += 1;
      continue;
    }
    if (char === '"' || char === "'") {
      const close = text.indexOf(char, at + 1);
      if (close < 0) throw new SelectorSyntaxError(`the string is not closed by ${char}`, at, `add ${char} at its end`);
      push("string", text.slice(at + 1, close), close + 1 - at);
      continue;
    }
    const symbol = SYMBOLS.find((candidate) => text.startsWith(candidate, at));
    if (symbol !== undefined) {
      push(symbol, symbol, symbol.length);
      continue;
    }
    const word = afterIdentifier(tokens) ? WORD_OPERATORS.find(({ pattern }) => match(pattern, text, at) !== null) : undefined;
    if (word !== undefined) {
      push(word.kind, word.kind, match(word.pattern, text, at)?.length ?? 0);
      continue;
    }
    const call = afterIdentifier(tokens) ? null : match(CALL, text, at);
    if (call !== null) {
      const name = call.slice(0, -1).trim() as "has" | "all" | "global";
      push(name, name, call.length - 1);
      continue;
    }
    const identifier = match(isCanonical ? ANY_IDENTIFIER : IDENTIFIER, text, at);
    if (identifier === null) throw unexpected(text, at);
    push("identifier", identifier, identifier.length);
  }
  push("end", "", 0);
  return tokens;
}

function afterIdentifier(tokens: readonly Token[]): boolean {
  return tokens.at(-1)?.kind === "identifier";
}

function match(pattern: RegExp, text: string, at: number): string | null {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0] ?? null;
}

function unexpected(text: string, at: number): SelectorSyntaxError {
  for (const [pattern, message, suggestion] of MISTAKES) {
    if (match(pattern, text, at) !== null) return new SelectorSyntaxError(message, at, suggestion);
  }
  return new SelectorSyntaxError(`unexpected character ${JSON.stringify(String.fromCodePoint(text.codePointAt(at) ?? 0))}`, at);
}
