/**
 * The scope buffer: where stages act, as instructions that the device evaluates for each row of a step
 * (shaders/stages/records.wgsl), since the ids of tokens that were sampled are known there alone.
 */
import { type Positions, resolvePositions, type Scope } from "../interventions/positions.ts";
import type { ScopePlace } from "../interventions/settings.ts";
import { codeOf, packed } from "./stage-layout.ts";

export interface ScopeLayout {
  readonly words: Uint32Array<ArrayBuffer>;
  /** By sequence and stage, as the settings keeps them. */
  readonly places: readonly (readonly ScopePlace[])[];
}

export function layOutScopes(
  sequences: readonly { readonly positions: readonly Positions[]; readonly promptLength: number }[],
): ScopeLayout {
  const builder = new ScopeBuilder();
  const places = sequences.map(({ positions, promptLength }) =>
    positions.map((each) => builder.place(each, promptLength)),
  );
  return { words: builder.words(), places };
}

/** Most vec4s that positions can take, whatever the prompt's length. */
export function mostScopeVec4s(positions: Positions): number {
  if (typeof positions === "string") return leafVec4s(3);
  if (Array.isArray(positions)) return leafVec4s(2 * positions.length + 1);
  if ("tokens" in positions) return leafVec4s(positions.tokens.length);
  if ("any" in positions) return positions.any.reduce((sum, each) => sum + mostScopeVec4s(each), 0);
  if ("not" in positions) return mostScopeVec4s(positions.not);
  return leafVec4s(3);
}

/** An instruction and its list, one that combines it with what came before, one that turns it round. */
function leafVec4s(numbers: number): number {
  return 3 + Math.ceil(numbers / 4);
}

/** An instruction, in postfix order. Lists are packed, four numbers per vec4; equal ones are written once. */
function instruction(operation: "at" | "tokens" | "or" | "not", list = 0, length = 0): readonly number[] {
  return packed("Instruction", { operation: codeOf("SCOPE", operation), list, length });
}

class ScopeBuilder {
  readonly #listAt = new Map<ArrayLike<number>, number>();
  readonly #placed = new Map<Positions, Map<number, ScopePlace>>();
  readonly #programs: { readonly at: number; readonly words: readonly number[] }[] = [];
  #end4 = 0;

  place(positions: Positions, promptLength: number): ScopePlace {
    const byLength = this.#placed.get(positions) ?? new Map<number, ScopePlace>();
    this.#placed.set(positions, byLength);
    const known = byLength.get(promptLength);
    if (known) return known;
    const place = this.#write(resolvePositions(positions, promptLength));
    byLength.set(promptLength, place);
    return place;
  }

  words(): Uint32Array<ArrayBuffer> {
    const words = new Uint32Array(Math.max(1, this.#end4) * 4);
    for (const [list, at] of this.#listAt) words.set(list, at * 4);
    for (const program of this.#programs) words.set(program.words, program.at * 4);
    return words;
  }

  #write(scope: Scope): ScopePlace {
    if (scope.kind === "at" && scope.turns.length === 1 && scope.turns[0] === 0) return { at: 0, count: undefined };
    const program: number[] = [];
    this.#emit(scope, program);
    const at = this.#take(program.length);
    this.#programs.push({ at, words: program });
    return { at, count: program.length / 4 };
  }

  #emit(scope: Scope, program: number[]): void {
    switch (scope.kind) {
      case "at":
        program.push(...instruction("at", this.#listOf(scope.turns), scope.turns.length));
        break;
      case "tokens":
        program.push(...instruction("tokens", this.#listOf(scope.ids), scope.ids.length));
        break;
      case "any":
        scope.scopes.forEach((each, i) => {
          this.#emit(each, program);
          if (i > 0) program.push(...instruction("or"));
        });
        break;
      case "not":
        this.#emit(scope.scope, program);
        program.push(...instruction("not"));
    }
  }

  #listOf(list: ArrayLike<number>): number {
    const known = this.#listAt.get(list);
    if (known !== undefined) return known;
    const at = this.#take(list.length);
    this.#listAt.set(list, at);
    return at;
  }

  /** Reserves vec4s for that many words. */
  #take(words: number): number {
    const at = this.#end4;
    this.#end4 += Math.ceil(words / 4);
    return at;
  }
}
