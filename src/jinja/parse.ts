/** Parses statements: a template's source as a tree. */
import { syntaxError } from "./errors.ts";
import { tokenize } from "./lexer.ts";
import type {
  Block,
  CallBlock,
  Data,
  Expression,
  Filter,
  For,
  If,
  Macro,
  Name,
  NameUse,
  Output,
  Outside,
  Statement,
  Target,
} from "./nodes.ts";
import { ExpressionParser } from "./parse-expression.ts";
import { describe } from "./token-reader.ts";

/** @throws TemplateError `syntax`, with the line */
export function parse(source: string): Statement[] {
  return new Parser(new ExpressionParser(tokenize(source))).template();
}

class Parser {
  readonly #in: ExpressionParser;
  /** The tags that would end the open blocks. */
  readonly #ends: (readonly string[])[] = [];
  readonly #open: string[] = [];

  constructor(tokens: ExpressionParser) {
    this.#in = tokens;
  }

  template(): Statement[] {
    return this.#statements(null);
  }

  /** Statements up to one of these tags, which becomes the current token, or to the end for null. */
  #statements(ends: readonly string[] | null): Statement[] {
    const result: Statement[] = [];
    let nodes: (Data | Expression)[] = [];
    let line = this.#in.current.line;
    const flush = (): void => {
      if (nodes.length > 0) result.push({ kind: "output", nodes, line } satisfies Output);
      nodes = [];
    };
    if (ends) this.#ends.push(ends);
    while (!this.#in.is("eof")) {
      const token = this.#in.next();
      if (nodes.length === 0) line = token.line;
      if (token.type === "data") nodes.push({ kind: "data", text: token.text });
      else if (token.type === "variable_begin") {
        nodes.push(this.#in.tuple());
        this.#in.expect("variable_end");
      } else {
        flush();
        if (ends && this.#in.is("name") && ends.includes(this.#in.current.text)) {
          this.#ends.pop();
          return result;
        }
        result.push(this.#in.deeper(() => this.#statement()));
        this.#in.expect("block_end");
      }
    }
    flush();
    if (ends) this.#unknown(null, ends);
    return result;
  }

  /** The body of a block, up to one of these tags, which is also returned. */
  #body(...ends: readonly string[]): { body: Statement[]; end: string } {
    this.#in.skip("operator", ":");
    this.#in.expect("block_end");
    const body = this.#statements(ends);
    return { body, end: this.#in.next().text };
  }

  #statement(): Statement {
    const token = this.#in.current;
    if (token.type !== "name") throw this.#in.error("tag name expected");
    const parse = this.#tag(token.text);
    if (!parse) return this.#unknown(token.text, this.#ends.at(-1) ?? []);
    this.#open.push(token.text);
    this.#in.next();
    const statement = parse(token.line);
    this.#open.pop();
    return statement;
  }

  #tag(name: string): ((line: number) => Statement) | undefined {
    switch (name) {
      case "for":
        return (line) => this.#for(line);
      case "if":
        return (line) => this.#if(line);
      case "set":
        return (line) => this.#set(line);
      case "macro":
        return (line) => this.#macro(line);
      case "call":
        return (line) => this.#callBlock(line);
      case "filter":
        return (line) => ({
          kind: "filter-block",
          filter: this.#in.filter(null, true) as Filter,
          body: this.#body("endfilter").body,
          line,
        });
      case "with":
        return (line) => this.#with(line);
      case "autoescape":
        return (line) => ({
          kind: "autoescape",
          value: this.#in.expression(),
          body: this.#body("endautoescape").body,
          line,
        });
      case "generation":
        return (line) => ({
          kind: "call-block",
          call: null,
          args: [],
          defaults: [],
          body: this.#body("endgeneration").body,
          line,
        });
      case "block":
        return (line) => this.#block(line);
      case "print":
        return (line) => this.#print(line);
      case "break":
      case "continue":
        return (line) => ({ kind: name, line });
      case "extends":
        return (line) => ({ kind: "extends", template: this.#in.expression(), names: [], line });
      case "include":
        return (line) => this.#include(line);
      case "import":
        return (line) => this.#import(line);
      case "from":
        return (line) => this.#fromImport(line);
      default:
        return undefined;
    }
  }

  #unknown(name: string | null, ends: readonly string[]): never {
    const message = [name === null ? "Unexpected end of template." : `Encountered unknown tag '${name.slice(0, 60)}'.`];
    const looking = ends.map((end) => `'${end}'`).join(" or ");
    if (ends.length > 0) {
      const nesting = name !== null && this.#ends.some((others) => others.includes(name));
      message.push(
        nesting
          ? `You probably made a nesting mistake. Jinja is expecting this tag, but currently looking for ${looking}.`
          : `Jinja was looking for the following tags: ${looking}.`,
      );
    }
    const innermost = this.#open.at(-1);
    if (innermost) message.push(`The innermost block that needs to be closed is '${innermost}'.`);
    throw this.#in.error(message.join(" "));
  }

