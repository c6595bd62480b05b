/** What a server told of its tokens, as the page shows it. */
import type { Alternative, TokenRecord } from "../steer/records.ts";
import type { RunToken, SideName } from "../steer/run-state.ts";
import type { Odds } from "./stream.ts";

/** What a side said, token by token, with what the server told of each. */
export interface Told {
  readonly token: RunToken;
  readonly odds: Odds | null;
}

export type Both = Readonly<Record<SideName, readonly Told[]>>;

/**
 * Records of a side's tokens. As long as both texts are the same, both sides predicted after the same words; from then on
 * a side's own prediction alone is known.
 * @param isSameBefore whether both had read the same
 */
export function recordsOf(both: Both, side: SideName, isSameBefore: boolean): readonly TokenRecord[] | null {
  const other = side === "plain" ? both.edited : both.plain;
  let isSame = isSameBefore;
  const records: TokenRecord[] = [];
  for (const [i, { token, odds }] of both[side].entries()) {
    if (!odds) return null;
    const beside = isSame ? (other[i]?.odds ?? null) : null;
    const [plain, edited] = side === "plain" ? [odds, beside] : [beside, odds];
    records.push({
      ...{ id: token.id, text: token.text, kl: null },
      ...{ plain: likelihood(plain, odds.text), edited: likelihood(edited, odds.text) },
      ...{ plain_rank: rank(plain, odds.text), edited_rank: rank(edited, odds.text) },
      alternatives: alternatives(plain, edited),
    });
    isSame &&= other[i]?.token.text === token.text;
  }
  return records;
}

function likelihood(odds: Odds | null, text: string): number | null {
  if (!odds) return null;
  const found = odds.text === text ? odds : odds.top.find((each) => each.text === text);
  return found ? Math.exp(found.logprob) : null;
}

/** Among the likeliest that were told. */
function rank(odds: Odds | null, text: string): number | null {
  const at = odds?.top.findIndex((each) => each.text === text) ?? -1;
  return at < 0 ? null : at + 1;
}

function alternatives(plain: Odds | null, edited: Odds | null): readonly Alternative[] {
  const texts = new Set([plain, edited].flatMap((odds) => odds?.top.map(({ text }) => text) ?? []));
  const all = [...texts].map((text) => {
    return { id: null, text, plain: likelihood(plain, text), edited: likelihood(edited, text) };
  });
  return all.sort((a, b) => Math.max(b.plain ?? 0, b.edited ?? 0) - Math.max(a.plain ?? 0, a.edited ?? 0));
}
