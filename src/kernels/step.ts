/** Host side of shaders/lib/step.wgsl and of the `args` blocks: packing into the bytes that the shaders read. */

import { SluiceError } from "../errors.ts";
import { roundUp } from "../numbers/round-up.ts";
import type { ArgField } from "./interface.ts";
import type { ArgValues } from "./kernel.ts";

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

/** An args block of one kernel: its name, for errors, its fields, and what the kernel itself puts into them. */
export interface ArgsOf {
  readonly name: string;
  readonly args: readonly ArgField[];
  readonly own?: ArgValues;
}

const DEFECT = { hint: "This is a defect of Sluice; please report it." };

/**
 * Packs the `args` uniform of a kernel: its fields in order, padded to 16 bytes. Values of other names are left alone: see
 * {@link checkArgs}.
 * @throws SluiceError `gpu` naming kernel and field, for a field without a value of its form
 */
export function packArgs({ name, args, own }: ArgsOf, values: ArgValues): Uint32Array<ArrayBuffer> {
  let end = 0;
  const placed = args.map((field) => {
    const at = field.vec4s === undefined ? end : roundUp(end, 4);
    end = at + (field.vec4s === undefined ? 1 : 4 * field.vec4s);
    return { field, at };
  });
  const words = new Uint32Array(roundUp(Math.max(end, 1), 4));
  const floats = new Float32Array(words.buffer);
  for (const { field, at } of placed) {
    const value = own?.[field.name] ?? values[field.name];
    if (value === undefined) {
      throw new SluiceError("gpu", `Kernel ${name} was given no value for args.${field.name}`, DEFECT);
    }
    if (typeof value === "number") {
      if (field.vec4s !== undefined) throw misfit(name, field, "a number");
      if (field.type === "f32") floats[at] = value;
      else words[at] = value;
    } else {
      if (field.vec4s === undefined || value.length > 4 * field.vec4s)
        throw misfit(name, field, `${value.length} numbers`);
      words.set(value, at);
    }
  }
  return words;
}

/**
 * Checks that every value goes into some args block of those that it is given to: a name that no shader has would be lost.
 * @throws SluiceError `gpu` naming kernels and field
 */
export function checkArgs(blocks: readonly ArgsOf[], values: ArgValues): void {
  for (const field of Object.keys(values)) {
    if (blocks.some(({ args }) => args.some(({ name }) => name === field))) continue;
    const names = blocks.map(({ name }) => name).join(" and ");
    throw new SluiceError("gpu", `Kernel ${names} was given a value for args.${field}, which it does not have`, DEFECT);
  }
}

function misfit(kernel: string, { name, vec4s }: ArgField, given: string): SluiceError {
  const wanted = vec4s === undefined ? "a number" : `at most ${4 * vec4s} numbers`;
  return new SluiceError("gpu", `Kernel ${kernel} was given ${given} for args.${name}, which is ${wanted}`, DEFECT);
}
