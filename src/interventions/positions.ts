/**
 * Which tokens a stage acts on: positions as a bundle or a caller writes them. Resolved for a prompt length they become a
 * {@link Scope}, which says of each position and token id whether the stage acts there.
 */

/** Positions are absolute; P is the prompt's length. Ranges are half open. A negative number counts back from P. */
export type Positions =
  | "all"
  /** [0, P) */
  | "prompt"
  /** [P, ∞) */
  | "generated"
  /** [P − 1, ∞) */
  | "last_prompt_onward"
  | PositionRange
  /** These; −1 is the prompt's last. */
  | readonly number[]
  /** Every token whose own id is listed. */
  | { readonly tokens: readonly number[] }
  /** Where one of these acts. */
  | { readonly any: readonly Positions[] }
  /** Where this does not act. */
  | { readonly not: Positions };

/** `[from, to)`; without `to` it has no end, `"P"` ends it with the prompt. */
export interface PositionRange {
  /** First position; negative numbers count back from the prompt's end. */
  readonly from: number;
  /** First position that is outside again; `"P"` is the prompt's end, and without it the range has no end. */
  readonly to?: number | "P" | undefined;
}

/** The positions that have a name. */
export const positionNames = ["all", "prompt", "generated", "last_prompt_onward"] as const;

/** Positions for one prompt length. */
export type Scope =
  /**
   * Ascending positions at which acting begins and ends in turn: it acts at p if an odd number of them are at most p. An
   * odd length has no end; none is nowhere, a single 0 everywhere.
   */
  | { readonly kind: "at"; readonly turns: readonly number[] }
  /** Ascending ids, none twice. */
  | { readonly kind: "tokens"; readonly ids: Uint32Array<ArrayBuffer> }
  | { readonly kind: "any"; readonly scopes: readonly Scope[] }
  | { readonly kind: "not"; readonly scope: Scope };

/** Beyond every position. */
const NO_END = 0xffffffff;

/**
 * The scope of positions for a prompt of P tokens. What counts back beyond the prompt's start is not a position. Positions
 * without token ids always become one scope of kind `at`.
 */
export function resolvePositions(positions: Positions, promptLength: number): Scope {
  if (typeof positions === "string") return at([intervalOf(positions, promptLength)]);
  if (isList(positions)) {
    return at(positions.map((position) => single(position < 0 ? promptLength + position : position)));
  }
  if ("tokens" in positions) return { kind: "tokens", ids: sortedIds(positions.tokens) };
  if ("any" in positions) return union(positions.any.map((each) => resolvePositions(each, promptLength)));
  if ("not" in positions) return complement(resolvePositions(positions.not, promptLength));
  const { from, to } = positions;
  const end = to === undefined ? NO_END : to === "P" ? promptLength : to < 0 ? promptLength + to : to;
  return at([[Math.max(0, from < 0 ? promptLength + from : from), end]]);
}

/** Does a stage of this scope act on a token? */
export function acts(scope: Scope, position: number, token: number): boolean {
  switch (scope.kind) {
    case "at":
      return countAtMost(scope.turns, position) % 2 === 1;
    case "tokens":
      return scope.ids[countAtMost(scope.ids, token) - 1] === token;
    case "any":
      return scope.scopes.some((each) => acts(each, position, token));
    case "not":
      return !acts(scope.scope, position, token);
  }
}

/** Does it act on every token, whatever the prompt's length? Decided by the form alone. */
export function isEverywhere(positions: Positions): boolean {
  if (typeof positions === "string") return positions === "all";
  if (isList(positions) || "tokens" in positions) return false;
  if ("any" in positions) return positions.any.some(isEverywhere);
  if ("not" in positions) return isNowhere(positions.not);
  return positions.from === 0 && positions.to === undefined;
}

/** Does it act on no token, whatever the prompt's length? Decided by the form alone. */
export function isNowhere(positions: Positions): boolean {
  if (typeof positions === "string") return false;
  if (isList(positions)) return positions.length === 0;
  if ("tokens" in positions) return positions.tokens.length === 0;
  if ("any" in positions) return positions.any.every(isNowhere);
  if ("not" in positions) return isEverywhere(positions.not);
  const { from, to } = positions;
  return typeof to === "number" && from < 0 === to < 0 && to <= from;
}

