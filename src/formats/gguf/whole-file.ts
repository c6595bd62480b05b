/** Reads small GGUF files of floats whole: control vectors. */
import { SluiceError } from "../../errors.ts";
import { show } from "../../show.ts";
import type { StoredTensor } from "../safetensors.ts";
import { parseGgufHeader } from "./header.ts";
import type { MetadataValue } from "./value.ts";

export interface GgufFile {
  readonly metadata: ReadonlyMap<string, MetadataValue>;
  /** Shapes row-major: the last axis is the adjacent one. */
  readonly tensors: ReadonlyMap<string, StoredTensor>;
}

const FLOATS = ["F32", "F16", "BF16"];

/**
 * @param where names the file in errors
 * @throws `bad_file` for what {@link parseGgufHeader} refuses, and for tensors that are not F32, F16 or BF16
 */
export function parseGguf(file: Uint8Array, where: string): GgufFile {
  const header = parseGgufHeader(file, where);
  const tensors = new Map<string, StoredTensor>();
  for (const [name, { dtype, shape, begin, byteLength }] of header.tensors) {
    if (!FLOATS.includes(dtype)) {
      throw new SluiceError("bad_file", `${where} holds tensor ${show(name)} of ${dtype}; F32, F16 and BF16 are read`, {
        hint: "Give a GGUF file of floats.",
      });
    }
    // A copy that starts its own buffer, so that any typed array can view it.
    tensors.set(name, { dtype, shape, bytes: new Uint8Array(file.subarray(begin, begin + byteLength)) });
  }
  return { metadata: header.metadata, tensors };
}
