/**
 * Work in parts that any process can do. A shard's result is a function of its model and its input alone, and results are
 * merged in the order of the shards; so the whole does not depend on who computed which.
 */
import { thing } from "../arguments/rules.ts";
import type { Model } from "../model/model.ts";
import type { Kept } from "./kept.ts";

/** What is computed of an input. Inputs and outputs are plain data, typed arrays included, that can be sent elsewhere. */
export interface ShardKind<Input, Output> {
  /** What workers know it by. */
  readonly name: string;
  /** How much an input is, in the units that progress counts. */
  amount(input: Input): number;
  /** The result, a function of the model and the input alone. */
  run(model: Model, input: Input, call: ShardCall): Promise<Output>;
}

/** What goes with a call. */
export interface ShardCall {
  /** Aborts the call, which then fails with `aborted`. */
  readonly signal?: AbortSignal | undefined;
  /** Called with how much is done. */
  onProgress?(done: number): void;
  /** Where shards leave what later ones can use; it changes no result. Workers have their own. */
  readonly kept?: Kept | undefined;
}

/** A part of a job. */
export interface Shard<Input> {
  /** Names its rows in messages: `texts 1 to 64`. */
  readonly label: string;
  /** The model, with the interventions in force. */
  readonly model: Model;
  /** What is computed of it. */
  readonly input: Input;
}

/** Does the parts of jobs somewhere: in this process, or on other machines. */
export interface ShardRunner {
  /**
   * Results in the order of the shards.
   * @throws SluiceError the first shard's error that ends the job; `aborted`
   */
  run<Input, Output>(
    kind: ShardKind<Input, Output>,
    shards: readonly Shard<Input>[],
    call: ShardCall,
  ): AsyncIterable<Output>;
}

/** The rule of an option that takes one. */
export const shardRunner = thing<ShardRunner>("a runner of shards, with run", { run: "function" });

/** One after another, in this process. */
export const inProcess: ShardRunner = {
  async *run(kind, shards, { signal, onProgress, kept }) {
    let before = 0;
    for (const { model, input } of shards) {
      yield await kind.run(model, input, { signal, kept, onProgress: (done) => onProgress?.(before + done) });
      before += kind.amount(input);
      onProgress?.(before);
    }
  },
};

/** `texts 1 to 64`, `text 65` */
export function labelOf(one: string, many: string, first: number, count: number): string {
  return count === 1 ? `${one} ${first + 1}` : `${many} ${first + 1} to ${first + count}`;
}
