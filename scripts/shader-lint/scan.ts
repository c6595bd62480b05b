/**
 * What the shader lint sees of linked WGSL: tokens, and the few shapes that its rules need. Not a parser: brackets are
 * matched, declarations, loops and calls are recognised, and the device's own compiler checks the rest.
 */

export interface Token {
  readonly text: string;
  readonly line: number;
}

/** A `for`, `while`, `loop`, `if`, `switch` with its condition and its body, as token indices [first, end). */
export interface Control {
  readonly kind: string;
  readonly at: number;
  /** Of `for`: the second part of its header. Empty for `loop`. */
  readonly condition: readonly [number, number];
  readonly body: readonly [number, number];
  /** Declared in a `for`'s header. */
  readonly variable: string | undefined;
  /** The comment directly before it. */
  readonly comment: string;
}

/** A name that takes a value: a declaration, or an assignment to it or to a part of it. */
export interface Definition {
  readonly name: string;
  readonly value: readonly [number, number];
  /** Declared in the function as an array of its own. */
  readonly isArray: boolean;
}

export interface ShaderFunction {
  readonly name: string;
  readonly params: readonly string[];
  readonly hasValue: boolean;
  readonly body: readonly [number, number];
  readonly controls: readonly Control[];
  readonly definitions: readonly Definition[];
}

export interface ModuleVariable {
  readonly name: string;
  /** `storage`, `uniform`, `workgroup`, `private`. */
  readonly space: string;
  readonly type: readonly Token[];
  readonly line: number;
  /** The comment directly before it. */
  readonly comment: string;
}

export interface ScannedShader {
  readonly tokens: readonly Token[];
  readonly variables: readonly ModuleVariable[];
  /** Module constants by name: the tokens of their value. */
  readonly constants: ReadonlyMap<string, readonly Token[]>;
  /** Members' types of each structure. */
  readonly structures: ReadonlyMap<string, readonly (readonly Token[])[]>;
  readonly functions: readonly ShaderFunction[];
}

const PATTERN = /\/\/[^\n]*|\/\*[\s\S]*?\*\/|[A-Za-z_]\w*|\d[\w.]*|[-+*/%&|^=<>!]=|&&|\|\||->|\+\+|--|\S/g;
const CLOSING: Readonly<Record<string, string>> = { "(": ")", "[": "]", "{": "}" };

export function scan(code: string): ScannedShader {
  const comments = new Map<number, string>();
  const tokens: Token[] = [];
  let line = 1;
  let read = 0;
  for (const match of code.matchAll(PATTERN)) {
    for (; read < match.index; read++) if (code[read] === "\n") line++;
    const [text] = match;
    if (text.startsWith("//") || text.startsWith("/*")) {
      comments.set(tokens.length, `${comments.get(tokens.length) ?? ""}${text.replace(/^\/[/*]\s*/, "")} `);
    } else tokens.push({ text, line });
  }
  return new Scanner(tokens, comments).run();
}

class Scanner {
  readonly #tokens: readonly Token[];
  readonly #comments: ReadonlyMap<number, string>;

  constructor(tokens: readonly Token[], comments: ReadonlyMap<number, string>) {
    this.#tokens = tokens;
    this.#comments = comments;
  }

