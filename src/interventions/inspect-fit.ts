/** What a bundle's free-form `fit` says of how it was made, in lines: whatever it holds, there are not many of them. */
import { show, showText } from "../show.ts";

/** Entries of an object or list that are printed; of more, their number is said. */
const MOST_ENTRIES = 24;
/** Objects within objects that are laid out in lines; deeper ones stay on one line. */
const MOST_LEVELS = 4;
/** In all. */
const MOST_LINES = 80;
/** Of a value on one line. */
const MOST_CHARACTERS = 160;
/** Numbers and words in a line. */
const MOST_INLINE = 8;

const INDENT = "  ";

/** Lines for each entry, `name: value`, indented. */
export function describeFit(fit: Readonly<Record<string, unknown>>): string[] {
  const lines = entryLines(Object.entries(fit), INDENT, MOST_LEVELS);
  const more = lines.length - MOST_LINES;
  return more > 0 ? [...lines.slice(0, MOST_LINES), `${INDENT}… and ${more} more lines`] : lines;
}

function entryLines(
  entries: readonly (readonly [key: string, value: unknown])[],
  indent: string,
  levels: number,
): string[] {
  const lines = entries.slice(0, MOST_ENTRIES).flatMap(([key, value]) => {
    const inside = levels > 1 ? insideOf(value) : [];
    if (inside.length === 0) return [`${indent}${labelOf(key)}: ${inline(value)}`];
    return [`${indent}${labelOf(key)}:`, ...entryLines(inside, indent + INDENT, levels - 1)];
  });
  const more = entries.length - MOST_ENTRIES;
  return more > 0 ? [...lines, `${indent}… and ${more} more`] : lines;
}

/** Entries that are worth lines of their own; none for what one line holds. */
function insideOf(value: unknown): readonly (readonly [key: string, value: unknown])[] {
  if (isPlain(value)) return [];
  if (Array.isArray(value)) {
    return value.every(isPlain) ? [] : value.slice(0, MOST_ENTRIES + 1).map((item, i) => [String(i + 1), item]);
  }
  const entries = Object.entries(value as object);
  return isShort(entries) ? [] : entries;
}

/** Few plain values by name: `neurons 384, edited 192, readout 0.01`. */
function isShort(entries: readonly (readonly [key: string, value: unknown])[]): boolean {
  return entries.length <= MOST_INLINE && entries.every(([, each]) => isPlain(each));
}

function inline(value: unknown): string {
  if (typeof value === "string") return showText(value, MOST_CHARACTERS);
  if (typeof value === "number") return numberText(value);
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (value === null || value === undefined) return "none";
  if (Array.isArray(value) && value.every(isPlain)) {
    if (value.length === 0) return "none";
    const shown = value.slice(0, MOST_INLINE).map(inline).join(", ");
    return value.length > MOST_INLINE ? `${shown}, … (${value.length} in all)` : shown;
  }
  const entries = Array.isArray(value) ? [] : Object.entries(value);
  if (entries.length === 0 || !isShort(entries)) return show(value, MOST_CHARACTERS);
  return entries.map(([key, each]) => `${labelOf(key)} ${inline(each)}`).join(", ");
}

function isPlain(value: unknown): boolean {
  return typeof value !== "object" || value === null;
}

/** `n_positive` and `beyondChance` as words. */
function labelOf(key: string): string {
  const words = key.replace(/([a-z0-9])([A-Z])/g, "$1 $2").replaceAll("_", " ");
  return showText(words, 40);
}

function numberText(value: number): string {
  if (Number.isInteger(value) || !Number.isFinite(value)) return String(value);
  return String(Number(value.toPrecision(6)));
}
