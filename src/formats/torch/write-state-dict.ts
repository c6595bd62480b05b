/** Writes a state dict as torch.save does: an OrderedDict of tensors. */
import { writeZip } from "../write-zip.ts";

/** Row-major values, and the type that they are stored in. */
export interface StateTensor {
  readonly shape: readonly number[];
  readonly values: Float32Array | Float64Array;
}

/** The folder of all entries in the archive. */
const ROOT = "archive";

export function writeStateDict(tensors: ReadonlyMap<string, StateTensor>): Uint8Array<ArrayBuffer> {
  const pickle = new PickleWriter();
  const entries = new Map<string, Uint8Array>();
  pickle.global("collections", "OrderedDict").emptyTuple().reduce();
  pickle.mark();
  [...tensors].forEach(([name, { shape, values }], index) => {
    pickle.text(name);
    putTensor(pickle, { shape, values }, String(index));
    entries.set(`${ROOT}/data/${index}`, new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  });
  pickle.setItems();
  const text = (value: string): Uint8Array => new TextEncoder().encode(value);
  return writeZip(
    new Map([
      [`${ROOT}/data.pkl`, pickle.done()],
      [`${ROOT}/byteorder`, text("little")],
      ...entries,
      [`${ROOT}/version`, text("3\n")],
    ]),
  );
}

/** torch._utils._rebuild_tensor_v2(storage, offset, shape, strides, requires_grad, hooks) */
function putTensor(pickle: PickleWriter, { shape, values }: StateTensor, key: string): void {
  const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((product, size) => product * size, 1));
  pickle.global("torch._utils", "_rebuild_tensor_v2").mark();
  pickle.mark().text("storage");
  pickle.global("torch", values instanceof Float64Array ? "DoubleStorage" : "FloatStorage");
  pickle.text(key).text("cpu").integer(values.length).tuple().persistentId();
  pickle.integer(0);
  for (const list of [shape, strides]) {
    pickle.mark();
    for (const size of list) pickle.integer(size);
    pickle.tuple();
  }
  pickle.falsehood().global("collections", "OrderedDict").emptyTuple().reduce();
  pickle.tuple().reduce();
}

/** Instructions of pickle's protocol 2. */
class PickleWriter {
  readonly #bytes: number[] = [0x80, 2];

  #put(instruction: string, ...operand: readonly number[]): this {
    this.#bytes.push(instruction.charCodeAt(0), ...operand);
    return this;
  }

  global(module: string, name: string): this {
    return this.#put("c", ...new TextEncoder().encode(`${module}\n${name}\n`));
  }

  text(value: string): this {
    const bytes = new TextEncoder().encode(value);
    return this.#put("X", ...wordOf(bytes.length), ...bytes);
  }

  integer(value: number): this {
    return this.#put("J", ...wordOf(value));
  }

  mark(): this {
    return this.#put("(");
  }

  tuple(): this {
    return this.#put("t");
  }

  emptyTuple(): this {
    return this.#put(")");
  }

  reduce(): this {
    return this.#put("R");
  }

  persistentId(): this {
    return this.#put("Q");
  }

  falsehood(): this {
    this.#bytes.push(0x89);
    return this;
  }

  setItems(): this {
    return this.#put("u");
  }

  done(): Uint8Array {
    this.#put(".");
    return Uint8Array.from(this.#bytes);
  }
}

function wordOf(value: number): readonly number[] {
  return [value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24];
}
