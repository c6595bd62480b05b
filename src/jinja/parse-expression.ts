/** Expressions, by recursive descent with Jinja's precedences. */

import { DEEPEST_SOURCE } from "./lexer.ts";
import type { Call, CallArguments, Expression, Filter, Keyword, Slice } from "./nodes.ts";
import type { Arithmetic, Comparison } from "./operators.ts";
import { describe, TokenReader } from "./token-reader.ts";
import type { Value } from "./values.ts";

const CONSTANTS: ReadonlyMap<string, Value> = new Map<string, Value>([
  ["true", true],
  ["True", true],
  ["false", false],
  ["False", false],
  ["none", null],
  ["None", null],
]);
const COMPARISONS = new Set(["==", "!=", "<", "<=", ">", ">="]);

export class ExpressionParser extends TokenReader {
  expression(withCondition = true): Expression {
    return this.deeper(() => (withCondition ? this.#condition() : this.#or()));
  }

  #condition(): Expression {
    const { line } = this.current;
    let result = this.#or();
    for (let length = 0; this.skip("name", "if"); this.#checkChain(length++)) {
      const test = this.#or();
      const no = this.skip("name", "else") ? this.deeper(() => this.#condition()) : null;
      result = { kind: "condition", test, yes: result, no, line };
    }
    return result;
  }

  #or(): Expression {
    let left = this.#and();
    for (let length = 0; this.skip("name", "or"); this.#checkChain(length++))
      left = { kind: "or", left, right: this.#and() };
    return left;
  }

  #and(): Expression {
    let left = this.#not();
    for (let length = 0; this.skip("name", "and"); this.#checkChain(length++)) {
      left = { kind: "and", left, right: this.#not() };
    }
    return left;
  }

  #not(): Expression {
    if (this.skip("name", "not")) return { kind: "not", node: this.deeper(() => this.#not()) };
    return this.#compare();
  }

  #compare(): Expression {
    const first = this.#sum();
    const rest: { operator: Comparison; node: Expression }[] = [];
    for (;;) {
      this.#checkChain(rest.length);
      const token = this.current;
      if (token.type === "operator" && COMPARISONS.has(token.text)) {
        this.next();
        rest.push({ operator: token.text as Comparison, node: this.#sum() });
      } else if (this.skip("name", "in")) rest.push({ operator: "in", node: this.#sum() });
      else if (this.is("name", "not") && this.peek().type === "name" && this.peek().text === "in") {
        this.next();
        this.next();
        rest.push({ operator: "not in", node: this.#sum() });
      } else break;
    }
    return rest.length === 0 ? first : { kind: "compare", first, rest };
  }

  /** A chain of operators of one precedence, from the left. */
  #chain(operators: readonly string[], operand: () => Expression): Expression {
    let left = operand();
    for (let length = 0; this.current.type === "operator" && operators.includes(this.current.text); length++) {
      this.#checkChain(length);
      const operator = this.next().text as Arithmetic;
      left = { kind: "arithmetic", operator, left, right: operand() };
    }
    return left;
  }

  #sum(): Expression {
    return this.#chain(["+", "-"], () => this.#concat());
  }

  #concat(): Expression {
    const nodes = [this.#product()];
    while (this.skip("operator", "~")) nodes.push(this.#product());
    return nodes.length === 1 ? (nodes[0] as Expression) : { kind: "concat", nodes };
  }

  #product(): Expression {
    return this.#chain(["*", "/", "//", "%"], () => this.#power());
  }

  #power(): Expression {
    return this.#chain(["**"], () => this.unary());
  }

  unary(withFilter = true): Expression {
    let node: Expression;
    if (this.skip("operator", "-")) node = { kind: "negative", node: this.deeper(() => this.unary(false)) };
    else if (this.skip("operator", "+")) node = { kind: "positive", node: this.deeper(() => this.unary(false)) };
    else node = this.primary();
    node = this.#postfix(node);
    return withFilter ? this.#filters(node) : node;
  }

  /** A name or literal. @param withNamespace whether `name.attribute` is a target here */
  primary(withNamespace = false): Expression {
    const token = this.current;
    if (token.type === "name") {
      this.next();
      const value = CONSTANTS.get(token.text);
      if (value !== undefined) return { kind: "const", value };
      if (withNamespace && this.skip("operator", ".")) {
        return { kind: "namespace", name: token.text, attribute: this.expect("name").text, line: token.line };
      }
      return { kind: "name", name: token.text, use: "load", line: token.line };
    }
    if (token.type === "string") {
      let text = "";
      while (this.is("string")) text += this.next().text;
      return { kind: "const", value: text };
    }
    if (token.type === "number") {
      this.next();
      return { kind: "const", value: token.value as Value };
    }
    if (this.skip("operator", "(")) {
      const node = this.tuple({ parenthesised: true });
      this.expect("operator", ")");
      return node;
    }
    if (this.is("operator", "[")) return this.#list();
    if (this.is("operator", "{")) return this.#dict();
    throw this.error(`unexpected '${describe(token)}'`);
  }

  /** One expression, or several separated by commas. */
  tuple(
    options: {
      simplified?: boolean;
      withCondition?: boolean;
      end?: string;
      parenthesised?: boolean;
      withNamespace?: boolean;
    } = {},
  ): Expression {
    const { simplified = false, withCondition = true, end, parenthesised = false, withNamespace = false } = options;
    const items: Expression[] = [];
    let isTuple = false;
    for (;;) {
      if (items.length > 0) this.expect("operator", ",");
      if (this.#endsTuple(end)) break;
      items.push(simplified ? this.deeper(() => this.primary(withNamespace)) : this.expression(withCondition));
      if (!this.is("operator", ",")) break;
      isTuple = true;
    }
    if (!isTuple && items[0]) return items[0];
    if (!isTuple && !parenthesised) throw this.error(`Expected an expression, got '${describe(this.current)}'`);
    return { kind: "tuple", items };
  }

  #endsTuple(end: string | undefined): boolean {
    const { type } = this.current;
    if (type === "variable_end" || type === "block_end" || this.is("operator", ")")) return true;
    return end !== undefined && this.is("name", end);
  }

  #list(): Expression {
    this.expect("operator", "[");
    const items: Expression[] = [];
    while (!this.is("operator", "]")) {
      if (items.length > 0) this.expect("operator", ",");
      if (this.is("operator", "]")) break;
      items.push(this.expression());
    }
    this.expect("operator", "]");
    return { kind: "list", items };
  }

  #dict(): Expression {
    this.expect("operator", "{");
    const pairs: [Expression, Expression][] = [];
    while (!this.is("operator", "}")) {
      if (pairs.length > 0) this.expect("operator", ",");
      if (this.is("operator", "}")) break;
      const key = this.expression();
      this.expect("operator", ":");
      pairs.push([key, this.expression()]);
    }
    this.expect("operator", "}");
    return { kind: "dict", pairs };
  }

  /** A chain becomes a deep tree, and walking it takes stack. */
  #checkChain(length: number): void {
    if (length > 4 * DEEPEST_SOURCE) throw this.error("the template has too long a chain of operators");
  }

  #postfix(start: Expression): Expression {
    let node = start;
    for (let length = 0; ; length++) {
      this.#checkChain(length);
      if (this.is("operator", ".") || this.is("operator", "[")) node = this.#subscript(node);
      else if (this.is("operator", "(")) node = this.call(node);
      else return node;
    }
  }

  #filters(start: Expression): Expression {
    let node = start;
    for (let length = 0; ; length++) {
      this.#checkChain(length);
      if (this.is("operator", "|")) node = this.filter(node) as Filter;
      else if (this.is("name", "is")) node = this.#test(node);
      else if (this.is("operator", "(")) node = this.call(node);
      else return node;
    }
  }

  #subscript(node: Expression): Expression {
    if (this.skip("operator", ".")) {
      const token = this.next();
      if (token.type === "name") return { kind: "attribute", node, name: token.text };
      if (token.type !== "number" || typeof token.value !== "bigint") {
        throw this.error("expected name or number", token.line);
      }
      return { kind: "item", node, key: { kind: "const", value: token.value } };
    }
    this.expect("operator", "[");
    const keys: Expression[] = [];
    while (!this.is("operator", "]")) {
      if (keys.length > 0) this.expect("operator", ",");
      keys.push(this.#subscribed());
    }
    this.expect("operator", "]");
    const [key] = keys;
    if (keys.length === 1 && key) return { kind: "item", node, key };
    if (keys.some(({ kind }) => kind === "slice")) throw this.error("a slice stands alone between brackets");
    return { kind: "item", node, key: { kind: "tuple", items: keys } };
  }

  #subscribed(): Expression {
    const ends = (): boolean => this.is("operator", "]") || this.is("operator", ",");
    let start: Expression | null = null;
    if (!this.is("operator", ":")) {
      start = this.expression();
      if (!this.is("operator", ":")) return start;
    }
    this.next();
    const stop = this.is("operator", ":") || ends() ? null : this.expression();
    const step = this.skip("operator", ":") && !ends() ? this.expression() : null;
    return { kind: "slice", start, stop, step } satisfies Slice;
  }

