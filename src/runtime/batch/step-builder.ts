/** The rows of a running batch's steps: tokens that are fed back, and parts of prompts. */
import type { StepOut, StepRow, StepRows } from "../../kernels/step.ts";
import type { Sequences } from "../sequences.ts";
import type { Place } from "./place.ts";

export class StepBuilder {
  readonly rows: StepRow[] = [];
  readonly outs: StepOut[] = [];
  readonly #sequences: Sequences;

  constructor(sequences: Sequences) {
    this.#sequences = sequences;
  }

  get step(): StepRows {
    return this;
  }

  /** Rows that the step still takes, if one of them is an out row. */
  get room(): number {
    const { chunkRows, chunkOuts } = this.#sequences.plan;
    return this.outs.length < chunkOuts ? chunkRows - this.rows.length : 0;
  }

  /** Feeds the last token of a place back, which the device knows at the latest when the step runs. */
  feedBack(place: Place): void {
    this.#add(place, true);
  }

  /** Feeds as much of a place's prompt as `most` rows take, and asks for its first new token if that is the rest. */
  feedPrompt(place: Place, most: number): void {
    const { sequence, submitted, promptTokens, request } = place;
    const end = Math.min(submitted + most, promptTokens);
    const sequences = this.#sequences;
    const tokens = request.tokens.slice(submitted, end);
    sequences.executor.writeTokens(sequences.tokenIndex(sequence, submitted), Uint32Array.from(tokens));
    tokens.forEach((token, i) => {
      sequences.learn(sequence, submitted + i, token);
      this.#add(place, submitted + i + 1 === promptTokens);
    });
  }

  #add(place: Place, isOut: boolean): void {
    const { sequence, submitted: position } = place;
    const sequences = this.#sequences;
    const token_index = sequences.tokenIndex(sequence, position);
    if (isOut) this.outs.push({ row: this.rows.length, token_index: token_index + 1, sequence, position });
    this.rows.push({ token_index, position, slot: sequences.slots.append(sequence), sequence });
    place.submitted++;
  }
}
