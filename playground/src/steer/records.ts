/** What is known of a token that a model wrote: how likely the plain and the edited model held it, and what else. */

/** Another token that could have come. */
export interface Alternative {
  /** Null of a server. */
  readonly id: number | null;
  readonly text: string;
  /** Probability in the plain model; null if it is not among its likeliest. */
  readonly plain: number | null;
  /** Probability in the edited model; null likewise. */
  readonly edited: number | null;
}

export interface TokenRecord {
  /** Null of a server. */
  readonly id: number | null;
  /** Text that became printable with it. */
  readonly text: string;
  /** Probability in the plain model, after the same tokens; null if a server did not tell. */
  readonly plain: number | null;
  /** Probability in the edited model; null likewise. */
  readonly edited: number | null;
  /** Its place among all tokens, from 1; null if it is not known. */
  readonly plain_rank: number | null;
  readonly edited_rank: number | null;
  /** KL(plain ‖ edited) of the two predictions at this place, in nats; null if it is not known. */
  readonly kl: number | null;
  /** The most likely tokens of either model. */
  readonly alternatives: readonly Alternative[];
}

/** Mean of a side's KL in nats per token; null if none is known. */
export function meanKl(records: readonly TokenRecord[] | null): number | null {
  const known = (records ?? []).flatMap(({ kl }) => (kl === null ? [] : [kl]));
  return known.length > 0 ? known.reduce((sum, kl) => sum + kl, 0) / known.length : null;
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
