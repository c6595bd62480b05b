/** A session: sequences whose keys and values stay cached between calls. */

import { SluiceError } from "../errors.ts";
import { positionWarnings } from "../interventions/position-warnings.ts";
import type { StageValues } from "../interventions/stage.ts";
import type { LiveStages, StageChange, StageState } from "../runtime/live-stages.ts";
import type { Sequences } from "../runtime/sequences.ts";
import { sessionDoors } from "./doors.ts";
import {
  type GenerateResult,
  Generation,
  type GenerationRequest,
  generateAlone,
  type Lease,
  tellTokens,
} from "./generation.ts";
import type { SessionBatchOptions, SessionGenerateOptions } from "./options.ts";
import { numberSequences, type PromptInput, type ReadPrompt, type RequestBounds, settleRequest } from "./request.ts";

/**
 * Every prompt is given whole; the prefix that a sequence of the session already holds is not computed again.
 * So a chat sends its growing text each time, and pays only for new tokens. One call runs at a time. A call that fails or
 * is aborted leaves the session usable: it holds exactly what was computed.
 *
 * A reused prefix and one computed again can differ in rounding if steps of different sizes use different kernels;
 * under the reference plan they are equal bit for bit.
 */
export class Session {
  readonly #cached: Sequences;
  readonly #bounds: RequestBounds;
  readonly #onNotice: (text: string) => void;
  /** Notices already given about the stages' positions: a chat has many calls. */
  readonly #warned = new Set<string>();
  #busy = false;
  #disposed = false;

  constructor(cached: Sequences, bounds: RequestBounds, onNotice: (text: string) => void = () => undefined) {
    this.#cached = cached;
    this.#bounds = bounds;
    this.#onNotice = onNotice;
  }

  /** Positions of each sequence. */
  get context(): number {
    return this.#cached.plan.capacity;
  }

  /** Number of sequences. */
  get sequences(): number {
    return this.#cached.plan.sequences;
  }

  /** Ids of the tokens whose keys and values a sequence holds, in order. */
  tokens(sequence = 0): readonly number[] {
    sessionDoors.tokens.read(sequence);
    this.#checkOpen();
    this.#checkSequence(sequence);
    return this.#cached.held(sequence);
  }

  /**
   * Changes a stage of the model's interventions, also between two tokens of a call: strength, alpha, positions, or values of edges.
   * It acts from the next submit on, and the call's result names the first token it acted on (`changes`). Nothing is
   * compiled.
   *
   * What the cache holds was computed under the old values. `cache` decides what happens to them: `recompute` (default)
   * computes it again before the next token, so that the result is that of the new values from the first token on;
   * `continue` keeps them, so that earlier tokens keep their old influence, as suits a slider moved by hand.
   * @param options.sequence the sequence to change; default: all
   * @throws SluiceError `usage` for a stage that does not exist, a value out of range, an edge the bundle does not list
   */
  set(
    id: string,
    change: StageChange,
    options: { readonly sequence?: number; readonly cache?: "recompute" | "continue" } = {},
  ): void {
    const [stage, values, { sequence: only, cache }] = sessionDoors.set.read(id, change, options);
    this.#checkOpen();
    if (only !== undefined) this.#checkSequence(only);
    const changed = this.#stages.set(stage, values, only);
    if (cache !== "continue") for (const sequence of changed) this.#cached.outdate(sequence);
  }

  /** Replaces tensors of a stage at a layer by tensors of the same shape, for all sequences; otherwise like `set`. */
  setTensors(
    id: string,
    layer: number,
    tensors: StageValues,
    options: { readonly cache?: "recompute" | "continue" } = {},
  ): void {
    const [stage, at, values, { cache }] = sessionDoors.setTensors.read(id, layer, tensors, options);
    this.#checkOpen();
    this.#stages.setTensors(stage, at, values);
    if (cache === "continue") return;
    for (let sequence = 0; sequence < this.sequences; sequence++) this.#cached.outdate(sequence);
  }

  /** Current strength, alpha and positions of a stage. */
  stage(id: string, sequence = 0): StageState {
    sessionDoors.stage.read(id, sequence);
    this.#checkOpen();
    this.#checkSequence(sequence);
    return this.#stages.get(id, sequence);
  }

  get #stages(): LiveStages {
    if (this.#cached.stages) return this.#cached.stages;
    throw new SluiceError("usage", "This session's model runs without interventions", {
      hint: "Open it from model.with(bundles).",
    });
  }

  /**
   * Continues a prompt. Nothing runs until the result is iterated or awaited.
   * @throws SluiceError `busy`, from the result, if another call of this session runs
   */
  generate(prompt: PromptInput, options: SessionGenerateOptions = {}): Generation {
    const [given, { sequence, ...wanted }] = sessionDoors.generate.read(prompt, options);
    return this.#generation(numberSequences([given], wanted.samples, sequence), wanted);
  }

  /** Continues several prompts in one batch, the first in sequence 0; results in their order. */
  async generateBatch(
    prompts: readonly PromptInput[],
    options: SessionBatchOptions = {},
  ): Promise<readonly GenerateResult[]> {
    const [given, { onToken, ...wanted }] = sessionDoors.generateBatch.read(prompts, options);
    if (given.length === 0) return [];
    const generation = this.#generation(numberSequences(given, wanted.samples), wanted);
    return onToken ? tellTokens(generation, onToken) : generation.results();
  }

  /** Frees the session's buffers. A running call ends with an error at its next token. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    if (!this.#busy) this.#cached.dispose();
  }

  #generation(
    prompts: readonly { readonly sequence: number; readonly prompt: ReadPrompt }[],
    options: Omit<SessionGenerateOptions, "sequence">,
  ): Generation {
    this.#checkOpen();
    for (const { sequence } of prompts) this.#checkSequence(sequence);
    const { request } = settleRequest(this.#bounds, prompts, options);
    this.#warnOfPositions(request);
    return new Generation(() => generateAlone(request, async () => this.#lease()));
  }

  #warnOfPositions({ prompts, promptLength, maxNewTokens }: GenerationRequest): void {
    const { stages } = this.#cached;
    for (const { sequence, tokens } of stages ? prompts : []) {
      const run = { promptLength: promptLength ?? tokens.length, length: tokens.length + maxNewTokens - 1 };
      for (const warning of positionWarnings(stages?.positionsOf(sequence) ?? [], run)) {
        if (this.#warned.has(warning)) continue;
        this.#warned.add(warning);
        this.#onNotice(warning);
      }
    }
  }

  #lease(): Lease {
    this.#checkOpen();
    if (this.#busy) {
      throw new SluiceError("busy", "This session is already generating", {
        hint: "Wait for that call, put several prompts into one batch, or open another session.",
      });
    }
    this.#busy = true;
    return {
      sequences: this.#cached,
      check: () => this.#checkOpen(),
      release: () => {
        this.#busy = false;
        if (this.#disposed) this.#cached.dispose();
      },
    };
  }

  #checkSequence(sequence: number): void {
    if (sequence < this.sequences) return;
    throw new SluiceError("usage", `There is no sequence ${sequence}; this session has ${this.sequences}`, {
      hint: "Open the session with more sequences.",
    });
  }

  #checkOpen(): void {
    if (this.#disposed) throw new SluiceError("usage", "This session has been disposed of; open another");
  }
}
