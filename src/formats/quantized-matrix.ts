/**
 * Matrices that a file holds quantised (MLX, GGUF), in one neutral form: a code per weight, and scales, and perhaps
 * offsets, per group of neighbouring inputs. Each file format says how it unpacks into this form; from here on nothing
 * depends on where the numbers came from (block-formats.ts chooses how they lie on the GPU).
 */

/** Reads bytes of stored tensors, as a checkpoint does. */
export interface TensorReader {
  /**
   * Bytes [begin, end) of one tensor's data, little endian, row-major.
   * The array may be kept but not written to; its byteOffset is a multiple of 4.
   */
  read(name: string, begin: number, end: number, signal?: AbortSignal): Promise<Uint8Array>;
}

/** What the numbers of a quantised matrix are. */
export interface Coding {
  /** Bits of a code. */
  readonly bits: 4 | 5 | 6 | 8;
  /**
   * Signed: codes from -2^(bits - 1) to 2^(bits - 1) - 1, and w = code·scale.
   * Unsigned: codes from 0 to 2^bits - 1, and w = code·scale + offset.
   */
  readonly signed: boolean;
  /** Neighbouring inputs of an output that share a scale. The number of inputs is a multiple of it, and of 32. */
  readonly group: 16 | 32 | 64 | 128;
  /** The narrowest float type that holds every scale and offset exactly. */
  readonly scales: "F32" | "F16" | "BF16";
}

/** Some outputs of a quantised matrix, unpacked. */
export interface QuantizedRows {
  /** `[rows][inputs]`: one byte per code, in two's complement if they are signed. */
  readonly codes: Uint8Array;
  /** `[rows][inputs / group]` */
  readonly scales: Float32Array;
  /** `[rows][inputs / group]`; unsigned codes alone have offsets. */
  readonly offsets?: Float32Array;
}

/**
 * A quantised matrix of a checkpoint, outputs first. Its weights are the float32 values of code·scale + offset: the
 * product is exact if scale and code have at most 24 significant bits together, so that the sum rounds once.
 */
export interface QuantizedMatrix {
  readonly outputs: number;
  readonly inputs: number;
  readonly coding: Coding;
  /** The stored tensors that it is made of. */
  readonly tensors: readonly string[];
  /** Whether a float file holds the matrix inputs first: so `dequantized` presents it. Outputs come first here always. */
  readonly turned?: boolean;
  /** How the file calls its format, for messages: `Q4_K`, `MLX with 4 bits`. */
  readonly format: string;
  /**
   * Outputs [first, end), unpacked.
   * @param stored where the bytes of {@link tensors} come from: the checkpoint, or a copy of it that holds some tensors
   *   in memory
   * @throws SluiceError errors of reading
   */
  readRows(stored: TensorReader, first: number, end: number, signal: AbortSignal | undefined): Promise<QuantizedRows>;
}
