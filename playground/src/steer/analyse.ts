/** What the plain and the edited model thought of every token of a text. */
import type { ComparedToken, StageChange } from "sluice";
import type { WorkerModel } from "../engine.ts";
import type { Alternative, TokenRecord } from "./records.ts";
import type { RunToken } from "./run-state.ts";

/** Likeliest tokens of each model that are shown. */
const TOP = 6;

/**
 * @param edited the model with its stages, which `changes` sets as the sliders are
 * @returns records of `tokens`, which follow `prompt`
 */
export async function analyse(
  edited: WorkerModel,
  changes: ReadonlyMap<string, StageChange>,
  prompt: readonly number[],
  tokens: readonly RunToken[],
  signal?: AbortSignal,
): Promise<readonly TokenRecord[]> {
  const ids = [...prompt, ...tokens.map(({ id }) => id ?? 0)];
  const compared = await edited.compareTokens(ids, {
    ...{ top: TOP, promptLength: prompt.length, changes },
    ...(signal && { signal }),
  });
  return tokens.map((token, i) => recordOf(token, compared.tokens[prompt.length + i]));
}

function recordOf({ id, text }: RunToken, compared: ComparedToken | undefined): TokenRecord {
  if (!compared?.plain || !compared.edited) throw new Error(`Token ${id ?? text} was not compared`);
  const { plain, edited, kl_nats } = compared;
  const alternatives = new Map<number, Alternative>();
  for (const { token, text: shown, probability } of plain.top) {
    alternatives.set(token, { id: token, text: shown ?? String(token), plain: probability, edited: null });
  }
  for (const { token, text: shown, probability } of edited.top) {
    const known = alternatives.get(token) ?? { id: token, text: shown ?? String(token), plain: null };
    alternatives.set(token, { ...known, edited: probability });
  }
  const likely = ({ plain: p, edited: q }: Alternative) => Math.max(p ?? 0, q ?? 0);
  return {
    id,
    text,
    plain: plain.probability,
    edited: edited.probability,
    plain_rank: plain.rank,
    edited_rank: edited.rank,
    kl: kl_nats ?? 0,
    alternatives: [...alternatives.values()].sort((a, b) => likely(b) - likely(a)),
  };
}
