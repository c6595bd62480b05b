/** The tokens of a template, one after another, for the parser. */
import { syntaxError } from "./errors.ts";
import { DEEPEST_SOURCE, type Token, type TokenType } from "./lexer.ts";

/** The tokens and the parser's position. */
export class TokenReader {
  readonly #tokens: readonly Token[];
  #at = 0;
  #depth = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  get current(): Token {
    return this.#tokens[this.#at] as Token;
  }

  peek(): Token {
    return this.#tokens[Math.min(this.#at + 1, this.#tokens.length - 1)] as Token;
  }

  next(): Token {
    const token = this.current;
    if (token.type !== "eof") this.#at++;
    return token;
  }

  is(type: TokenType, text?: string): boolean {
    const token = this.current;
    return token.type === type && (text === undefined || token.text === text);
  }

  skip(type: TokenType, text: string): boolean {
    if (!this.is(type, text)) return false;
    this.next();
    return true;
  }

  expect(type: TokenType, text?: string): Token {
    if (this.is(type, text)) return this.next();
    const wanted = text ?? NAMES[type] ?? type;
    if (this.is("eof")) throw this.error(`unexpected end of template, expected '${wanted}'.`);
    throw this.error(`expected token '${wanted}', got '${describe(this.current)}'`);
  }

  error(message: string, line = this.current.line): Error {
    return syntaxError(message, line);
  }

  /** Goes one level deeper into nested expressions or blocks. */
  deeper<T>(parse: () => T): T {
    if (++this.#depth > DEEPEST_SOURCE) throw this.error("the template nests too deeply");
    const result = parse();
    this.#depth--;
    return result;
  }
}

const NAMES: Partial<Record<TokenType, string>> = {
  block_begin: "begin of statement block",
  block_end: "end of statement block",
  variable_begin: "begin of print statement",
  variable_end: "end of print statement",
  data: "template data / text",
  eof: "end of template",
};

/** A token for a message. */
export function describe(token: Token): string {
  if (token.type === "name" || token.type === "operator") return token.text.slice(0, 60);
  return NAMES[token.type] ?? token.type;
}
