/** The cases of a target: each is made of its number and the seed alone, so any can be made again. */
import fc from "fast-check";
import { anyEdit, bytesAlone, type Edit, editFile } from "./edit-file.ts";
import { share } from "./json-edits.ts";
import type { Files, Random, Target } from "./target.ts";

/** Which files a case begins with, and what is done to them. */
export interface Plan {
  readonly set: number;
  readonly edits: readonly { readonly file: number; readonly edit: Edit }[];
}

export function planOf({ hasJson = true }: Target, sets: number, seed: number, index: number): Plan {
  // Numbers of one seed and of the next have nothing in common.
  const [made] = fc.sample(plansFor(hasJson, sets), {
    seed: Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(index + 1, 0xc2b2ae35),
    numRuns: 1,
  });
  return made as Plan;
}

/** By what they are for: to make one takes longer than to draw from it. */
const plans = new Map<string, fc.Arbitrary<Plan>>();

function plansFor(hasJson: boolean, sets: number): fc.Arbitrary<Plan> {
  const key = `${hasJson} ${sets}`;
  const known = plans.get(key);
  if (known) return known;
  const edit = hasJson ? anyEdit : bytesAlone;
  const made = fc.record({
    set: fc.nat({ max: sets - 1 }),
    edits: fc.array(fc.record({ file: share(), edit }), { minLength: 1, maxLength: 3 }),
  });
  plans.set(key, made);
  return made;
}

export function filesOf(target: Target, sets: readonly Files[], plan: Plan): Files {
  const files = new Map(sets[plan.set]);
  const paths = [...files.keys()].filter(target.edits ?? (() => true));
  for (const { file, edit } of paths.length > 0 ? plan.edits : []) {
    const path = paths[Math.floor(file * paths.length)] as string;
    files.set(path, editFile(files.get(path) as Uint8Array<ArrayBuffer>, edit));
  }
  return files;
}

/** Draws for a case: xorshift, of its seed and number. */
export function randomOf(seed: number, index: number): Random {
  let state = (Math.imul(seed + 1, 0x9e3779b9) ^ Math.imul(index + 1, 0x85ebca6b)) | 1;
  const next: Random = () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
  // The first draws of neighbouring numbers resemble each other.
  for (let i = 0; i < 8; i++) next();
  return next;
}

/** Draws that spoil nothing. */
export const spoilsNothing: Random = () => 0.999;
