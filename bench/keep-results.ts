/**
 * Results in the repository are replaced only by a run that measured every row of them. Others are written elsewhere, and
 * a line says so: half a run must not replace a whole one.
 */
import { mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";

/** Where runs that are not whole leave their results, unless they name a folder. */
export const ELSEWHERE = join(tmpdir(), "sluice-results");

export interface Keeping {
  /** The file in the repository. */
  readonly file: string;
  /** Names of the rows that it holds; none if it is not there. */
  readonly kept: readonly string[];
  /** Names of the rows that this run measured. */
  readonly fresh: readonly string[];
  /** `--out FOLDER`: results go there, whole or not. */
  readonly out: string | undefined;
  say(line: string): void;
}

/** Where results go: over the file, or into another folder, which is made. */
export function placeOf({ file, kept, fresh, out, say }: Keeping): string {
  const lacks = kept.filter((row) => !fresh.includes(row));
  if (out === undefined && lacks.length === 0) return file;
  const folder = out ?? ELSEWHERE;
  mkdirSync(folder, { recursive: true });
  const place = join(folder, basename(file));
  if (out === undefined) {
    const some = lacks.slice(0, 5).join("; ") + (lacks.length > 5 ? `; and ${lacks.length - 5} more` : "");
    say(`${file} is kept, since this run did not measure ${some}. Results: ${place} (--out FOLDER chooses the place)`);
  }
  return place;
}
