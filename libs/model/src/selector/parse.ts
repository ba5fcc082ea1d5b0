/**
 * Recursive descent over the selector grammar:
 *
 *     selector := "" | or        or := and ("||" and)*      and := op ("&&" op)*      op := "!"* primary
 *     primary  := "(" or ")" | "all()" | "global()" | "has(" identifier ")" | identifier comparison
 */
import { sortedValues, type SelectorNode } from "./ast.ts";
import { SelectorSyntaxError, tokenize, type Token, type TokenKind } from "./tokens.ts";

/** Longest selector that Calico accepts, in characters. */
export const MAX_SELECTOR_LENGTH = 1024;

/** Parentheses and negations inside each other: what people write cannot have more, and the stack holds them. */
const MAX_DEPTH = MAX_SELECTOR_LENGTH;

export type ParseOptions = {
  /** Else `global()` is refused. */
  readonly allowGlobal?: boolean;
  /** The text is one that this project rendered, of any length. */
  readonly isCanonical?: boolean;
};

/** Parses a selector to its tree. Throws a SelectorSyntaxError. */
export function parseSelectorTree(text: string, { allowGlobal = false, isCanonical = false }: ParseOptions): SelectorNode {
  if (!isCanonical && text.length > MAX_SELECTOR_LENGTH) {
    throw new SelectorSyntaxError(`a selector has at most ${MAX_SELECTOR_LENGTH} characters, this one has ${text.length}`, MAX_SELECTOR_LENGTH);
  }
  const tokens = tokenize(text, isCanonical);
  if (tokens.length === 1) return { op: "all" };
  const parser = new Parser(tokens, allowGlobal);
  const tree = parser.or();
  parser.expect("end", 'expected "&&", "||" or the end of the selector');
  return tree;
}

class Parser {
  readonly #tokens: readonly Token[];
  readonly #allowGlobal: boolean;
  #at = 0;
  #depth = 0;

  constructor(tokens: readonly Token[], allowGlobal: boolean) {
    this.#tokens = tokens;
    this.#allowGlobal = allowGlobal;
  }

  or(): SelectorNode {
    return this.#chain("||", "or", () => this.#and());
  }

  #and(): SelectorNode {
    return this.#chain("&&", "and", () => this.#not());
  }

  #chain(symbol: TokenKind, op: "or" | "and", next: () => SelectorNode): SelectorNode {
    const operands = [next()];
    while (this.#take(symbol) !== null) operands.push(next());
    const [first] = operands;
    return operands.length === 1 && first !== undefined ? first : { op, operands };
  }

  #not(): SelectorNode {
    const outside = this.#depth;
    while (this.#take("!") !== null) this.#deeper();
    const negations = this.#depth - outside;
    let node = this.#primary();
    for (let i = 0; i < negations; i += 1) node = { op: "not", operand: node };
    this.#depth = outside;
    return node;
  }

  #primary(): SelectorNode {
    const token = this.#next();
    switch (token.kind) {
      case "(": {
        this.#deeper();
        const inner = this.or();
        this.expect(")", "the parenthesis is not closed");
        return inner;
      }
      case "all":
      case "global":
        this.expect("(", `expected "(" after ${token.kind}`);
        this.expect(")", `${token.kind}() takes nothing between its parentheses`);
        if (token.kind === "global" && !this.#allowGlobal) {
          throw new SelectorSyntaxError("global() may stand only in the namespaceSelector of a rule", token.offset);
        }
        return { op: token.kind };
      case "has": {
        this.expect("(", 'expected "(" after has');
        const key = this.expect("identifier", "has() wants a label name");
        this.expect(")", "has() takes one label name");
        return { op: "has", key: key.text };
      }
      case "identifier": return this.#comparison(token);
      case "end": throw new SelectorSyntaxError("the selector ends too early", token.offset);
      case "string": throw new SelectorSyntaxError("a label name is written without quotes", token.offset, `remove the quotes around ${token.text}`);
      default: throw new SelectorSyntaxError(`unexpected ${JSON.stringify(token.text)}`, token.offset);
    }
  }

  #comparison(key: Token): SelectorNode {
    const operator = this.#next();
    switch (operator.kind) {
      case "==":
      case "!=":
      case "contains":
      case "starts with":
      case "ends with": {
        const value = this.#peek();
        const hint = value.kind === "identifier" ? `put the value in quotes: ${key.text} ${operator.kind} '${value.text}'` : undefined;
        return { op: operator.kind, key: key.text, value: this.expect("string", "expected a quoted string", hint).text };
      }
      case "in":
      case "not in": return { op: operator.kind, key: key.text, values: this.#set() };
      default:
        throw new SelectorSyntaxError(
          `expected an operator after the label name ${key.text}`, operator.offset, `has(${key.text}), ${key.text} == '...', ${key.text} in {'...'}`,
        );
    }
  }

  #set(): string[] {
    this.expect("{", 'expected "{"');
    const values: string[] = [];
    while (this.#take("}") === null) {
      values.push(this.expect("string", "expected a quoted string in the set").text);
      if (this.#take(",") === null) {
        this.expect("}", 'expected "," or "}"');
        break;
      }
    }
    return sortedValues(values);
  }

  expect(kind: TokenKind, message: string, suggestion?: string): Token {
    const token = this.#peek();
    if (token.kind !== kind) throw new SelectorSyntaxError(message, token.offset, suggestion);
    return this.#next();
  }

  /** `#not` comes back from where this goes. */
  #deeper(): void {
    this.#depth += 1;
    if (this.#depth > MAX_DEPTH) throw new SelectorSyntaxError(`a selector has at most ${MAX_DEPTH} parentheses and negations inside each other`, this.#peek().offset);
  }

  #take(kind: TokenKind): Token | null {
    return this.#peek().kind === kind ? this.#next() : null;
  }

  #peek(): Token {
    const token = this.#tokens[this.#at] ?? this.#tokens.at(-1);
    if (token === undefined) throw new SelectorSyntaxError("the selector is empty", 0);
    return token;
  }

  #next(): Token {
    const token = this.#peek();
    this.#at += 1;
    return token;
  }
}
