/** The compiled form of a pattern. */
import type { Bitmap, CodeSet } from "./code-set.ts";
import type { Assertion } from "./node.ts";

/** Instructions; the operands of each are in brackets. Targets are addresses in the code. */
export const op = {
  /** The pattern, or the body of a group that is tried by itself, has matched. */
  accept: 0,
  /** [code point] */
  char: 1,
  /** [set] */
  set: 2,
  /** [target] */
  jump: 3,
  /** [target]: continues; if that fails, at the target */
  fork: 4,
  /** [target, code point]: like fork; straight to the target if another character comes next */
  forkOnChar: 5,
  /** [target, set] */
  forkOnSet: 6,
  /** [target]: goes to the target; if that fails, continues */
  forkLazy: 7,
  /** [set, min, max, set that must come next or -1]: as many characters as there are, then fewer */
  run: 8,
  /** the same, never fewer */
  runPossessive: 9,
  /** the same, as few as it takes */
  runLazy: 10,
  /** [end]: the body that follows, up to the end, in the first way in which it matches */
  atomic: 11,
  /** [end, 1 if it must not match]: the body that follows, from here, without moving */
  ahead: 12,
  /** [end, 1 if it must not match, min, max characters]: the body that follows, ending here */
  behind: 13,
  /** [set, 1 if it must not match]: the next character */
  aheadSet: 14,
  /** [set, 1 if it must not match]: the character before */
  behindSet: 15,
  /** [place in `assertions`] */
  assert: 16,
  /** [register]: remembers the position */
  mark: 17,
  /** [register, target]: goes to the target if the position is the remembered one */
  exitIfStill: 18,
} as const;

/** The assertions, in the order of their numbers in the code. */
export const assertions: readonly Assertion[] = [
  "lineStart",
  "lineEnd",
  "textStart",
  "textEnd",
  "textEndOrNewline",
  "wordBoundary",
  "notWordBoundary",
  "searchStart",
];

/** A repetition without bound. */
export const UNBOUNDED = 0x7fffffff;

export interface Program {
  /** For errors. */
  readonly source: string;
  readonly code: Int32Array;
  readonly sets: readonly CodeSet[];
  /** The bitmaps of the sets for the first plane. */
  readonly low: readonly Bitmap[];
  /** Register 0 holds the position of \K, if any: where the match begins. */
  readonly registers: number;
  /** The characters that a match can begin with; undefined if it can be empty. */
  readonly first: CodeSet | undefined;
  /** Whether a failure at a position holds for every start of the search: not with \G. */
  readonly rememberable: boolean;
}
