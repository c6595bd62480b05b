/** Which tokens some stage would treat in another way if they counted as prompt, or no longer did. */
import { acts, dependsOnPrompt, type Positions, resolvePositions, type Scope } from "../interventions/positions.ts";

/**
 * The first of some tokens on which a stage acts under one P and not under another; stages that are off do not count. The
 * number of tokens if there is none.
 * @param before P for the token at a position, as it was computed
 * @param now P for all of them
 */
export function firstNewRole(
  { strengths, positions }: { readonly strengths: readonly number[]; readonly positions: readonly Positions[] },
  tokens: readonly number[],
  before: (position: number) => number,
  now: number,
): number {
  const relative = positions.filter((each, stage) => strengths[stage] !== 0 && dependsOnPrompt(each));
  if (relative.length === 0) return tokens.length;
  const scopesUnder = scopesByPromptLength(relative);
  const first = tokens.findIndex((token, position) => {
    const old = before(position);
    if (old === now) return false;
    const scopes = scopesUnder(now);
    return scopesUnder(old).some((scope, i) => {
      return acts(scope, position, token) !== acts(scopes[i] as Scope, position, token);
    });
  });
  return first < 0 ? tokens.length : first;
}

/** Positions resolved once per requested P. */
function scopesByPromptLength(positions: readonly Positions[]): (promptLength: number) => readonly Scope[] {
  const known = new Map<number, readonly Scope[]>();
  return (promptLength) => {
    const scopes = known.get(promptLength) ?? positions.map((each) => resolvePositions(each, promptLength));
    known.set(promptLength, scopes);
    return scopes;
  };
}
