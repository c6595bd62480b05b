/** A request that has a sequence of a running batch, and how far it is. */
import type { Constraint } from "../../grammar/constraint.ts";
import type { BatchRequest } from "./request.ts";

export class Place {
  readonly request: BatchRequest;
  readonly sequence: number;
  /** The prompt, and the new tokens that are known. */
  readonly tokens: number[];
  /** New tokens at most. */
  readonly budget: number;
  /** Positions of its sequence that are submitted. */
  submitted: number;
  /** When it last had a row in a step. */
  turn = 0;
  isEnded = false;
  /** What a constrained text is so far. */
  readonly constraint: Constraint | undefined;

  /** @param capacity positions of a sequence */
  constructor(request: BatchRequest, sequence: number, reused: number, capacity: number) {
    this.request = request;
    this.sequence = sequence;
    this.tokens = [...request.tokens];
    this.submitted = reused;
    this.constraint = request.sampling.grammar?.begin();
    this.budget = Math.min(request.maxNewTokens, capacity + 1 - request.tokens.length);
  }

  get promptTokens(): number {
    return this.request.tokens.length;
  }

  /** Whether some of its prompt is still to be submitted. */
  get isPrefilling(): boolean {
    return this.submitted < this.promptTokens;
  }

  /** Whether its next token may be drawn: of a constrained text once the one before is known. */
  get isReady(): boolean {
    return !this.isPrefilling && this.left > 0 && (!this.constraint || this.submitted < this.tokens.length);
  }

  /** New tokens that are neither known nor under way. */
  get left(): number {
    return this.budget - (this.submitted - this.promptTokens + 1);
  }
}