  call(node: Expression): Call {
    const { line } = this.current;
    return { kind: "call", node, ...this.#callArguments(), line };
  }

  #callArguments(): CallArguments {
    const { line } = this.expect("operator", "(");
    const args: Expression[] = [];
    const keywords: Keyword[] = [];
    let spread: Expression | null = null;
    let spreadKeywords: Expression | null = null;
    const ensure = (fine: boolean): void => {
      if (!fine) throw this.error("invalid syntax for function call expression", line);
    };
    let first = true;
    while (!this.is("operator", ")")) {
      if (!first) {
        this.expect("operator", ",");
        if (this.is("operator", ")")) break;
      }
      first = false;
      if (this.skip("operator", "*")) {
        ensure(!spread && !spreadKeywords);
        spread = this.expression();
      } else if (this.skip("operator", "**")) {
        ensure(!spreadKeywords);
        spreadKeywords = this.expression();
      } else if (this.is("name") && this.peek().type === "operator" && this.peek().text === "=") {
        ensure(!spreadKeywords);
        const key = this.next().text;
        this.next();
        if (keywords.some((keyword) => keyword.key === key)) throw this.error(`keyword argument repeated: ${key}`);
        keywords.push({ key, value: this.expression() });
      } else {
        ensure(!spread && !spreadKeywords && keywords.length === 0);
        args.push(this.expression());
      }
    }
    this.expect("operator", ")");
    return { args, keywords, spread, spreadKeywords };
  }

