/** What is known of a token that a model wrote: how likely the plain and the edited model held it, and what else. */

/** Another token that could have come. */
export interface Alternative {
  readonly id: number;
  readonly text: string;
  /** Probability in the plain model; null if it is not among its likeliest. */
  readonly plain: number | null;
  /** Probability in the edited model; null likewise. */
  readonly edited: number | null;
}

export interface TokenRecord {
  readonly id: number;
  /** Text that became printable with it. */
  readonly text: string;
  /** Probability in the plain model, after the same tokens. */
  readonly plain: number;
  /** Probability in the edited model. */
  readonly edited: number;
  /** Its place among all tokens, from 1. */
  readonly plain_rank: number;
  readonly edited_rank: number;
  /** KL(plain ‖ edited) of the two predictions at this place, in nats. */
  readonly kl: number;
  /** The most likely tokens of either model. */
  readonly alternatives: readonly Alternative[];
}

/** A run that a script of the repository made: scripts/playground-shelf.ts. */
export interface RecordedRun {
  readonly model: string;
  /** Name on the shelf. */
  readonly bundle: string;
  readonly prompt: string;
  readonly settings: { readonly temperature: number; readonly seed: number; readonly maxNewTokens: number };
  readonly plain: readonly TokenRecord[];
  readonly edited: readonly TokenRecord[];
  readonly date: string;
  readonly device: string;
  readonly sluice: string;
  readonly command: string;
}
