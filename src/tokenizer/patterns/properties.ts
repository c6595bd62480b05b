/** Named sets of characters, with the meaning that they have in Oniguruma. */
import { CodeSet } from "./code-set.ts";

/**
 * Sets by name, for `[:name:]` and `\p{name}`. If a name is both one of these and a property of Unicode,
 * `\p{…}` means this one too, except for `punct`, which means the general category there.
 */
const classes: ReadonlyMap<string, string> = new Map([
  ["alnum", "\\p{Alphabetic}\\p{Nd}"],
  ["alpha", "\\p{Alphabetic}"],
  ["ascii", "\\p{ASCII}"],
  ["blank", "\\p{Zs}\\t"],
  ["cntrl", "\\p{Cc}"],
  ["digit", "\\p{Nd}"],
  ["graph", "\\P{Any}"],
  ["lower", "\\p{Lowercase}"],
  ["print", "\\P{Any}"],
  ["punct", "\\p{P}\\p{S}"],
  ["space", "\\p{White_Space}"],
  ["upper", "\\p{Uppercase}"],
  ["word", "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}"],
  ["xdigit", "0-9A-Fa-f"],
]);

/** Sets that are complements of these. */
const complements: ReadonlyMap<string, string> = new Map([
  ["graph", "\\p{White_Space}\\p{Cc}\\p{Cn}\\p{Cs}"],
  ["print", "\\p{Cc}\\p{Cn}\\p{Cs}"],
]);

/** Latin-1's superscript digits and fractions: word characters in Oniguruma, but not inside brackets. */
const latin1Words = "²³¹¼½¾";

const known = new Map<string, CodeSet | undefined>();

/** The set of a class in JavaScript's syntax; made once. Undefined if the host does not know a name in it. */
function host(characterClass: string): CodeSet | undefined {
  if (!known.has(characterClass)) known.set(characterClass, make(characterClass));
  return known.get(characterClass);
}

function make(characterClass: string): CodeSet | undefined {
  try {
    return CodeSet.ofHost(characterClass);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function always(characterClass: string): CodeSet {
  const set = host(characterClass);
  if (!set) throw new Error(`[${characterClass}] is not a character class`);
  return set;
}

export const sets = {
  /** \d */
  digit: () => always("\\p{Nd}"),
  /** Numbers of all kinds, as Rust's `char::is_numeric` */
  number: () => always("\\p{N}"),
  /** \s: Unicode's White_Space, as Rust's `char::is_whitespace` */
  space: () => always("\\p{White_Space}"),
  /** \h */
  hexDigit: () => always("0-9A-Fa-f"),
  /** \w inside brackets */
  wordInBrackets: () => always(classes.get("word") as string),
  /** \w, also for \b */
  word: () => always((classes.get("word") as string) + latin1Words),
  /** \N, and a dot that does not match line feeds */
  notNewline: () => always("\\0-\\x09\\x0b-\\u{10ffff}"),
  any: () => always("\\p{Any}"),
};

/** The set of `[:name:]`; undefined if there is no such name. */
export function posixClass(name: string): CodeSet | undefined {
  const complement = complements.get(name);
  if (complement !== undefined) return always(complement).not();
  const characterClass = classes.get(name);
  return characterClass === undefined ? undefined : host(characterClass);
}

/**
 * The set of `\p{name}`: a class, a general category, a script or a binary property of Unicode. Case, spaces, hyphens
 * and underscores do not count. Blocks (`In_…`) are not known, because the host does not know them.
 * @param name of letters, digits, spaces, hyphens and underscores
 * @param inBrackets whether it stands inside brackets
 */
export function property(name: string, inBrackets: boolean): CodeSet | undefined {
  const plain = name.toLowerCase().replace(/[-_ ]/g, "");
  if (plain === "punct") return host("\\p{P}");
  if (plain === "word") return inBrackets ? sets.wordInBrackets() : sets.word();
  const ofClass = posixClass(plain);
  if (ofClass) return ofClass;
  if (!/^\w[\w -]*$/.test(name)) return undefined;
  const title = name
    .split(/[-_ ]+/)
    .map((word) => word.charAt(0).toUpperCase() + word.slice(1).toLowerCase())
    .join("_");
  for (const spelling of [name, title, title.replaceAll("_", "")]) {
    for (const candidate of [`\\p{${spelling}}`, `\\p{Script=${spelling}}`]) {
      const set = host(candidate);
      if (set) return set;
    }
  }
  return undefined;
}
