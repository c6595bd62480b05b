/**
 * Quantised rows of ggml as codes, scales and offsets, which give exactly the numbers that llama.cpp dequantises them to.
 * https://github.com/ggml-org/ggml/blob/master/src/ggml-quants.c
 */
import { f16ToF32 } from "../half.ts";
import type { Coding, QuantizedRows } from "../quantized-matrix.ts";

/** How a type of quantised rows is unpacked. */
export interface BlockCodec {
  readonly coding: Coding;
  /** Elements and bytes of a block. */
  readonly block: number;
  readonly bytes: number;
  /** Unpacks the block at byte `at`, to element `to` of the codes and to the scales of its groups. */
  unpack(source: Uint8Array, at: number, to: number, rows: Unpacked): void;
}

/** Rows being unpacked. */
interface Unpacked {
  readonly codes: Uint8Array;
  readonly scales: Float32Array;
  readonly offsets: Float32Array;
}

const halfAt = (bytes: Uint8Array, at: number): number =>
  f16ToF32((bytes[at] as number) | ((bytes[at + 1] as number) << 8));

const wordAt = (bytes: Uint8Array, at: number): number =>
  (bytes[at] as number) |
  ((bytes[at + 1] as number) << 8) |
  ((bytes[at + 2] as number) << 16) |
  ((bytes[at + 3] as number) << 24);

/**
 * A block of 32 numbers with one scale, and an offset unless the codes are signed: d, (m), (the fifth bits), then
 * element i and i + 16 in the halves of byte i.
 */
function simple(bits: 4 | 5, signed: boolean): BlockCodec {
  const head = signed ? 2 : 4;
  const fifth = bits === 5 ? 4 : 0;
  /** Stored codes count from 0: zero is in the middle of the signed ones. */
  const zero = signed ? 2 ** (bits - 1) : 0;
  return {
    coding: { bits, signed, group: 32, scales: "F16" },
    block: 32,
    bytes: head + fifth + 16,
    unpack(source, at, to, { codes, scales, offsets }) {
      scales[to / 32] = halfAt(source, at);
      if (!signed) offsets[to / 32] = halfAt(source, at + 2);
      const high = bits === 5 ? wordAt(source, at + head) : 0;
      const low = at + head + fifth;
      for (let i = 0; i < 16; i++) {
        const both = source[low + i] as number;
        codes[to + i] = ((both & 15) | (((high >>> i) << 4) & 16)) - zero;
        codes[to + i + 16] = ((both >> 4) | ((high >>> (i + 12)) & 16)) - zero;
      }
    },
  };
}

/** d, then 32 signed bytes. */
const q8: BlockCodec = {
  coding: { bits: 8, signed: true, group: 32, scales: "F16" },
  block: 32,
  bytes: 34,
  unpack(source, at, to, { codes, scales }) {
    scales[to / 32] = halfAt(source, at);
    for (let i = 0; i < 32; i++) codes[to + i] = source[at + 2 + i] as number;
  },
};

/**
 * A block of 256 in eight groups: d, dmin, twelve bytes with a scale and a minimum of six bits for each group, (the fifth
 * bits), then per 64 elements 32 bytes, whose halves are the first and the second 32.
 */
function superBlock(bits: 4 | 5): BlockCodec {
  const fifth = bits === 5 ? 32 : 0;
  return {
    coding: { bits, signed: false, group: 32, scales: "F32" },
    block: 256,
    bytes: 16 + fifth + 128,
    unpack(source, at, to, { codes, scales, offsets }) {
      const d = halfAt(source, at);
      const least = halfAt(source, at + 2);
      const low = at + 16 + fifth;
      for (let group = 0; group < 8; group++) {
        scales[to / 32 + group] = d * sixBits(source, at + 4, group, 0);
        offsets[to / 32 + group] = -(least * sixBits(source, at + 4, group, 4));
        const from = low + (group >> 1) * 32;
        const shift = 4 * (group & 1);
        for (let i = 0; i < 32; i++) {
          const code = ((source[from + i] as number) >> shift) & 15;
          const bit = bits === 5 ? (((source[at + 16 + i] as number) >> group) & 1) << 4 : 0;
          codes[to + group * 32 + i] = code | bit;
        }
      }
    },
  };
}

/**
 * The scale (`first` 0) or minimum (4) of a group. Groups 0 to 3 have their six bits in bytes 0 to 3 and 4 to 7; those of
 * groups 4 to 7 are the four bits of bytes 8 to 11, and the two upper bits of those bytes.
 */
function sixBits(source: Uint8Array, at: number, group: number, first: 0 | 4): number {
  if (group < 4) return (source[at + first + group] as number) & 63;
  const low = ((source[at + 4 + group] as number) >> first) & 15;
  return low | (((source[at + first + group - 4] as number) >> 6) << 4);
}

/**
 * A block of 256 in sixteen groups: the low four bits, the high two, sixteen signed scales, d. Of 128 elements, 64 bytes
 * hold the low bits of element j and, above them, of j + 64; 32 bytes hold the high bits of four elements.
 */
const q6: BlockCodec = {
  coding: { bits: 6, signed: true, group: 16, scales: "F32" },
  block: 256,
  bytes: 210,
  unpack(source, at, to, { codes, scales }) {
    const d = halfAt(source, at + 208);
    for (let group = 0; group < 16; group++) {
      scales[to / 16 + group] = d * (((source[at + 192 + group] as number) << 24) >> 24);
    }
    for (let half = 0; half < 2; half++) {
      const low = at + half * 64;
      const high = at + 128 + half * 32;
      for (let i = 0; i < 32; i++) {
        const first = source[low + i] as number;
        const second = source[low + 32 + i] as number;
        const upper = source[high + i] as number;
        const element = to + half * 128 + i;
        codes[element] = ((first & 15) | ((upper << 4) & 48)) - 32;
        codes[element + 32] = ((second & 15) | ((upper << 2) & 48)) - 32;
        codes[element + 64] = ((first >> 4) | (upper & 48)) - 32;
        codes[element + 96] = ((second >> 4) | ((upper >> 2) & 48)) - 32;
      }
    }
  },
};

/** By ggml's name of the type. */
export const BLOCK_CODECS: ReadonlyMap<string, BlockCodec> = new Map([
  ["Q8_0", q8],
  ["Q4_0", simple(4, true)],
  ["Q4_1", simple(4, false)],
  ["Q5_0", simple(5, true)],
  ["Q5_1", simple(5, false)],
  ["Q4_K", superBlock(4)],
  ["Q5_K", superBlock(5)],
  ["Q6_K", q6],
]);

/**
 * Whole blocks, unpacked one after another.
 * @param source holds nothing else
 */
export function unpackBlocks({ coding, block, bytes, unpack }: BlockCodec, source: Uint8Array): QuantizedRows {
  const blocks = source.length / bytes;
  const groups = (blocks * block) / coding.group;
  const rows = {
    codes: new Uint8Array(blocks * block),
    scales: new Float32Array(groups),
    offsets: new Float32Array(coding.signed ? 0 : groups),
  };
  for (let i = 0; i < blocks; i++) unpack(source, i * bytes, i * block, rows);
  const { codes, scales, offsets } = rows;
  return { codes, scales, ...(!coding.signed && { offsets }) };
}
