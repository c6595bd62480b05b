/** Filters of text. */
import { attributeGetter } from "./attributes.ts";
import { failure } from "./errors.ts";
import { isIterable, sizeOf, toArray } from "./iterate.ts";
import { stripTags, urlQuote } from "./markup.ts";
import { type Native, native, textArgument, wholeArgument } from "./natives.ts";
import { arithmetic, truth } from "./operators.ts";
import { str } from "./repr.ts";
import type { Run } from "./run.ts";
import { callMethod } from "./subscript.ts";
import { cut, escapeHtml, isSpace, linesOf, repeat, replaceText } from "./text.ts";
import { urlize } from "./urlize.ts";
import { Dict, Markup, Tuple, textOf, typeName, Undefined, type Value } from "./values.ts";
import { wrapText } from "./wrap.ts";

/** The `soft_str` of a value: markup stays markup. */
function soft(run: Run, value: Value): string | Markup {
  return value instanceof Markup ? value : str(run, value);
}

/** Text that is markup if the value was. */
function like(value: Value, text: string): Value {
  return value instanceof Markup ? new Markup(text) : text;
}

/** A filter that is a method of text. */
const byMethod = (name: string, signature = ""): Native =>
  native(signature, (run, self, ...args) => callMethod(run, soft(run, self), name, args));

function escaped(run: Run, value: Value): Markup {
  return value instanceof Markup ? value : new Markup(escapeHtml(run, str(run, value)));
}

function title(run: Run, text: string): string {
  run.spend(1 + 2 * text.length);
  let result = "";
  let word = "";
  const flush = (): void => {
    const [first = ""] = word;
    result += first.toUpperCase() + word.slice(first.length).toLowerCase();
    word = "";
  };
  for (const character of text) {
    if ("-({[<".includes(character) || isSpace(character)) {
      flush();
      result += character;
    } else word += character;
  }
  flush();
  return result;
}

function indent(run: Run, self: Value, width: Value, first: Value, blank: Value): Value {
  if (self instanceof Undefined) self.refuse();
  const text = textArgument(self);
  const unit = textOf(width) ?? repeat(run, " ", BigInt(wholeArgument(width)));
  const lines = linesOf(run, `${text}\n`, false);
  run.admitText(text.length + lines.length * unit.length);
  run.scan(lines.length * unit.length);
  const everyLine = truth(run, blank);
  const rest = lines.slice(1).map((line) => (everyLine || line !== "" ? unit + line : line));
  const body = [lines[0] as string, ...rest].join("\n");
  return like(self, truth(run, first) ? unit + body : body);
}

function truncate(run: Run, self: Value, length: Value, killWords: Value, end: Value, leeway: Value): Value {
  const most = wholeArgument(length);
  const sign = textArgument(end);
  const slack = leeway === null ? 5 : wholeArgument(leeway);
  if (most < sign.length) throw failure("AssertionError", `expected length >= ${sign.length}, got ${most}`);
  if (slack < 0) throw failure("AssertionError", `expected leeway >= 0, got ${slack}`);
  const size = sizeOf(run, self);
  if (size === undefined) throw failure("TypeError", `object of type '${typeName(self)}' has no len()`);
  if (size <= most + slack) return self;
  const head = cut(textArgument(self), 0, most - sign.length);
  const space = truth(run, killWords) ? -1 : head.lastIndexOf(" ");
  const kept = space < 0 ? head : head.slice(0, space);
  return self instanceof Markup ? new Markup(kept + escapeHtml(run, sign)) : kept + sign;
}

function wordWrap(run: Run, self: Value, width: Value, breakLong: Value, wrapString: Value, onHyphens: Value): Value {
  const options = {
    width: wholeArgument(width),
    breakLongWords: truth(run, breakLong),
    breakOnHyphens: onHyphens === true,
  };
  const separator = wrapString === null ? "\n" : textArgument(wrapString);
  if (self instanceof Undefined) self.refuse();
  const lines = linesOf(run, textArgument(self), false);
  const pieces = lines.flatMap((line) => (line === "" ? [""] : wrapText(run, line, options)));
  run.admitText(pieces.reduce((sum, { length }) => sum + length, 0) + pieces.length * separator.length);
  return pieces.join(separator);
}

function replace(run: Run, self: Value, old: Value, by: Value, count: Value): Value {
  const most = count === null ? -1 : wholeArgument(count);
  if (!run.autoescape) return replaceText(run, str(run, self), str(run, old), str(run, by), most);
  const escaping = old instanceof Markup || (by instanceof Markup && !(self instanceof Markup));
  const source = escaping ? escaped(run, self) : soft(run, self);
  return callMethod(run, source, "replace", [soft(run, old), soft(run, by), BigInt(most)]);
}

