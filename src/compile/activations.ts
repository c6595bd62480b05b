/** Which shared buffer each activation of the fused operations lives in. */
import { SluiceError } from "../errors.ts";
import type { Value } from "../graph/graph.ts";
import { type FusedOp, readBy, writtenBy } from "./fused.ts";
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
  readonly #sizes: ActivationSizes;
  #unused: number | undefined;
  readonly #shared = new Map<string, number>();
  readonly byteLengths: number[];
  readonly #bufferOf: ReadonlyMap<number, number>;

  constructor(ops: readonly FusedOp[], sizes: ActivationSizes) {
    this.#sizes = sizes;
    const lifetimes = new Map<number, Lifetime>();
    const lastOp = ops.length;
    ops.forEach((op, index) => {
      for (const value of readBy(op)) {
        const life = lifetimes.get(value.id);
        if (life) lifetimes.set(value.id, { ...life, last: index });
      }
      for (const out of writtenBy(op)) {
        const byteLength = variantBytes(out, sizes) * (out.variants ?? 1);
        if (byteLength > sizes.limit) refuse(out, byteLength, sizes);
        lifetimes.set(out.id, { id: out.id, byteLength, first: index, last: out === sizes.logits ? lastOp : index });
      }
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

  /** Bytes from one variant of a value's rows to the next. */
  variantStride(value: Value): number {
    return variantBytes(value, this.#sizes);
  }

  /** A buffer to bind if a kernel has a binding that it will not write. */
  get unused(): number {
    this.#unused ??= this.scratch(16);
    return this.#unused;
  }

  /** A buffer that operations use by turns, each for itself; as large as the first asks for. */
  shared(name: string, byteLength: number): number {
    const index = this.#shared.get(name) ?? this.scratch(byteLength);
    this.#shared.set(name, index);
    return index;
  }

  /** A further buffer that nothing else uses. */
  scratch(byteLength: number): number {
    return this.byteLengths.push(byteLength) - 1;
  }
}

/** Offsets of storage bindings are multiples of this on every device. */
const BINDING_ALIGNMENT = 256;

/** Bytes of one variant of a value. If there are several, each begins at an offset that can be bound. */
function variantBytes({ rows, width, variants = 1 }: Value, sizes: ActivationSizes): number {
  const byteLength = (rows === "outs" ? sizes.outs : sizes.rows) * Math.ceil(width / 4) * 16;
  return variants === 1 ? byteLength : Math.ceil(byteLength / BINDING_ALIGNMENT) * BINDING_ALIGNMENT;
}

function refuse({ rows, width }: Value, byteLength: number, sizes: ActivationSizes): never {
  throw new SluiceError(
    "device_limit",
    `An activation ${sizes[rows]} rows high and ${width} wide takes ${byteLength} bytes; this device binds at most ${sizes.limit} (maxStorageBufferBindingSize)`,
    { hint: "This model is too wide for the device." },
  );
}
