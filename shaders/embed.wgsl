// Embedding: x[row] = wte[token of row] + wpe[position of row].
//
// A table beyond the binding limit is split by whole strips and gathered by one dispatch per part; a row is
// written by the part that holds its token. An id outside the vocabulary, such as the 0xffffffff that a failed
// sampler writes, gives a row of zeros, written by the first part: the host reports it, and no stale row is read.
//
// Bindings: 1 token ids, read only; 2, 3 tables in strips (lib/table.wgsl), each in its own dtype
// (conditions wte_f16, wte_bf16, wte_quantised with those of lib/weights.wgsl, else float32; wpe_f16, wpe_bf16); 4 output rows [row_count][D4]; 8 capture;
// 9 stage table, 10 sources, 11 scopes. `staged`: it also makes the records of the rows' stages (stages/records.wgsl).
// Parallel: a thread per vec4 of a row, x along the width, y over rows, THREADS per workgroup. Threads side by side read words
// 64 (32) bytes apart: a row is a few KiB, and the strips layout serves the head, which reads the whole table.
// Summation class: none (one addition).
import package::lib::step::step;
import package::lib::table::{FULL_STRIDE, HALF_STRIDE, full_word, half_word, widen_f16, widen_bf16};
import package::lib::table::{q4_numbers, q4_scale_word, q4_word, q8_numbers, q8_scale_word, q8_word, q_scale};
import package::lib::table::{a4_numbers, a8_numbers, q_blocks};
import package::lib::tap::tap;
@if(staged) import package::stages::records::write_records;
import constants::{D4, THREADS, VOCAB};

struct Args {
  first_row: u32, // of this part of the vocabulary; a multiple of 4
  row_count: u32, // rows in this part
  @if(staged) record_stride: u32,    // stages: records of a row
  @if(staged) sequence_records: u32, // where those of sequences begin, in vec4s
  @if(sourced) source: u32, // where the embedding is kept as a source of an edge mask, in vec4s
  @if(tap_embed) tap_embed: u32,
  @if(tap_resid_pre) tap_resid_pre: u32,
}

@group(1) @binding(0) var<uniform> args: Args;
@group(1) @binding(1) var<storage, read> tokens: array<u32>;
@group(1) @binding(2) var<storage, read> wte: array<u32>;
@if(positions) @group(1) @binding(3) var<storage, read> wpe: array<u32>;
@group(1) @binding(4) var<storage, read_write> output: array<vec4f>;

@if(!wte_f16 && !wte_bf16 && !wte_quantised) fn token_vector(row: u32, n4: u32) -> vec4f {
  let w = full_word(row, n4, D4);
  return bitcast<vec4f>(vec4u(wte[w], wte[w + FULL_STRIDE], wte[w + 2u * FULL_STRIDE], wte[w + 3u * FULL_STRIDE]));
}

@if(wte_f16 || wte_bf16) fn token_vector(row: u32, n4: u32) -> vec4f {
  let w = half_word(row, n4, D4);
  let words = vec4u(wte[w], wte[w + HALF_STRIDE], wte[w + 2u * HALF_STRIDE], wte[w + 3u * HALF_STRIDE]);
  @if(wte_f16) return widen_f16(words, row);
  @if(wte_bf16) return widen_bf16(words, row);
}

@if(wte_q8) fn token_vector(row: u32, n4: u32) -> vec4f {
  let w = q8_word(row, n4, D4);
  let numbers = q8_numbers(vec4u(wte[w], wte[w + 1u], wte[w + 2u], wte[w + 3u]), row);
  return q_scale(wte[q8_scale_word(row, n4, D4)], row) * numbers;
}

@if(wte_q4) fn token_vector(row: u32, n4: u32) -> vec4f {
  let w = q4_word(row, n4, D4);
  return q_scale(wte[q4_scale_word(row, n4, D4)], row) * q4_numbers(vec2u(wte[w], wte[w + 1u]), row);
}