function join(run: Run, self: Value, separator: Value, attribute: Value): Value {
  const getter = attribute === null ? null : attributeGetter(attribute);
  const items = toArray(run, self).map((item) => (getter ? getter(run, item) : item));
  const markup = run.autoescape && (separator instanceof Markup || items.some((item) => item instanceof Markup));
  const text = (value: Value): string => {
    const part = str(run, value);
    return markup && !(value instanceof Markup) ? escapeHtml(run, part) : part;
  };
  const between = text(separator);
  let result = "";
  items.forEach((item, i) => {
    run.spend(1);
    result += i > 0 ? between + text(item) : text(item);
    run.admitText(result.length);
  });
  return markup ? new Markup(result) : result;
}

function urlEncode(run: Run, self: Value): Value {
  const items = self instanceof Dict ? Array.from(self.entries(), ({ key, value }) => new Tuple([key, value])) : null;
  const isPlain = textOf(self) !== undefined || (items === null && !isIterable(self));
  if (isPlain) return urlQuote(run, self, false);
  const pairs = (items ?? toArray(run, self)).map((pair) => {
    const parts = toArray(run, pair);
    if (parts.length !== 2) throw failure("ValueError", "urlencode needs pairs");
    return parts.map((part) => urlQuote(run, part, true)).join("=");
  });
  return pairs.join("&");
}

function xmlAttributes(run: Run, self: Value, space: Value): Value {
  if (self instanceof Undefined) self.refuse();
  if (!(self instanceof Dict)) throw failure("AttributeError", `'${typeName(self)}' object has no attribute 'items'`);
  const parts: string[] = [];
  for (const { key, value } of self.entries()) {
    if (value === null || value instanceof Undefined) continue;
    const name = textArgument(key);
    if (/[\s/>=]/.test(name)) throw failure("ValueError", "Invalid character in attribute name");
    parts.push(`${escaped(run, key).text}="${escaped(run, value).text}"`);
  }
  const text = (truth(run, space) && parts.length > 0 ? " " : "") + parts.join(" ");
  run.admitText(text.length);
  return run.autoescape ? new Markup(text) : text;
}

/** @see urlize */
function linked(
  run: Run,
  self: Value,
  limit: Value,
  noFollow: Value,
  target: Value,
  rel: Value,
  schemes: Value,
): Value {
  const relations = new Set(rel === null ? [] : str(run, rel).split(/\s+/).filter(Boolean));
  if (truth(run, noFollow)) relations.add("nofollow");
  relations.add("noopener");
  const text = urlize(run, escaped(run, self).text, {
    limit: limit === null ? null : wholeArgument(limit),
    rel: [...relations].sort().join(" "),
    target: target === null ? null : str(run, target),
    schemes: schemes === null ? [] : toArray(run, schemes).map(textArgument),
  });
  return run.autoescape ? new Markup(text) : text;
}

const format: Native = (run, self, args, keywords) => {
  if (args.length > 0 && keywords.size > 0) {
    throw failure("FilterArgumentError", "can't handle positional and keyword arguments at the same time");
  }
  const values = keywords.size > 0 ? Dict.from(keywords) : new Tuple(args);
  return arithmetic(run, "%", soft(run, self), values);
};

export const TEXT_FILTERS: readonly (readonly [string, Native])[] = [
  ["capitalize", byMethod("capitalize")],
  ["center", byMethod("center", "width=80")],
  ["lower", byMethod("lower")],
  ["upper", byMethod("upper")],
  ["trim", byMethod("strip", "chars=None")],
  ["title", native("", (run, self) => title(run, str(run, self)))],
  ["string", native("", (run, self) => soft(run, self))],
  ["escape", native("", (run, self) => escaped(run, self))],
  ["e", native("", (run, self) => escaped(run, self))],
  ["forceescape", native("", (run, self) => new Markup(escapeHtml(run, str(run, self))))],
  ["safe", native("", (run, self) => (self instanceof Markup ? self : new Markup(str(run, self))))],
  ["format", format],
  ["indent", native("width=4, first=False, blank=False", indent)],
  ["join", native("d='', attribute=None", join)],
  ["replace", native("old, new, count=None", replace)],
  ["striptags", native("", (run, self) => stripTags(run, str(run, self)))],
  ["truncate", native("length=255, killwords=False, end='...', leeway=None", truncate)],
  ["urlencode", native("", urlEncode)],
  ["urlize", native("trim_url_limit=None, nofollow=False, target=None, rel=None, extra_schemes=None", linked)],
  [
    "wordcount",
    native("", (run, self) => {
      const text = str(run, self);
      run.spend(1 + text.length);
      return BigInt(text.match(/[\p{L}\p{N}_]+/gu)?.length ?? 0);
    }),
  ],
  ["wordwrap", native("width=79, break_long_words=True, wrapstring=None, break_on_hyphens=True", wordWrap)],
  ["xmlattr", native("autospace=True", xmlAttributes)],
];
