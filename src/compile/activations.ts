/** Which shared buffer each activation of the fused operations lives in. */
import { SluiceError } from "../errors.ts";
import type { Value } from "../graph/graph.ts";
import type { FusedOp } from "./fused.ts";
import { type Lifetime, placeValues } from "./memory.ts";

export interface ActivationSizes {
  /** Most rows of a step. */
  readonly rows: number;
  /** Most out rows of a step. */
  readonly outs: number;
  /** Stays alive for what follows the head. */
  readonly logits: Value;
  /** Most bytes of one buffer. */
  readonly limit: number;
}

export class ActivationPlanner {
  readonly byteLengths: number[];
  readonly #bufferOf: ReadonlyMap<number, number>;

  constructor(ops: readonly FusedOp[], sizes: ActivationSizes) {
    const lifetimes = new Map<number, Lifetime>();
    const lastOp = ops.length;
    ops.forEach((op, index) => {
      for (const value of readBy(op)) {
        const life = lifetimes.get(value.id);
        if (life) lifetimes.set(value.id, { ...life, last: index });
      }
      const out = writtenBy(op);
      const byteLength = byteLengthOf(out, sizes);
      lifetimes.set(out.id, { id: out.id, byteLength, first: index, last: out === sizes.logits ? lastOp : index });
    });
    const placement = placeValues([...lifetimes.values()]);
    this.#bufferOf = placement.bufferOf;
    this.byteLengths = [...placement.byteLengths];
  }

  indexOf(value: Value): number {
    const index = this.#bufferOf.get(value.id);
    if (index === undefined)
      throw new Error(`Value ${value.id} (${value.sites.join(", ")}) is made by no fused operation`);
    return index;
  }

  /** A further buffer that nothing else uses. */
  scratch(byteLength: number): number {
    return this.byteLengths.push(byteLength) - 1;
  }
}

function byteLengthOf(value: Value, sizes: ActivationSizes): number {
  const rows = value.rows === "outs" ? sizes.outs : sizes.rows;
  const byteLength = rows * Math.ceil(value.width / 4) * 16;
  if (byteLength > sizes.limit) {
    throw new SluiceError(
      "device_limit",
      `An activation ${rows} rows high and ${value.width} wide takes ${byteLength} bytes; this device binds at most ${sizes.limit} (maxStorageBufferBindingSize)`,
      { hint: "This model is too wide for the device." },
    );
  }
  return byteLength;
}

function readBy(op: FusedOp): readonly Value[] {
  switch (op.kind) {
    case "embed":
      return [];
    case "norm":
      return [op.input];
    case "attention":
      return [op.queries];
    case "linear":
      return op.epilogue.kind === "residual" ? [op.input, op.epilogue.residual] : [op.input];
  }
}

function writtenBy(op: FusedOp): Value {
  return op.kind === "linear" ? op.epilogue.out : op.out;
}
