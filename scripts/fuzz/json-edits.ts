/** Edits of JSON texts: one value is changed where it stands, so objects may come to hold a key twice. */
import fc from "fast-check";
import type { JsonText, Place, Span } from "./json-places.ts";
import { knownNames, oddNumbers, oddTexts, oddValues, Raw } from "./odd-values.ts";

/** One change of a JSON text. `at` is a share of all places. */
export interface JsonEdit {
  readonly kind: "json";
  readonly at: number;
  readonly change: "replace" | "remove" | "rename" | "twice" | "repeat" | "tweak" | "swap";
  readonly pick: number;
}

export const jsonEdit: fc.Arbitrary<JsonEdit> = fc.record({
  kind: fc.constant("json"),
  at: share(),
  change: fc.constantFrom("replace", "replace", "remove", "rename", "twice", "repeat", "tweak", "tweak", "swap"),
  pick: share(),
});

/** A number in [0, 1). */
export function share(): fc.Arbitrary<number> {
  return fc.nat({ max: 2 ** 30 - 1 }).map((n) => n / 2 ** 30);
}

/** The element at a share of a list. */
export function picked<Item>(list: readonly Item[], pick: number): Item {
  return list[Math.floor(pick * list.length)] as Item;
}

/** A list repeated within a repeated list makes texts that say nothing new: few may become long. */
const mostText = (pick: number): number => ((pick * 1000) % 1 < 1 / 8 ? 8_000_000 : 1_000_000);

/** @returns the edited text */
export function editJson({ text, places }: JsonText, { at, change, pick }: JsonEdit): string {
  const place = picked(places, at);
  const { value, key, siblings } = place;
  const put = (span: Span, by: string): string => text.slice(0, span.begin) + by + text.slice(span.end);
  const own = text.slice(place.begin, place.end);
  const beside = (other: string): string => put(place, `${own},${other}`);
  switch (change) {
    case "replace":
      return put(value, print(picked(oddValues, pick)));
    case "tweak":
      return place.hasParts ? text : put(value, tweaked(text.slice(value.begin, value.end), pick));
    case "remove":
      return put(withComma(place), "");
    case "repeat": {
      const times = picked([1, 1, 2, 100, 5000], pick);
      if (text.length + times * (own.length + 6) > mostText(pick)) return text;
      const valueText = text.slice(value.begin, value.end);
      const again = (i: number): string => (key ? `${keyWith(text, key, String(i))}:${valueText}` : valueText);
      return beside(Array.from({ length: times }, (_, i) => again(i)).join(","));
    }
    case "rename":
      return key ? put(key, JSON.stringify(picked(oddTexts, pick))) : put(value, print(picked(oddValues, pick)));
    case "twice": {
      const odd = print(picked(oddValues, pick));
      return key ? beside(`${text.slice(key.begin, key.end)}:${odd}`) : put(value, odd);
    }
    case "swap": {
      if (key) return beside(`${JSON.stringify(picked(knownNames, pick))}:${text.slice(value.begin, value.end)}`);
      const whole = { begin: (siblings[0] as Place).begin, end: (siblings.at(-1) as Place).end };
      const reversed = siblings.map(({ begin, end }) => text.slice(begin, end)).reverse();
      return put(whole, reversed.join(","));
    }
  }
}

/** A place and the comma that its absence makes superfluous. */
function withComma({ begin, end, siblings }: Place): Span {
  const index = siblings.findIndex((each) => each.begin === begin);
  if (index > 0) return { begin: (siblings[index - 1] as Place).end, end };
  return { begin, end: siblings[1]?.begin ?? end };
}

function keyWith(text: string, { begin, end }: Span, more: string): string {
  return `${text.slice(begin, end - 1)}${more}"`;
}

function tweaked(text: string, pick: number): string {
  const leaf: unknown = JSON.parse(text);
  if (typeof leaf === "number") {
    return print(picked([leaf + 1, leaf - 1, -leaf, leaf * 2, leaf * 1000, leaf + 0.5, ...oddNumbers], pick));
  }
  if (typeof leaf !== "string") return print(picked(oddValues, pick));
  const middle = leaf.length >> 1;
  const [head, tail] = [leaf.slice(0, middle), leaf.slice(middle)];
  const within = `${head}${picked(oddTexts, (pick * 7) % 1)}${tail}`;
  return print(picked([leaf + leaf, head, leaf.toUpperCase(), within, ...oddTexts], pick));
}

const printed = new Map<unknown, string>();

/** Odd values are few, and some are long. */
function print(value: unknown): string {
  const known = printed.get(value);
  if (known !== undefined) return known;
  const text = value instanceof Raw ? value.text : Object.is(value, -0) ? "-0" : (JSON.stringify(value) ?? "null");
  if (typeof value === "object") printed.set(value, text);
  return text;
}
