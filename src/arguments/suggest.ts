/** "Did you mean …?" */

/** No option or field is nearly as long. */
const MOST_CHARACTERS = 100;

/** The candidate nearest to a mistyped word, or null if none is near. */
export function nearest(word: string, candidates: readonly string[]): string | null {
  // Comparing takes time by the length of both, and the word may be a stranger's.
  if (word.length > MOST_CHARACTERS) return null;
  const ranked = candidates
    .map((candidate) => ({ candidate, distance: distance(word.toLowerCase(), candidate) }))
    .sort((a, b) => a.distance - b.distance);
  const best = ranked[0];
  if (best && best.distance <= Math.max(1, Math.floor(word.length / 3))) return best.candidate;
  // A beginning of the word: --max for --max-new-tokens.
  const bare = word.replace(/^-+/, "");
  if (bare.length < 2) return null;
  return candidates.find((candidate) => candidate.replace(/^-+/, "").startsWith(bare)) ?? null;
}

/** The number of edits that turn one word into the other: a letter inserted, deleted, replaced, or swapped with its neighbour. */
function distance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = at(last, j - 1) + (a[i - 1] === b[j - 1] ? 0 : 1);
      let best = Math.min(replaced, at(last, j) + 1, at(row, j - 1) + 1);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        best = Math.min(best, at(beforeLast, j - 2) + 1);
      }
      row.push(best);
    }
    beforeLast = last;
    last = row;
  }
  return at(last, b.length);
}

function at(row: readonly number[], index: number): number {
  return row[index] ?? Number.POSITIVE_INFINITY;
}
