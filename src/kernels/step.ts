/** Host side of shaders/lib/step.wgsl and of the `args` blocks: packing into the bytes that the shaders read. */

import { SluiceError } from "../errors.ts";
import type { ArgValues, Kernel } from "./kernel.ts";

export interface StepRow {
  readonly token_index: number;
  readonly position: number;
  readonly slot: number;
  readonly sequence: number;
}

export interface StepOut {
  readonly row: number;
  readonly token_index: number;
  readonly sequence: number;
  readonly position: number;
}

export interface StepRows {
  readonly rows: readonly StepRow[];
  readonly outs: readonly StepOut[];
}

/** Bytes of a step uniform whose shaders were linked with this MAX_ROWS. */
export function stepByteLength(maxRows: number): number {
  return 16 + maxRows * 32;
}

/** Packs a step; `into` (u32 words, at least stepByteLength/4) is reused when given. */
export function packStep(
  step: StepRows,
  maxRows: number,
  into = new Uint32Array(stepByteLength(maxRows) / 4),
): Uint32Array {
  into[0] = step.rows.length;
  into[1] = step.outs.length;
  let at = 4;
  for (const row of step.rows) {
    into[at++] = row.token_index;
    into[at++] = row.position;
    into[at++] = row.slot;
    into[at++] = row.sequence;
  }
  at = 4 + maxRows * 4;
  for (const out of step.outs) {
    into[at++] = out.row;
    into[at++] = out.token_index;
    into[at++] = out.sequence;
    into[at++] = out.position;
  }
  return into;
}

/** Packs the `args` uniform of a kernel: its declared fields in order, padded to 16 bytes. */
export function packArgs(kernel: Pick<Kernel, "name" | "args">, values: ArgValues): Uint32Array {
  let end = 0;
  const placed = kernel.args.map((field) => {
    const at = field.vec4s === undefined ? end : Math.ceil(end / 4) * 4;
    end = at + (field.vec4s === undefined ? 1 : 4 * field.vec4s);
    return { field, at };
  });
  const words = new Uint32Array(Math.ceil(Math.max(end, 1) / 4) * 4);
  const floats = new Float32Array(words.buffer);
  for (const { field, at } of placed) {
    const value = values[field.name];
    if (value === undefined || (typeof value === "number") !== (field.vec4s === undefined)) {
      throw new SluiceError("gpu", `Kernel ${kernel.name} was given no value for args.${field.name}`);
    }
    if (typeof value !== "number") words.set(value, at);
    else if (field.type === "f32") floats[at] = value;
    else words[at] = value;
  }
  return words;
}