/** Does where it acts depend on the prompt's length? Decided by the form alone. */
export function dependsOnPrompt(positions: Positions): boolean {
  if (typeof positions === "string") return positions !== "all";
  if (isList(positions)) return positions.some((position) => position < 0);
  if ("tokens" in positions) return false;
  if ("any" in positions) return positions.any.some(dependsOnPrompt);
  if ("not" in positions) return dependsOnPrompt(positions.not);
  return positions.from < 0 || positions.to === "P" || (positions.to ?? 0) < 0;
}

/** Every token id that positions list. */
export function* tokensIn(positions: Positions): Generator<number> {
  if (typeof positions === "string" || isList(positions)) return;
  if ("tokens" in positions) yield* positions.tokens;
  else if ("any" in positions) for (const each of positions.any) yield* tokensIn(each);
  else if ("not" in positions) yield* tokensIn(positions.not);
}

/** Whether a scope acts nowhere at [0, length), whatever the tokens. */
export function missesAll(scope: Scope, length: number): boolean {
  switch (scope.kind) {
    case "at":
      return (scope.turns[0] ?? NO_END) >= length;
    case "tokens":
      return false;
    case "any":
      return scope.scopes.every((each) => missesAll(each, length));
    case "not":
      return false;
  }
}

/** Array.isArray does not narrow lists that are readonly. */
function isList(positions: Positions): positions is readonly number[] {
  return Array.isArray(positions);
}

type Interval = readonly [from: number, to: number];

function intervalOf(name: Extract<Positions, string>, promptLength: number): Interval {
  switch (name) {
    case "all":
      return [0, NO_END];
    case "prompt":
      return [0, promptLength];
    case "generated":
      return [promptLength, NO_END];
    case "last_prompt_onward":
      return [Math.max(0, promptLength - 1), NO_END];
  }
}

/** One position; nothing for what is none. */
function single(position: number): Interval {
  return position < 0 ? [0, 0] : [position, position + 1];
}

/** The union of intervals, of which some may be empty. */
function at(intervals: readonly Interval[]): Scope {
  const sorted = intervals.filter(([from, to]) => from < to && from < NO_END).sort(([a], [b]) => a - b);
  const turns: number[] = [];
  let end = -1;
  for (const [from, to] of sorted) {
    if (from > end) {
      if (end >= 0) turns.push(end);
      turns.push(from);
      end = to;
    } else end = Math.max(end, to);
  }
  if (end >= 0 && end < NO_END) turns.push(end);
  return { kind: "at", turns };
}

function intervalsOf(turns: readonly number[]): Interval[] {
  return turns.flatMap((from, i): Interval[] => (i % 2 === 0 ? [[from, turns[i + 1] ?? NO_END]] : []));
}

function union(scopes: readonly Scope[]): Scope {
  const flat = scopes.flatMap((scope) => (scope.kind === "any" ? scope.scopes : [scope]));
  const where = at(flat.flatMap((scope) => (scope.kind === "at" ? intervalsOf(scope.turns) : [])));
  const rest = flat.filter(({ kind }) => kind !== "at");
  if (rest.length === 0 || isWhole(where)) return where;
  const all = where.kind === "at" && where.turns.length === 0 ? rest : [where, ...rest];
  return all.length === 1 ? (all[0] as Scope) : { kind: "any", scopes: all };
}

function complement(scope: Scope): Scope {
  if (scope.kind === "not") return scope.scope;
  if (scope.kind !== "at") return { kind: "not", scope };
  const { turns } = scope;
  return { kind: "at", turns: turns[0] === 0 ? turns.slice(1) : [0, ...turns] };
}

function isWhole(scope: Scope): boolean {
  return scope.kind === "at" && scope.turns.length === 1 && scope.turns[0] === 0;
}

/** By the list that a bundle or a caller gave, so that equal conditions of several sequences are one. */
const known = new WeakMap<readonly number[], Uint32Array<ArrayBuffer>>();

function sortedIds(tokens: readonly number[]): Uint32Array<ArrayBuffer> {
  let ids = known.get(tokens);
  if (!ids) {
    ids = Uint32Array.from(new Set(tokens)).sort();
    known.set(tokens, ids);
  }
  return ids;
}

/** How many numbers of an ascending list are at most this one. */
function countAtMost(list: ArrayLike<number>, value: number): number {
  let [low, high] = [0, list.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((list[middle] as number) <= value) low = middle + 1;
    else high = middle;
  }
  return low;
}
