// Single rows of a table [rows, 4*width4] stored in strips: strip s holds rows 4s..4s+3, and inside it lie,
// for each column k, the four rows' elements at k. So row r of the table is component r & 3 of the vec4s
// (r >> 2) * 4*width4 + k, a stride of 16 bytes in float32 and of 8 in the two halves.
//
// The caller owns the binding, an array<u32>, and reads four words per vec4 of columns, `FULL_STRIDE` or
// `HALF_STRIDE` apart, from the first word given here.

// Words between neighbouring columns of one row.
const FULL_STRIDE = 4u;
const HALF_STRIDE = 2u;

// Word of element (row, 4*n4) in a float32 table.
fn full_word(row: u32, n4: u32, width4: u32) -> u32 {
  return ((row >> 2u) * width4 + n4) * 4u * FULL_STRIDE + (row & 3u);
}

// Word that holds element (row, 4*n4) in a table of 16-bit elements; odd rows are in the high half.
fn half_word(row: u32, n4: u32, width4: u32) -> u32 {
  return ((row >> 2u) * width4 + n4) * 4u * HALF_STRIDE + ((row & 3u) >> 1u);
}

// The row's four float16 elements in four words.
fn widen_f16(words: vec4u, row: u32) -> vec4f {
  let half = words >> vec4u((row & 1u) * 16u);
  return vec4f(
    unpack2x16float(half.x).x, unpack2x16float(half.y).x, unpack2x16float(half.z).x, unpack2x16float(half.w).x);
}

// The row's four bfloat16 elements in four words: the upper halves of float32.
fn widen_bf16(words: vec4u, row: u32) -> vec4f {
  return bitcast<vec4f>((words >> vec4u((row & 1u) * 16u)) << vec4u(16u));
}

// Quantised tables (lib/weights.wgsl): strips of whole blocks of 32 columns, their numbers first and then their scales.

// Word of the four rows' numbers at column 4*n4; those of the next columns follow.
fn q8_word(row: u32, n4: u32, width4: u32) -> u32 {
  return (row >> 2u) * q8_strip(width4) + 4u * n4;
}

// Word of the four rows' numbers at columns 4*n4 and 4*n4 + 1; those of the next two columns follow.
fn q4_word(row: u32, n4: u32, width4: u32) -> u32 {
  return (row >> 2u) * (q_blocks(width4) * 18u) + 2u * n4;
}

// Word that holds the scale of element (row, 4*n4); odd rows are in the high half.
fn q8_scale_word(row: u32, n4: u32, width4: u32) -> u32 {
  return (row >> 2u) * q8_strip(width4) + q_blocks(width4) * 32u + n4 / 8u * 2u + ((row & 3u) >> 1u);
}

fn q4_scale_word(row: u32, n4: u32, width4: u32) -> u32 {
  return (row >> 2u) * (q_blocks(width4) * 18u) + q_blocks(width4) * 16u + n4 / 8u * 2u + ((row & 3u) >> 1u);
}

// The row's numbers in the words of four columns.
fn q8_numbers(words: vec4u, row: u32) -> vec4f {
  return vec4f(bitcast<vec4i>(words << vec4u(24u - (row & 3u) * 8u)) >> vec4u(24u));
}

fn q4_numbers(words: vec2u, row: u32) -> vec4f {
  let shift = vec4u(28u, 12u, 28u, 12u) - vec4u((row & 3u) * 4u);
  return vec4f(bitcast<vec4i>(words.xxyy << shift) >> vec4u(28u));
}

// The row's unsigned numbers in the words of four columns.
fn a8_numbers(words: vec4u, row: u32) -> vec4f {
  return vec4f((words >> vec4u((row & 3u) * 8u)) & vec4u(0xffu));
}

fn a4_numbers(words: vec2u, row: u32) -> vec4f {
  return vec4f((words.xxyy >> (vec4u(0u, 16u, 0u, 16u) + vec4u((row & 3u) * 4u))) & vec4u(0xfu));
}

fn q_scale(word: u32, row: u32) -> f32 {
  return unpack2x16float(word >> ((row & 1u) * 16u)).x;
}

fn q_blocks(width4: u32) -> u32 {
  return (width4 + 7u) / 8u;
}

// Words of a strip of q8.
fn q8_strip(width4: u32) -> u32 {
  return q_blocks(width4) * 32u + (q_blocks(width4) + 1u) / 2u * 4u;
}
