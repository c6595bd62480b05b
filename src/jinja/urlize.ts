/** `urlize`: addresses in text as links. The time per word is linear in its length. */
import { failure } from "./errors.ts";
import type { Run } from "./run.ts";
import { cut, escapeHtml, isSpace, lengthOf } from "./text.ts";

export interface UrlizeOptions {
  /** Longest text of a link; null for any. */
  readonly limit: number | null;
  readonly rel: string | null;
  readonly target: string | null;
  readonly schemes: readonly string[];
}

/** Maximum length of an address. */
const LONGEST_WORD = 4000;
const TRAILING = /(?:[)>.,\n]|&gt;)$/;
const TOP_DOMAINS = new Set(["com", "net", "int", "edu", "gov", "org", "info", "mil"]);

export function urlize(run: Run, text: string, options: UrlizeOptions): string {
  for (const scheme of options.schemes) {
    if (!/^[\p{L}\p{N}_.+-]{2,}:\/{0,2}$/u.test(scheme))
      throw failure("ValueError", `${scheme} is not a valid URI scheme prefix.`);
  }
  run.spend(1 + 4 * text.length);
  const words = splitWords(text);
  const linked = words.map((word) => (word.length > LONGEST_WORD ? word : linkWord(run, word, options)));
  run.admitText(linked.reduce((sum, word) => sum + word.length, 0));
  return linked.join("");
}

/** Words and the whitespace between them. */
function splitWords(text: string): string[] {
  const parts: string[] = [];
  let start = 0;
  for (let at = 1; at <= text.length; at++) {
    if (at < text.length && isSpace(text[at]) === isSpace(text[at - 1])) continue;
    parts.push(text.slice(start, at));
    start = at;
  }
  return parts;
}

function linkWord(run: Run, word: string, options: UrlizeOptions): string {
  const head = /^(?:[(<]|&lt;)+/.exec(word)?.[0] ?? "";
  let middle = word.slice(head.length);
  let tail = "";
  for (let match = TRAILING.exec(middle); match; match = TRAILING.exec(middle)) {
    run.spend(1 + (middle.length >> 3));
    tail = match[0] + tail;
    middle = middle.slice(0, match.index);
  }
  for (const [open, close] of [
    ["(", ")"],
    ["<", ">"],
    ["&lt;", "&gt;"],
  ] as const) {
    const opened = occurrences(middle, open);
    if (opened <= occurrences(middle, close)) continue;
    for (let moves = Math.min(opened, occurrences(tail, close)); moves > 0; moves--) {
      const end = tail.indexOf(close) + close.length;
      middle += tail.slice(0, end);
      tail = tail.slice(end);
    }
  }
  return head + link(run, middle, options) + tail;
}

function occurrences(text: string, part: string): number {
  return text.split(part).length - 1;
}

function link(run: Run, text: string, options: UrlizeOptions): string {
  const rel = options.rel ? ` rel="${escapeHtml(run, options.rel)}"` : "";
  const target = options.target ? ` target="${escapeHtml(run, options.target)}"` : "";
  const { limit } = options;
  const shown = limit !== null && lengthOf(run, text) > limit ? `${cut(text, 0, limit)}...` : text;
  if (isAddress(text)) {
    const address = /^https?:\/\//.test(text) ? text : `https://${text}`;
    return `<a href="${address}"${rel}${target}>${shown}</a>`;
  }
  if (text.startsWith("mailto:") && isEmail(text.slice(7))) return `<a href="${text}">${text.slice(7)}</a>`;
  if (text.includes("@") && !/^(?:www\.|@)/.test(text) && !text.includes(":") && isEmail(text)) {
    return `<a href="mailto:${text}">${text}</a>`;
  }
  let result = text;
  for (const scheme of options.schemes) {
    if (result !== scheme && result.startsWith(scheme)) result = `<a href="${result}"${rel}${target}>${result}</a>`;
  }
  return result;
}

function isAddress(text: string): boolean {
  const scheme = /^(?:https?:\/\/|www\.)/i.exec(text)?.[0] ?? "";
  const rest = text.slice(scheme.length);
  // The host, a port, and the rest.
  const parts = /^([^:/?#\s]+|\[[\da-fA-F:]+\])(?::\d{1,5})?(?:[/?#]\S*)?$/.exec(rest);
  const host = parts?.[1];
  if (host === undefined) return false;
  const labels = host.split(".");
  const last = labels.at(-1) ?? "";
  const fine = labels.slice(0, -1).every((label) => /^[\p{L}\p{N}_%-]+$/u.test(label));
  if (scheme !== "" && fine && (/^[a-z]{2,63}$/i.test(last) || /^xn--[\p{L}\p{N}_%]{2,59}$/iu.test(last))) return true;
  if (scheme === "") {
    const long = labels.slice(0, -1).every((label) => /^[\p{L}\p{N}_%-]{2,63}$/u.test(label));
    return labels.length > 1 && long && TOP_DOMAINS.has(last.toLowerCase());
  }
  if (scheme.toLowerCase() === "www.") return false;
  return (
    (labels.length === 4 && labels.every((label) => /^\d{1,3}$/.test(label))) ||
    /^\[(?:[\da-f]{0,4}:){2}(?:[\da-f]{0,4}:?){1,6}\]$/i.test(host.slice(0, 60))
  );
}

function isEmail(text: string): boolean {
  const at = text.lastIndexOf("@");
  const domain = text.slice(at + 1);
  const dot = domain.lastIndexOf(".");
  const word = /^[\p{L}\p{N}_]+$/u;
  return (
    at > 0 &&
    dot > 0 &&
    word.test(domain.slice(dot + 1)) &&
    /^[\p{L}\p{N}_][\p{L}\p{N}_.-]*$/u.test(domain.slice(0, dot))
  );
}
