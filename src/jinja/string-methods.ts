/** The methods of str, except `format`, which looks things up. */
import { capitalize, caseFold, QUESTIONS, swapCase, titleCase } from "./case.ts";
import { failure } from "./errors.ts";
import { iterate } from "./iterate.ts";
import { clampRange, type Native, native, textArgument, wholeArgument } from "./natives.ts";
import { truth } from "./operators.ts";
import { isPrintable } from "./repr.ts";
import type { Run } from "./run.ts";
import {
  countOf,
  cut,
  finder,
  isPlain,
  lastFinder,
  lengthOf,
  linesOf,
  pointsBefore,
  replaceText,
  splitAt,
  splitAtRight,
  splitSpace,
  splitSpaceRight,
  strip,
  unitsBefore,
} from "./text.ts";
import { Dict, DONE, intOf, List, Tuple, textOf, typeName, type Value } from "./values.ts";

type TextBody = (run: Run, text: string, ...args: Value[]) => Value;

const METHODS = new Map<string, Native>();

/** Adds a method, whose object is text. */
function method(name: string, signature: string, body: TextBody): void {
  METHODS.set(
    name,
    native(signature, (run, self, ...args) => body(run, textArgument(self), ...args)),
  );
}

/** Methods by name. Methods of markup wrap the results of these. */
export const STRING_METHODS: ReadonlyMap<string, Native> = METHODS;

/** A method of text alone, with time linear in its length. */
function mapping(name: string, convert: (text: string) => string): void {
  method(name, "", (run, text) => {
    run.spend(1 + 3 * text.length);
    const result = convert(text);
    run.admitText(result.length);
    return result;
  });
}

method("upper", "", (run, text) => {
  run.scan(text.length);
  return text.toUpperCase();
});
method("lower", "", (run, text) => {
  run.scan(text.length);
  return text.toLowerCase();
});
mapping("title", titleCase);
mapping("capitalize", capitalize);
mapping("swapcase", swapCase);
mapping("casefold", caseFold);
for (const [name, question] of QUESTIONS) {
  method(name, "", (run, text) => {
    run.spend(1 + 2 * text.length);
    return question(text);
  });
}
method("isprintable", "", (run, text) => {
  run.scan(text.length);
  return isPrintable(text);
});

const setOf = (chars: Value): string | null => (chars === null ? null : textArgument(chars));
method("strip", "chars=None, /", (run, text, chars) => strip(run, text, setOf(chars as Value), true, true));
method("lstrip", "chars=None, /", (run, text, chars) => strip(run, text, setOf(chars as Value), true, false));
method("rstrip", "chars=None, /", (run, text, chars) => strip(run, text, setOf(chars as Value), false, true));

function separatorOf(separator: Value): string | null {
  if (separator === null) return null;
  const text = textArgument(separator);
  if (text === "") throw failure("ValueError", "empty separator");
  return text;
}
method("split", "sep=None, maxsplit=-1", (run, text, sep: Value, most: Value) => {
  const separator = separatorOf(sep);
  const limit = wholeArgument(most);
  return new List(separator === null ? splitSpace(run, text, limit) : splitAt(run, text, separator, limit));
});
method("rsplit", "sep=None, maxsplit=-1", (run, text, sep: Value, most: Value) => {
  const separator = separatorOf(sep);
  const limit = wholeArgument(most);
  return new List(separator === null ? splitSpaceRight(run, text, limit) : splitAtRight(run, text, separator, limit));
});
method("splitlines", "keepends=False", (run, text, keep: Value) => new List(linesOf(run, text, truth(run, keep))));
method("partition", "sep, /", (run, text, sep: Value) => {
  const [before, ...after] = splitAt(run, text, separatorOf(textArgument(sep)) as string, 1);
  return new Tuple(after.length > 0 ? [before as string, sep, after[0] as string] : [text, "", ""]);
});
method("rpartition", "sep, /", (run, text, sep: Value) => {
  const parts = splitAtRight(run, text, separatorOf(textArgument(sep)) as string, 1);
  return new Tuple(parts.length > 1 ? [parts[0] as string, sep, parts[1] as string] : ["", "", text]);
});
method("replace", "old, new, count=-1, /", (run, text, old: Value, by: Value, count: Value) =>
  replaceText(run, text, textArgument(old), textArgument(by), wholeArgument(count)),
);
method("removeprefix", "prefix, /", (_run, text, prefix: Value) => {
  const start = textArgument(prefix);
  return text.startsWith(start) ? text.slice(start.length) : text;
});
method("removesuffix", "suffix, /", (_run, text, suffix: Value) => {
  const end = textArgument(suffix);
  return end !== "" && text.endsWith(end) ? text.slice(0, -end.length) : text;
});

