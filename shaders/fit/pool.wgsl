// Captured activations pooled over the tokens of each sequence, so that one row per sentence is read back in place of all.
//
//   max: pooled[s][c] = max over the rows r of sequence s in this step of capture[r][c]
//   sum: pooled[s][c] = Σ over the same
//
// A NaN is passed on. Of sums arithmetic does that; max() may drop one, and compilers may take for granted that a float
// equals itself, so the greatest is found among unsigned numbers that are ordered as the floats are, NaNs above all.
// The only arithmetic of `max` is that of bits: it gives the same on every device, subnormals included.
//
// A sequence whose rows are spread over several steps has a part in each; the host joins the parts, sums in float64.
//
// Bindings: 1 capture [rows][WIDTH4] of one site, from vec4 `capture_at` on; 2 segments, (first row, rows) for each
// sequence, from `table` on; 4 pooled [sequences][stride], this site's columns from vec4 `pooled_at` of each.
// Parallel: a thread for four columns (x) of one sequence (y) goes over the sequence's rows; neighbours read neighbouring
// vec4s. Sequences without rows in this step are left as they are.
// Bytes: every captured row once, and one row per sequence. Summation class `blocks16`: chains of 16 rows, then a chain of
// those, so that the rounding of 256 rows stays below 31 · 2^-24 of Σ|x|.
import constants::WIDTH4;

struct Args {
  capture_at: u32,
  table: u32,     // entry of `segments` for sequence 0
  pooled_at: u32,
  stride: u32,    // vec4s from one sequence to the next
}

const BLOCK = 16u;

@group(1) @binding(0) var<uniform> args: Args;
@if(max) @group(1) @binding(1) var<storage, read> capture: array<vec4u>;
@else @group(1) @binding(1) var<storage, read> capture: array<vec4f>;
@group(1) @binding(2) var<storage, read> segments: array<vec2u>;
@if(max) @group(1) @binding(4) var<storage, read_write> pooled: array<vec4u>;
@else @group(1) @binding(4) var<storage, read_write> pooled: array<vec4f>;

@compute @workgroup_size(32) fn main(@builtin(global_invocation_id) id: vec3u) {
  let segment = segments[args.table + id.y];
  let count = segment.y;
  if (id.x >= WIDTH4 || count == 0u) { return; }
  let begin = args.capture_at + segment.x * WIDTH4 + id.x;
  let at = id.y * args.stride + args.pooled_at + id.x;
  @if(max) {
    var top = vec4u();
    // By data: how many rows a sequence has in a step is decided by the host.
    for (var row = 0u; row < count; row++) { top = max(top, ordered(capture[begin + row * WIDTH4])); }
    pooled[at] = unordered(top);
  } @else {
    var sum = vec4f();
    // By data: as above.
    for (var block = 0u; block < count; block += BLOCK) {
      let end = min(block + BLOCK, count);
      var part = vec4f();
      // By data: the last block ends with the sequence.
      for (var row = block; row < end; row++) { part += capture[begin + row * WIDTH4]; }
      sum += part;
    }
    pooled[at] = sum;
  }
}

@if(max) const SIGN = vec4u(0x80000000u);
@if(max) const ALL = vec4u(0xffffffffu);

// The bits of floats as numbers in the same order, from −∞ up; all NaNs become the greatest number.
@if(max) fn ordered(bits: vec4u) -> vec4u {
  let number = bits ^ select(SIGN, ALL, bits >= SIGN);
  return select(number, ALL, (bits & ~SIGN) > vec4u(0x7f800000u));
}

@if(max) fn unordered(number: vec4u) -> vec4u {
  return number ^ select(ALL, SIGN, number >= SIGN);
}
