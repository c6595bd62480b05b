/** What the rest of the engine sees of weight files: named tensors whose bytes can be read by range. */

/** Stored element types that the engine reads. */
export type StoredDtype = "F32" | "F16" | "BF16";

export interface TensorInfo {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly byteLength: number;
}

export interface Checkpoint {
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /**
   * Bytes [begin, end) of one tensor's data, little endian, row-major.
   * The array is fresh and may be kept or overwritten by the caller; its byteOffset is a multiple of 4.
   */
  read(name: string, begin: number, end: number, signal?: AbortSignal): Promise<Uint8Array>;
  /** Releases file handles. */
  close(): Promise<void>;
}
