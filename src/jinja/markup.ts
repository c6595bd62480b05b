/** HTML and URLs: support for `striptags`, `urlencode` and `xmlattr`. */
import { failure } from "./errors.ts";
import { str } from "./repr.ts";
import type { Run } from "./run.ts";
import { splitSpace } from "./text.ts";
import type { Value } from "./values.ts";

/** Text without tags and comments, its whitespace collapsed, the usual entities replaced. */
export function stripTags(run: Run, text: string): string {
  run.spend(1 + text.length);
  let result = "";
  let at = 0;
  for (let start = text.indexOf("<"); start >= 0; start = text.indexOf("<", at)) {
    const isComment = text.startsWith("<!--", start);
    const end = isComment ? text.indexOf("-->", start + 4) : text.indexOf(">", start);
    if (end < 0) break;
    result += text.slice(at, start);
    at = end + (isComment ? 3 : 1);
  }
  result += text.slice(at);
  return unescapeHtml(splitSpace(run, result, -1).join(" "));
}

/** The entities that HTML itself needs, and some common ones; others are written as numbers. */
const ENTITIES: ReadonlyMap<string, string> = new Map([
  ["amp", "&"],
  ["lt", "<"],
  ["gt", ">"],
  ["quot", '"'],
  ["apos", "'"],
  ["nbsp", "\u00a0"],
  ["copy", "©"],
  ["reg", "®"],
  ["trade", "™"],
  ["hellip", "…"],
  ["mdash", "—"],
  ["ndash", "–"],
  ["lsquo", "‘"],
  ["rsquo", "’"],
  ["ldquo", "“"],
  ["rdquo", "”"],
  ["laquo", "«"],
  ["raquo", "»"],
  ["bull", "•"],
  ["middot", "·"],
  ["times", "×"],
  ["deg", "°"],
  ["euro", "€"],
  ["pound", "£"],
  ["sect", "§"],
]);

function unescapeHtml(text: string): string {
  return text.replace(/&(?:#(\d{1,8});?|#[xX]([\da-fA-F]{1,7});?|([a-z]{2,8});)/g, (all, decimal, hex, name) => {
    if (name !== undefined) return ENTITIES.get(name as string) ?? (all as string);
    const code = decimal === undefined ? Number.parseInt(hex as string, 16) : Number(decimal);
    return code === 0 || code > 0x10ffff || (code >= 0xd800 && code < 0xe000) ? "\ufffd" : String.fromCodePoint(code);
  });
}

/** Percent-encodes a value. @param inQuery in a query, slashes are encoded too, and spaces are plus signs */
export function urlQuote(run: Run, value: Value, inQuery: boolean): string {
  const text = str(run, value);
  run.spend(1 + text.length);
  let encoded: string;
  try {
    encoded = encodeURIComponent(text);
  } catch (cause) {
    throw failure("ValueError", `this text cannot be encoded: ${(cause as Error).message}`);
  }
  const strict = encoded.replace(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`);
  return inQuery ? strict.replace(/%20/g, "+") : strict.replace(/%2F/g, "/");
}