  #target(options: { end?: string; withNamespace?: boolean } = {}): Target {
    const { line } = this.#in.current;
    return this.#assignable(this.#in.tuple({ simplified: true, ...options }), "store", line);
  }

  #assignable(node: Expression, use: NameUse, line: number): Target {
    if (node.kind === "name") node.use = use;
    else if (node.kind === "tuple") for (const item of node.items) this.#assignable(item, use, line);
    else if (node.kind !== "namespace") throw this.#in.error(`can't assign to '${node.kind}'`, line);
    return node as Target;
  }

  #name(use: NameUse): Name {
    const { text, line } = this.#in.expect("name");
    if (["true", "false", "none", "True", "False", "None"].includes(text))
      throw this.#in.error("can't assign to 'name'", line);
    return { kind: "name", name: text, use, line };
  }

  #for(line: number): For {
    const target = this.#target({ end: "in" });
    this.#in.expect("name", "in");
    const iterable = this.#in.tuple({ withCondition: false, end: "recursive" });
    const test = this.#in.skip("name", "if") ? this.#in.expression() : null;
    const recursive = this.#in.skip("name", "recursive");
    const { body, end } = this.#body("endfor", "else");
    const otherwise = end === "else" ? this.#body("endfor").body : [];
    return { kind: "for", target, iterable, test, recursive, body, otherwise, line };
  }

  #if(line: number): If {
    const branches: { test: Expression; body: Statement[]; line: number }[] = [];
    for (;;) {
      const branchLine = this.#in.current.line;
      const test = this.#in.tuple({ withCondition: false });
      const { body, end } = this.#body("elif", "else", "endif");
      branches.push({ test, body, line: branchLine });
      if (end === "elif") continue;
      const otherwise = end === "else" ? this.#body("endif").body : [];
      return { kind: "if", branches, otherwise, line };
    }
  }

  #set(line: number): Statement {
    const target = this.#target({ withNamespace: true });
    if (this.#in.skip("operator", "=")) return { kind: "set", target, value: this.#in.tuple(), line };
    const filter = this.#in.filter(null);
    return { kind: "set-block", target, filter, body: this.#body("endset").body, line };
  }

  #signature(): { args: Name[]; defaults: Expression[] } {
    const args: Name[] = [];
    const defaults: Expression[] = [];
    this.#in.expect("operator", "(");
    while (!this.#in.is("operator", ")")) {
      if (args.length > 0) this.#in.expect("operator", ",");
      const arg = this.#name("param");
      if (args.some(({ name }) => name === arg.name)) {
        throw this.#in.error(`duplicate argument '${arg.name}' in function definition`);
      }
      if (this.#in.skip("operator", "=")) defaults.push(this.#in.expression());
      else if (defaults.length > 0) throw this.#in.error("non-default argument follows default argument");
      args.push(arg);
    }
    this.#in.expect("operator", ")");
    return { args, defaults };
  }

  #macro(line: number): Macro {
    const { name } = this.#name("store");
    return { kind: "macro", name, ...this.#signature(), body: this.#body("endmacro").body, line };
  }

  #callBlock(line: number): CallBlock {
    const signature = this.#in.is("operator", "(") ? this.#signature() : { args: [], defaults: [] };
    const call = this.#in.expression();
    if (call.kind !== "call") throw this.#in.error("expected call", line);
    return { kind: "call-block", call, ...signature, body: this.#body("endcall").body, line };
  }

  #with(line: number): Statement {
    const targets: Target[] = [];
    const values: Expression[] = [];
    while (!this.#in.is("block_end")) {
      if (targets.length > 0) this.#in.expect("operator", ",");
      targets.push(this.#assignable(this.#target(), "param", line));
      this.#in.expect("operator", "=");
      values.push(this.#in.expression());
    }
    return { kind: "with", targets, values, body: this.#body("endwith").body, line };
  }

  #block(line: number): Block {
    const name = this.#in.expect("name").text;
    const scoped = this.#in.skip("name", "scoped");
    const required = this.#in.skip("name", "required");
    if (this.#in.is("operator", "-")) throw this.#in.error("names of blocks may not contain hyphens");
    const { body } = this.#body("endblock");
    const blank = (node: Data | Expression): boolean => node.kind === "data" && node.text.trim() === "";
    if (required && !body.every((one) => one.kind === "output" && one.nodes.every(blank))) {
      throw this.#in.error("Required blocks can only contain comments or whitespace");
    }
    this.#in.skip("name", name);
    return { kind: "block", name, scoped, required, body, line };
  }

  #print(line: number): Output {
    const nodes: Expression[] = [];
    while (!this.#in.is("block_end")) {
      if (nodes.length > 0) this.#in.expect("operator", ",");
      nodes.push(this.#in.expression());
    }
    return { kind: "output", nodes, line };
  }

  #context(): boolean {
    const { type, text } = this.#in.current;
    const next = this.#in.peek();
    if (type !== "name" || !["with", "without"].includes(text) || next.type !== "name" || next.text !== "context")
      return false;
    this.#in.next();
    this.#in.next();
    return true;
  }

  #include(line: number): Outside {
    const template = this.#in.expression();
    if (this.#in.is("name", "ignore") && this.#in.peek().text === "missing") {
      this.#in.next();
      this.#in.next();
    }
    this.#context();
    return { kind: "include", template, names: [], line };
  }

  #import(line: number): Outside {
    const template = this.#in.expression();
    this.#in.expect("name", "as");
    const { name } = this.#name("store");
    this.#context();
    return { kind: "import", template, names: [name], line };
  }

  #fromImport(line: number): Outside {
    const template = this.#in.expression();
    this.#in.expect("name", "import");
    const names: string[] = [];
    for (;;) {
      if (names.length > 0) this.#in.expect("operator", ",");
      if (!this.#in.is("name")) throw this.#in.error(`expected token 'name', got '${describe(this.#in.current)}'`);
      if (this.#context()) break;
      const { name } = this.#name("store");
      if (name.startsWith("_")) throw syntaxError("names starting with an underline can not be imported", line);
      names.push(this.#in.skip("name", "as") ? this.#name("store").name : name);
      if (this.#context() || !this.#in.is("operator", ",")) break;
    }
    return { kind: "import", template, names, line };
  }
}