/** Whether the part of a text between two positions begins or ends with a text, or with one of several. */
function affix(name: "startswith" | "endswith"): void {
  method(name, "prefix, start=None, end=None, /", (run, text, wanted: Value, start: Value, end: Value) => {
    run.scan(text.length);
    const length = start === null && end === null ? 0 : lengthOf(run, text);
    const [from, to] = clampRange(start, end, length);
    const whole = start === null && end === null;
    if (!whole && from > length) return false;
    const part = whole ? text : cut(text, from, to);
    const all = wanted instanceof Tuple ? wanted.items : [wanted];
    return all.some((one) => {
      const affixText = textOf(one);
      if (affixText === undefined)
        throw failure("TypeError", `${name} first arg must be str or a tuple of str, not ${typeName(one)}`);
      if (!whole && to < from) return false;
      run.scan(affixText.length);
      return name === "startswith" ? part.startsWith(affixText) : part.endsWith(affixText);
    });
  });
}
affix("startswith");
affix("endswith");

/** The position of a part, in characters; -1 if not found. */
function find(run: Run, text: string, part: string, start: Value, end: Value, last: boolean): number {
  const length = lengthOf(run, text);
  const [from, to] = clampRange(start, end, length);
  if (from > length || to < from) return -1;
  const begin = isPlain(text) ? from : unitsBefore(text, from);
  const stop = isPlain(text) ? to : unitsBefore(text, to);
  const found = placeOf(run, text.slice(begin, stop), part, last);
  return found < 0 ? -1 : pointsBefore(text, begin + found);
}
function placeOf(run: Run, text: string, part: string, last: boolean): number {
  if (part === "") return last ? text.length : 0;
  return last ? lastFinder(run, text, part)(text.length - part.length) : finder(run, text, part)(0);
}

for (const [name, last] of [
  ["find", false],
  ["rfind", true],
] as const) {
  const signature = "sub, start=None, end=None, /";
  method(name, signature, (run, text, sub: Value, start: Value, end: Value) =>
    BigInt(find(run, text, textArgument(sub), start, end, last)),
  );
  method(last ? "rindex" : "index", signature, (run, text, sub: Value, start: Value, end: Value) => {
    const found = find(run, text, textArgument(sub), start, end, last);
    if (found < 0) throw failure("ValueError", "substring not found");
    return BigInt(found);
  });
}
method("count", "sub, start=None, end=None, /", (run, text, sub: Value, start: Value, end: Value) => {
  const part = textArgument(sub);
  if (start === null && end === null) return BigInt(countOf(run, text, part));
  const length = lengthOf(run, text);
  const [from, to] = clampRange(start, end, length);
  return from > length || to < from ? 0n : BigInt(countOf(run, cut(text, from, to), part));
});

method("join", "iterable, /", (run, text, iterable: Value) => {
  const source = iterate(run, iterable);
  let result = "";
  let index = 0;
  for (let item = source.next(); item !== DONE; item = source.next()) {
    const part = textOf(item);
    if (part === undefined) {
      throw failure("TypeError", `sequence item ${index}: expected str instance, ${typeName(item)} found`);
    }
    result += index++ > 0 ? text + part : part;
    run.spend(1);
    run.admitText(result.length);
  }
  return result;
});

