/** The rows of packed texts, cut into chunks: positions, what each sees, and what each predicts. */
import { SluiceError } from "../errors.ts";
import type { StepRows } from "../kernels/step.ts";

export interface Chunk {
  readonly index: number;
  /** First row, counted over all texts. */
  readonly first: number;
  readonly count: number;
  /** Keys that the rows attend to, in all. */
  readonly keys: number;
  /** The first row of the texts that the chunk has rows of: no key before it is seen. */
  readonly oldest: number;
}

export interface PackedRows {
  readonly total: number;
  /** Token ids of all rows. */
  readonly tokens: Uint32Array<ArrayBuffer>;
  /** Cache slots of each text's positions, `longest` to a text: row numbers. */
  readonly slots: Uint32Array<ArrayBuffer>;
  readonly longest: number;
  /** Share of each row's cross-entropy in the loss: 1 / predictions, 0 if none counts. */
  readonly shares: Float32Array<ArrayBuffer>;
  readonly chunks: readonly Chunk[];
  /** The step of rows [first, first + count); every row is an out row whose target is the token after it. */
  step(first: number, count: number): StepRows;
}

/**
 * Packs texts one after the other.
 * @throws SluiceError `usage` without a token to predict, `bad_tokens` outside the vocabulary, `context_overflow`
 */
export function packRows(
  texts: readonly (readonly number[])[],
  limits: {
    readonly vocab_size: number;
    readonly max_position_embeddings: number;
    readonly chunkRows: number;
    /** Position of the first token whose prediction counts; at least 1. */
    readonly scoreFrom: number;
  },
): PackedRows {
  const flat = texts.flat();
  const tokens = Uint32Array.from(flat);
  const total = tokens.length;
  const { scoreFrom } = limits;
  const predictions = texts.reduce((sum, text) => sum + Math.max(text.length - scoreFrom, 0), 0);
  if (predictions === 0) {
    const needed = scoreFrom === 1 ? "at least two tokens in a row" : `more than ${scoreFrom} tokens in a row`;
    throw new SluiceError("usage", `There is no token to predict: a loss needs ${needed}`);
  }
  const stray = flat.find((id) => !Number.isSafeInteger(id) || id < 0 || id >= limits.vocab_size);
  if (stray !== undefined) {
    throw new SluiceError("bad_tokens", `Token id ${stray} is outside the vocabulary of ${limits.vocab_size}`);
  }
  const longest = Math.max(...texts.map((text) => text.length));
  if (longest > limits.max_position_embeddings) {
    throw new SluiceError(
      "context_overflow",
      `${longest} positions exceed the model's context of ${limits.max_position_embeddings}`,
      { hint: "Use fewer tokens; the model was not made for more (max_position_embeddings in config.json)." },
    );
  }
  const slots = new Uint32Array(texts.length * longest);
  const sequenceOf = new Uint32Array(total);
  const startOf: number[] = [];
  const shares = new Float32Array(total);
  let start = 0;
  for (const [sequence, text] of texts.entries()) {
    startOf.push(start);
    for (let i = 0; i < text.length; i++) slots[sequence * longest + i] = start + i;
    sequenceOf.fill(sequence, start, start + text.length);
    for (let i = scoreFrom; i < text.length; i++) shares[start + i - 1] = 1 / predictions;
    start += text.length;
  }
  const positionOf = (row: number): number => row - (startOf[sequenceOf[row] as number] as number);
  const chunks: Chunk[] = [];
  for (let first = 0; first < total; first += limits.chunkRows) {
    const count = Math.min(limits.chunkRows, total - first);
    let keys = 0;
    for (let row = first; row < first + count; row++) keys += positionOf(row) + 1;
    const oldest = first - positionOf(first);
    chunks.push({ index: chunks.length, first, count, keys, oldest });
  }
  return {
    total,
    tokens,
    slots,
    longest,
    shares,
    chunks,
    step(first, count) {
      const rows = Array.from({ length: count }, (_, i) => {
        const row = first + i;
        return { token_index: row, position: positionOf(row), slot: row, sequence: sequenceOf[row] as number };
      });
      // What a row without a share would predict does not matter: the last one of a text has nothing to predict.
      const outs = rows.map(({ slot, position, sequence }, i) => ({
        row: i,
        token_index: shares[slot] === 0 ? slot : slot + 1,
        sequence,
        position,
      }));
      return { rows, outs };
    },
  };
}