@if(wte_a4) const BLOCK_WORDS = 16u; // of 32 columns' numbers
@if(wte_a8) const BLOCK_WORDS = 32u;
@if(wte_by16) const GROUP4 = 4u; // vec4s of columns that share a scale
@if(wte_by64) const GROUP4 = 16u;
@if((wte_a4 || wte_a8) && !wte_by16 && !wte_by64) const GROUP4 = 8u;
@if((wte_a4 || wte_a8) && (!wte_scale_f32 || wte_centred)) const ENTRY_WORDS = 4u; // of their scales and offsets
@if(wte_scale_f32 && !wte_centred) const ENTRY_WORDS = 8u;

@if(wte_a4 || wte_a8) fn token_vector(row: u32, n4: u32) -> vec4f {
  let lane = row & 3u;
  let strip = (row >> 2u) * (q_blocks(D4) * BLOCK_WORDS + q_blocks(D4) * 8u / GROUP4 * ENTRY_WORDS);
  let at = strip + q_blocks(D4) * BLOCK_WORDS + n4 / GROUP4 * ENTRY_WORDS;
  @if(wte_scale_f16) let scale = unpack2x16float(wte[at + lane / 2u] >> (lane % 2u * 16u)).x;
  @if(wte_scale_f16) let offset = unpack2x16float(wte[at + 2u + lane / 2u] >> (lane % 2u * 16u)).x;
  @if(wte_scale_bf16) let scale = bitcast<f32>((wte[at + lane / 2u] >> (lane % 2u * 16u)) << 16u);
  @if(wte_scale_bf16) let offset = bitcast<f32>((wte[at + 2u + lane / 2u] >> (lane % 2u * 16u)) << 16u);
  @if(wte_scale_f32) let scale = bitcast<f32>(wte[at + lane]);
  @if(wte_scale_f32 && !wte_centred) let offset = bitcast<f32>(wte[at + 4u + lane]);
  @if(wte_centred) let offset = -32.0 * scale;
  @if(wte_a4) let numbers = a4_numbers(vec2u(wte[strip + 2u * n4], wte[strip + 2u * n4 + 1u]), row);
  @if(wte_a8) let w = strip + 4u * n4;
  @if(wte_a8) let numbers = a8_numbers(vec4u(wte[w], wte[w + 1u], wte[w + 2u], wte[w + 3u]), row);
  return fma(numbers, vec4f(scale), vec4f(offset));
}

@if(positions && !wpe_f16 && !wpe_bf16) fn position_vector(row: u32, n4: u32) -> vec4f {
  let w = full_word(row, n4, D4);
  return bitcast<vec4f>(vec4u(wpe[w], wpe[w + FULL_STRIDE], wpe[w + 2u * FULL_STRIDE], wpe[w + 3u * FULL_STRIDE]));
}

@if(positions && (wpe_f16 || wpe_bf16)) fn position_vector(row: u32, n4: u32) -> vec4f {
  let w = half_word(row, n4, D4);
  let words = vec4u(wpe[w], wpe[w + HALF_STRIDE], wpe[w + 2u * HALF_STRIDE], wpe[w + 3u * HALF_STRIDE]);
  @if(wpe_f16) return widen_f16(words, row);
  @if(wpe_bf16) return widen_bf16(words, row);
}

@if(sourced) @group(1) @binding(10) var<storage, read_write> sources: array<vec4f>; // [slots][rows][D4]

@compute @workgroup_size(THREADS)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let n4 = id.x;
  let row = id.y;
  if (n4 >= D4 || row >= step.row_count) {
    return;
  }
  let token = tokens[step.rows[row].token_index];

  // which stages act on this token
  @if(staged) {
    // Once, where a split table has several dispatches.
    if (args.first_row == 0u) {
      write_records(row, token, args.record_stride, args.sequence_records, n4, D4);
    }
  }

  // token and position
  var x = vec4f();
  if (token < VOCAB) {
    let local = token - args.first_row; // wraps to a huge number below first_row
    if (local >= args.row_count) {
      return;
    }
    x = token_vector(local, n4);
    @if(positions) {
      x += position_vector(step.rows[row].position, n4);
    }
  } else if (args.first_row != 0u) {
    return;
  }

  // sites: embed, then the first block's resid_pre
  @if(tap_embed) tap(args.tap_embed, row, D4, n4, x);
  @if(tap_resid_pre) tap(args.tap_resid_pre, row, D4, n4, x);
  @if(sourced) sources[args.source + row * D4 + n4] = x;
  output[row * D4 + n4] = x;
}
