/** The error for results that are not finite: it names where in the model values first left float32, if a norm noted it. */
import { allDispatches } from "../compile/plan.ts";
import { SluiceError } from "../errors.ts";
import type { Sequences } from "./sequences.ts";

/**
 * @param names the result: `The logits for position 3`
 */
export async function notFinite(sequences: Sequences, sequence: number, what: string): Promise<SluiceError> {
  const error = await overflowOf(sequences, sequence, what);
  if (error) return error;
  return new SluiceError("non_finite", `${what} are not finite`, {
    hint: "The weights may be damaged, or too large for the arithmetic; try the reference plan.",
    field: "plan",
  });
}

/** The error for a sequence whose values left float32 in one of its steps since this was last asked; undefined without. */
export async function overflowOf(
  sequences: Sequences,
  sequence: number,
  what?: string,
): Promise<SluiceError | undefined> {
  const { executor } = sequences;
  const isEdited = !sequences.isPlain(sequence);
  const role = { role: "overflow" } as const;
  const [noted = 0] = new Uint32Array(await executor.read({ role, offset: sequence * 4, byteLength: 4 }));
  if (noted === 0) return undefined;
  executor.write(role, sequence * 4, new Uint32Array(1));
  // Twice the rank of the norm, and 1 if an edge mask left a row without digits: shaders/norm/overflow.wgsl.
  const norm = allDispatches(executor.activePlan).find(({ args, norms }) => norms && args.rank === noted >>> 1);
  const at = `stream at ${norm?.norms ?? "some layer"}`;
  if (noted % 2 === 1) {
    const lost = `${at} loses its digits: the edge mask takes away what is more than 2^18 times as large as the rest (${norm?.label})`;
    return new SluiceError("non_finite", what === undefined ? `The ${lost}` : `${what} are not finite: the ${lost}`, {
      hint: "What the mask cuts is too large beside what it keeps: make it smaller, or keep a part of it.",
    });
  }
  const where = `${at} leaves float32: the norm after it (${norm?.label}) meets values that are not finite or whose squares are not`;
  return new SluiceError("non_finite", what === undefined ? `The ${where}` : `${what} are not finite: the ${where}`, {
    hint: isEdited
      ? "The interventions may be too strong: lower their strengths and alphas."
      : "The weights may be damaged, or too large for the arithmetic.",
  });
}
