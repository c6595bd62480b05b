/** Which stages meet on a token: what a check of several stages needs where no prompt is known yet. */
import { acts, type Positions, resolvePositions } from "./positions.ts";

/** Where acting begins or ends: absolute, or from the prompt's end on. */
interface Bounds {
  readonly absolute: Set<number>;
  readonly fromEnd: Set<number>;
}

/** Of positions with more bounds than this, the texts would be too many. */
const MOST_BOUNDS = 24;

/**
 * Sets of positions, by their indices, that act on one token of some text while the others do not. Positions with many
 * bounds are taken to act together everywhere.
 */
export function actingTogether(all: readonly Positions[]): readonly (readonly number[])[] {
  const keys = all.map((positions) => JSON.stringify(positions));
  const forms = new Map(all.map((positions, i) => [keys[i] as string, positions]));
  const bounds: Bounds = { absolute: new Set([0]), fromEnd: new Set() };
  const lists: (readonly number[])[] = [];
  for (const positions of forms.values()) collect(positions, bounds, lists);
  if (forms.size < 2 || bounds.absolute.size + bounds.fromEnd.size > MOST_BOUNDS) return [[...all.keys()]];
  const ids = [...idsByLists(lists), NO_ID];
  const found = new Map<string, readonly number[]>();
  for (const length of lengthsFor(bounds)) {
    const scopes = new Map([...forms].map(([key, positions]) => [key, resolvePositions(positions, length)]));
    for (const position of [...bounds.absolute, ...[...bounds.fromEnd].map((at) => length + at)]) {
      if (position < 0) continue;
      for (const id of ids) {
        const here = new Set([...scopes].flatMap(([key, scope]) => (acts(scope, position, id) ? [key] : [])));
        const indices = keys.flatMap((key, i) => (here.has(key) ? [i] : []));
        found.set(indices.join(), indices);
      }
    }
  }
  return [...found.values()];
}

/** Not a token's. */
const NO_ID = -1;

function collect(positions: Positions, bounds: Bounds, lists: (readonly number[])[]): void {
  const add = (at: number): unknown => (at < 0 ? bounds.fromEnd : bounds.absolute).add(at);
  if (positions === "all") return;
  if (typeof positions === "string") bounds.fromEnd.add(positions === "last_prompt_onward" ? -1 : 0);
  else if (Array.isArray(positions)) {
    const listed = new Set<number>(positions);
    for (const at of listed) {
      if (!listed.has(at - 1) || at === 0) add(at);
      if (listed.has(at + 1) && at !== -1) continue;
      if (at < 0) bounds.fromEnd.add(at + 1);
      else bounds.absolute.add(at + 1);
    }
  } else if ("tokens" in positions) lists.push(positions.tokens);
  else if ("any" in positions) for (const each of positions.any) collect(each, bounds, lists);
  else if ("not" in positions) collect(positions.not, bounds, lists);
  else if ("from" in positions) {
    add(positions.from);
    if (positions.to === "P") bounds.fromEnd.add(0);
    else if (positions.to !== undefined) add(positions.to);
  }
}

/** A token id for each set of lists that share one. */
function idsByLists(lists: readonly (readonly number[])[]): readonly number[] {
  const listsOf = new Map<number, string>();
  lists.forEach((ids, i) => {
    for (const id of new Set(ids)) listsOf.set(id, `${listsOf.get(id) ?? ""},${i}`);
  });
  return [...new Map([...listsOf].map(([id, text]) => [text, id])).values()];
}

/** Lengths of prompts that put the bounds into every order. */
function lengthsFor({ absolute, fromEnd }: Bounds): ReadonlySet<number> {
  const lengths = new Set([1, Math.max(...absolute) + 2 - Math.min(0, ...fromEnd)]);
  for (const at of absolute) {
    for (const end of fromEnd) {
      for (const length of [at - end - 1, at - end, at - end + 1]) if (length >= 1) lengths.add(length);
    }
  }
  return lengths;
}