  #noArguments(): CallArguments {
    return { args: [], keywords: [], spread: null, spreadKeywords: null };
  }

  /** Filters one after the other. @param start null in a block @param inline whether the first one has no bar */
  filter(start: Expression | null, inline = false): Filter | null {
    let node: Expression | null = start;
    let first = inline;
    for (let length = 0; first || this.is("operator", "|"); length++) {
      this.#checkChain(length);
      if (!first) this.next();
      first = false;
      const { line } = this.current;
      const name = this.#dotted();
      const args = this.is("operator", "(") ? this.#callArguments() : this.#noArguments();
      node = { kind: "filter", node, name, ...args, line };
    }
    return node === start ? null : (node as Filter);
  }

  #dotted(): string {
    let name = this.expect("name").text;
    while (this.skip("operator", ".")) name += `.${this.expect("name").text}`;
    return name;
  }

  #test(node: Expression): Expression {
    const { line } = this.expect("name", "is");
    const negated = this.skip("name", "not");
    const name = this.#dotted();
    let args = this.#noArguments();
    if (this.is("operator", "(")) args = this.#callArguments();
    else if (this.#startsArgument()) {
      if (this.is("name", "is")) throw this.error("You cannot chain multiple tests with is");
      args = { ...args, args: [this.#postfix(this.deeper(() => this.primary()))] };
    }
    const test: Expression = { kind: "test", node, name, ...args, line };
    return negated ? { kind: "not", node: test } : test;
  }

  #startsArgument(): boolean {
    const { type, text } = this.current;
    if (type === "string" || type === "number") return true;
    if (type === "operator") return text === "[" || text === "{";
    return type === "name" && !["else", "or", "and"].includes(text);
  }
}
