/** Describes a file of tensors that a command wrote. */
import type { StoredTensor } from "../formats/safetensors.ts";
import { left, table } from "./columns.ts";

/** Dtypes as the help texts name them. */
const DTYPES: Readonly<Record<string, string>> = { F32: "float32", F16: "float16", BF16: "bfloat16" };

/** The file and its tensors with dtypes and shapes, as text. */
export function wroteText(path: string, tensors: ReadonlyMap<string, StoredTensor>): string {
  const rows = [...tensors].map(([name, { dtype, shape }]) => [name, dtypeOf(dtype), `[${shape.join(", ")}]`]);
  const bytes = [...tensors.values()].reduce((sum, tensor) => sum + tensor.bytes.length, 0);
  const count = rows.length === 1 ? "1 tensor" : `${rows.length} tensors`;
  return `${path}: ${count}, ${bytes.toLocaleString("en")} bytes\n${table([left("tensor"), left("dtype"), left("shape")], rows)}`;
}

/** The same as JSON. */
export function wroteJson(path: string, tensors: ReadonlyMap<string, StoredTensor>): object {
  return {
    file: path,
    tensors: [...tensors].map(([name, { dtype, shape }]) => ({ name, dtype: dtypeOf(dtype), shape })),
  };
}

function dtypeOf(dtype: string): string {
  return DTYPES[dtype] ?? dtype;
}
