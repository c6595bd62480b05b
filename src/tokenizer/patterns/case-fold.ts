/** Letters that differ only in case. */
import { CodeSet } from "./code-set.ts";

let groups: readonly (readonly number[])[] | undefined;

/** The set and all letters that are equal to one of its letters if case is ignored. */
export function ignoreCase(set: CodeSet): CodeSet {
  groups ??= findGroups();
  return set.withGroups(groups);
}

/** Groups of letters whose simple case folding in Unicode is the same. */
function findGroups(): number[][] {
  const cased = CodeSet.ofHost("\\p{Changes_When_Casemapped}");
  const byFolding = new Map<number, number[]>();
  // Case exists only in the first two planes.
  for (let code = 0; code < 0x20000; code++) {
    if (!cased.has(code)) continue;
    const folding = fold(code);
    const group = byFolding.get(folding);
    if (group) group.push(code);
    else byFolding.set(folding, [code]);
  }
  return [...byFolding.values()].filter((group) => group.length > 1);
}

/** The lower case of the upper case, each only if it is one letter. */
function fold(code: number): number {
  // The dotless i has the upper case I, but folds to itself.
  if (code === 0x131) return code;
  return single(code, String.prototype.toUpperCase, String.prototype.toLowerCase);
}

function single(code: number, ...changes: (() => string)[]): number {
  return changes.reduce((before, change) => {
    const changed = change.call(String.fromCodePoint(before));
    const after = changed.codePointAt(0) as number;
    return changed.length === String.fromCodePoint(after).length ? after : before;
  }, code);
}