function filling(run: Run, text: string, width: Value, fill: Value): { missing: number; fill: string } {
  const character = textArgument(fill);
  if (lengthOf(run, character) !== 1)
    throw failure("TypeError", "The fill character must be exactly one character long");
  const missing = Math.max(0, wholeArgument(width) - lengthOf(run, text));
  run.admitText(text.length + missing * character.length);
  run.scan(missing);
  return { missing, fill: character };
}
method("ljust", "width, fillchar=' ', /", (run, text, width: Value, char: Value) => {
  const { missing, fill } = filling(run, text, width, char);
  return text + fill.repeat(missing);
});
method("rjust", "width, fillchar=' ', /", (run, text, width: Value, char: Value) => {
  const { missing, fill } = filling(run, text, width, char);
  return fill.repeat(missing) + text;
});
method("center", "width, fillchar=' ', /", (run, text, width: Value, char: Value) => {
  const { missing, fill } = filling(run, text, width, char);
  // Python puts the odd space on the left if the width is odd.
  const left = (missing >> 1) + (missing & wholeArgument(width) & 1);
  return fill.repeat(left) + text + fill.repeat(missing - left);
});
method("zfill", "width, /", (run, text, width: Value) => {
  const { missing } = filling(run, text, width, "0");
  const sign = /^[+-]/.exec(text)?.[0] ?? "";
  return sign + "0".repeat(missing) + text.slice(sign.length);
});
method("expandtabs", "tabsize=8", (run, text, size: Value) => {
  const width = wholeArgument(size);
  let column = 0;
  let result = "";
  for (const character of text) {
    run.spend(1);
    if (character === "\t") {
      const spaces = width > 0 ? width - (column % width) : 0;
      run.admitText(result.length + spaces);
      run.scan(spaces);
      result += " ".repeat(spaces);
      column += spaces;
    } else {
      result += character;
      column = character === "\n" || character === "\r" ? 0 : column + 1;
    }
  }
  return result;
});
method("translate", "table, /", (run, text, table: Value) => {
  if (!(table instanceof Dict))
    throw failure("TypeError", `'${typeName(table)}' object is not a mapping of characters`);
  let result = "";
  for (const character of text) {
    run.spend(1);
    const found = table.get(BigInt(character.codePointAt(0) as number));
    const code = found === undefined || found === null ? undefined : intOf(found);
    if (found === undefined) result += character;
    else if (found !== null) result += code === undefined ? textArgument(found) : mapped(code);
    run.admitText(result.length);
  }
  return result;
});
function mapped(code: bigint): string {
  if (code < 0n || code > 0x10ffffn) throw failure("ValueError", "character mapping must be in range(0x110000)");
  return String.fromCodePoint(Number(code));
}

method("maketrans", "x, y=None, z=None, /", (run, _text, x: Value, y: Value, z: Value) => {
  const table = new Dict();
  const code = (character: string): bigint => BigInt(character.codePointAt(0) as number);
  if (y === null) {
    if (!(x instanceof Dict))
      throw failure("TypeError", "if you give only one argument to maketrans it must be a dict");
    for (const { key, value } of x.entries()) {
      const text = textOf(key);
      if (text !== undefined && lengthOf(run, text) !== 1) {
        throw failure("ValueError", "string keys in translate table must be of length 1");
      }
      table.set(text === undefined ? key : code(text), value);
    }
    return table;
  }
  const [from, to] = [Array.from(textArgument(x)), Array.from(textArgument(y))];
  run.admitList(from.length + to.length);
  if (from.length !== to.length) {
    throw failure("ValueError", "the first two maketrans arguments must have equal length");
  }
  from.forEach((character, i) => table.set(code(character), code(to[i] as string)));
  if (z !== null) for (const character of textArgument(z)) table.set(code(character), null);
  return table;
});