  run(): ScannedShader {
    const variables: ModuleVariable[] = [];
    const constants = new Map<string, readonly Token[]>();
    const structures = new Map<string, readonly (readonly Token[])[]>();
    const functions: ShaderFunction[] = [];
    for (let at = 0; at < this.#tokens.length; at++) {
      const text = this.#text(at);
      if (text === "var") {
        const end = this.#find(at, ";");
        const spaced = this.#text(at + 1) === "<";
        const nameAt = spaced ? this.#find(at, ">") + 1 : at + 1;
        variables.push({
          name: this.#text(nameAt),
          space: spaced ? this.#text(at + 2) : "handle",
          type: this.#tokens.slice(nameAt + 2, end),
          line: this.#tokens[at]?.line ?? 0,
          comment: this.#comments.get(at) ?? "",
        });
        at = end;
      } else if (text === "const") {
        const end = this.#find(at, ";");
        constants.set(this.#text(at + 1), this.#tokens.slice(this.#find(at, "=") + 1, end));
        at = end;
      } else if (text === "struct") {
        const end = this.#closing(at + 2);
        structures.set(this.#text(at + 1), this.#members(at + 3, end));
        at = end;
      } else if (text === "fn") {
        const found = this.#function(at);
        functions.push(found);
        at = found.body[1];
      } else if (CLOSING[text]) at = this.#closing(at);
    }
    return { tokens: this.#tokens, variables, constants, structures, functions };
  }

  #members(first: number, end: number): readonly (readonly Token[])[] {
    const types: (readonly Token[])[] = [];
    for (let at = first; at < end; at++) {
      if (this.#text(at) !== ":") continue;
      let last = at + 1;
      let depth = 0;
      while (last < end && (depth > 0 || this.#text(last) !== ",")) {
        if (this.#text(last) === "<") depth++;
        if (this.#text(last) === ">") depth--;
        last++;
      }
      types.push(this.#tokens.slice(at + 1, last));
      at = last;
    }
    return types;
  }

  #function(at: number): ShaderFunction {
    const open = at + 2;
    const close = this.#closing(open);
    const params: string[] = [];
    for (let i = open + 1; i < close; i++) if (this.#text(i + 1) === ":") params.push(this.#text(i));
    const begin = this.#find(close, "{");
    const end = this.#closing(begin);
    const controls: Control[] = [];
    const definitions: Definition[] = [];
    for (let i = begin + 1; i < end; i++) {
      const text = this.#text(i);
      if (["for", "while", "if", "switch", "loop"].includes(text)) controls.push(this.#control(i));
      const definition = this.#definition(i);
      if (definition) definitions.push(definition);
    }
    const hasValue = this.#text(close + 1) === "->";
    return { name: this.#text(at + 1), params, hasValue, body: [begin + 1, end], controls, definitions };
  }

  #control(at: number): Control {
    const kind = this.#text(at);
    const comment = this.#comments.get(at) ?? "";
    const brace = this.#braceAfter(at + 1);
    const body = [brace + 1, this.#closing(brace)] as const;
    if (kind === "loop") return { kind, at, condition: [at, at], body, variable: undefined, comment };
    if (kind !== "for") return { kind, at, condition: [at + 1, brace], body, variable: undefined, comment };
    const first = this.#find(at + 2, ";");
    const second = this.#find(first + 1, ";");
    const declares = this.#text(at + 2) === "var";
    return {
      kind,
      at,
      condition: [first + 1, second],
      body,
      variable: declares ? this.#text(at + 3) : undefined,
      comment,
    };
  }

  /** `let x = …`, `var x: T = …`, `x = …`, `x.y += …`, `x[i] = …`, `x++`. */
  #definition(at: number): Definition | undefined {
    const text = this.#text(at);
    if (text === "let" || text === "var" || text === "const") {
      const end = this.#find(at, ";");
      const equals = this.#find(at, "=");
      const type = this.#tokens.slice(at + 2, Math.min(equals, end)).map((token) => token.text);
      const isArray = text === "var" && (type[1] === "array" || this.#text(equals + 1) === "array");
      return { name: this.#text(at + 1), value: [Math.min(equals + 1, end), end], isArray };
    }
    const before = this.#text(at - 1);
    if (!/^[A-Za-z_]/.test(text) || ![";", "{", "}", "("].includes(before)) return undefined;
    let place = at + 1;
    while ([".", "["].includes(this.#text(place)))
      place = this.#text(place) === "." ? place + 2 : this.#closing(place) + 1;
    if (!/^(?:[-+*/%&|^]?=|\+\+|--)$/.test(this.#text(place))) return undefined;
    return { name: text, value: [at + 1, this.#find(place, ";", ")")], isArray: false };
  }

  #text(at: number): string {
    return this.#tokens[at]?.text ?? "";
  }

  /** The next of these tokens outside of brackets opened meanwhile. */
  #find(at: number, ...wanted: readonly string[]): number {
    for (let i = at; i < this.#tokens.length; i++) {
      const text = this.#text(i);
      if (wanted.includes(text) && !(i === at && CLOSING[text])) return i;
      if (CLOSING[text] && i > at) i = this.#closing(i);
    }
    return this.#tokens.length;
  }

  #braceAfter(at: number): number {
    for (let i = at; i < this.#tokens.length; i++) {
      if (this.#text(i) === "{") return i;
      if (this.#text(i) === "(" || this.#text(i) === "[") i = this.#closing(i);
    }
    return this.#tokens.length;
  }

  #closing(at: number): number {
    const open = this.#text(at);
    const close = CLOSING[open];
    let depth = 0;
    for (let i = at; i < this.#tokens.length; i++) {
      if (this.#text(i) === open) depth++;
      else if (this.#text(i) === close && --depth === 0) return i;
    }
    return this.#tokens.length;
  }
}
