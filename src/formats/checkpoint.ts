/** The engine's view of weight files: named tensors whose bytes can be read by range. */

import type { QuantizedMatrix, TensorReader } from "./quantized-matrix.ts";

/** Stored element types that the engine reads. */
export type StoredDtype = "F32" | "F16" | "BF16";

export interface TensorInfo {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly byteLength: number;
  /** What the file calls it, if that is another name: GGUF's. */
  readonly storedAs?: string;
}

export interface Checkpoint extends TensorReader {
  /** As they are stored, in the order of the files. */
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** The matrices that the files hold quantised, by the name under which a float file would hold them. */
  readonly quantized?: ReadonlyMap<string, QuantizedMatrix>;
  /** Tensors that an index places in missing files, with those files: an error only if the model uses them. */
  readonly missing?: ReadonlyMap<string, string>;
  /** The folder or address that they come from, if it is one. */
  readonly label?: string;
  /**
   * Says that these tensors will be read, in the order of the files, and nothing else of them. Absent if reading in
   * another order costs the same.
   */
  readAhead?(names: ReadonlySet<string>, signal: AbortSignal | undefined): void;
  /** Whether the server only sends whole files: reading anything but the next bytes of a file costs another download. */
  readonly forwardOnly?: boolean;
  /** Releases file handles. */
  close(): Promise<void>;
}
