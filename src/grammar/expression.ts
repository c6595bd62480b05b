/** Expressions over bytes, of which grammars are made. UTF-8 is spelled out, so that a token may end within a character. */

/** What a text of bytes may look like. */
export type Expression =
  /** One byte of a set; bit b & 31 of word b >> 5 is set if byte b belongs to it. */
  | { readonly kind: "byte"; readonly set: Uint32Array }
  /** One part after another; without parts: the empty text. */
  | { readonly kind: "all"; readonly parts: readonly Expression[] }
  /** One of the choices. */
  | { readonly kind: "any"; readonly choices: readonly Expression[] }
  /** Up to a number of times. */
  | { readonly kind: "upTo"; readonly part: Expression; readonly most: number }
  /** As often as it fits, also never. */
  | { readonly kind: "many"; readonly part: Expression }
  /** An expression that may contain itself. */
  | { readonly kind: "rule"; readonly rule: Rule };

/** A named expression; its body is set once, after the expressions that refer to it may have been made. */
export class Rule {
  readonly name: string;
  #body: Expression | undefined;

  constructor(name: string) {
    this.name = name;
  }

  define(body: Expression): Expression {
    this.#body = body;
    return { kind: "rule", rule: this };
  }

  get body(): Expression {
    if (!this.#body) throw new Error(`Rule ${this.name} was never defined`);
    return this.#body;
  }
}

const utf8 = new TextEncoder();

/** One byte within any of these ranges, both ends included. */
export function byte(...ranges: readonly (readonly [from: number, to: number])[]): Expression {
  const set = new Uint32Array(8);
  for (const [from, to] of ranges) {
    for (let b = from; b <= to; b++) set[b >> 5] = (set[b >> 5] as number) | (1 << (b & 31));
  }
  return { kind: "byte", set };
}

/** Exactly these bytes in UTF-8. */
export function literal(text: string): Expression {
  return inTurn(Array.from(utf8.encode(text), (b) => byte([b, b])));
}

/** One ASCII character of a text. */
export function oneOf(characters: string): Expression {
  return byte(...Array.from(utf8.encode(characters), (b): [number, number] => [b, b]));
}

export function all(...parts: readonly Expression[]): Expression {
  return inTurn(parts);
}

export function any(...choices: readonly Expression[]): Expression {
  return oneAmong(choices);
}

/** As `all`, for lists of any length: a call takes only so many arguments. */
export function inTurn(parts: readonly Expression[]): Expression {
  return parts.length === 1 ? (parts[0] as Expression) : { kind: "all", parts };
}

/** As `any`, for lists of any length. */
export function oneAmong(choices: readonly Expression[]): Expression {
  return choices.length === 1 ? (choices[0] as Expression) : { kind: "any", choices };
}

export function many(part: Expression): Expression {
  return { kind: "many", part };
}

export const empty: Expression = all();

export function optional(part: Expression): Expression {
  return any(part, empty);
}

/** A part `least` to `most` times. */
export function repeat(part: Expression, least: number, most: number): Expression {
  const fixed = Array.from({ length: least }, () => part);
  const rest: Expression = most === Number.POSITIVE_INFINITY ? many(part) : { kind: "upTo", part, most: most - least };
  return inTurn([...fixed, rest]);
}

/** How many bytes texts of an expression have, at least and at most; undefined for one with rules. */
export function lengthsOf(expression: Expression): readonly [least: number, most: number] | undefined {
  switch (expression.kind) {
    case "byte":
      return [1, 1];
    case "all":
    case "any": {
      const parts = expression.kind === "all" ? expression.parts : expression.choices;
      const lengths = parts.map(lengthsOf);
      if (!lengths.every((each) => each !== undefined)) return undefined;
      const [lows, highs] = [lengths.map(([low]) => low), lengths.map(([, high]) => high)];
      const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
      return expression.kind === "all" ? [sum(lows), sum(highs)] : [Math.min(...lows), Math.max(...highs)];
    }
    case "upTo":
    case "many": {
      const part = lengthsOf(expression.part);
      const most = expression.kind === "many" ? Number.POSITIVE_INFINITY : expression.most;
      return part && [0, part[1] * most];
    }
    default:
      return undefined;
  }
}
