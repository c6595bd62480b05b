// Linear layer without workgroup memory: each thread owns a few rows and a few strips of outputs and walks K alone.
//
// Bindings: linear/operands.wgsl.
// Parallel: a thread per (ROWS rows) × (STRIPS_EACH strips); x = groups of rows, y = groups of strips, so that workgroups
// that run one after the other read the same weights. A thread streams its strips' blocks, which lie one after the other
// in memory, and uses each weight for all its rows; the rows' inputs are the same for all threads of a workgroup. There
// is no barrier, which is what software devices need, and no sharing between threads, so on a GPU every group of rows
// reads the weights again. M = 1 is the matrix-vector product, a thread per strip. Accumulators are written out by name
// because a dynamically indexed array would live in memory. Rows beyond the last read the last row and are not written.
//
// `heads`: after the sums over all inputs, the same walk over those of single heads alone, which are sources of an edge
// mask (linear/head_sums.wgsl), while the weights are still in the cache.
//
// Conditions: rows_2, rows_4, rows_6, rows_8: that many rows per thread, each includes the ones before; two_strips.
// Summation class: serial.
@if(quantised) import package::lib::weight_blocks::{scaled_block, scales_at, strip_start};
@else import package::lib::weight_blocks::{block, strip_start};
import package::linear::epilogue::{finish, finish_pair};
@if(heads) import package::linear::head_sums::{finish_head, head_at, HEAD4};
@if(heads) import package::stages::table::NONE;
import package::linear::operands::{args, input, input_width4, mac, row_count, strip_count};
@if(grouped) import package::linear::operands::variant_start;
import constants::{ROWS, STRIPS_EACH};

// Blocks of four inputs that share scales.
@if(by16) const SPAN = 4u;
@elif(quantised) const SPAN = 8u;

@compute @workgroup_size(32)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
  let s0 = (group.y * 32u + local) * STRIPS_EACH;
  if (s0 >= strip_count()) { return; }
  let width4 = input_width4();
  let r = group.x * ROWS;
  @if(!heads) walk(s0, r, 0u, width4);
  @if(heads) {
    for (var i = 0u; i <= args.head_count; i++) {
      let head = head_at(i);
      walk(s0, r, select(head.head * HEAD4, 0u, i == 0u), select((head.head + 1u) * HEAD4, width4, i == 0u), head.slot);
    }
  }
}

// Rows from r on and strips from s0 on, summed over the blocks [first_block, end_block) of four inputs; `slot`: of the
// head that these belong to, or NONE.
fn walk(s0: u32, r: u32, first_block: u32, end_block: u32, @if(heads) slot: u32) {
  let width4 = input_width4();
  let from0 = strip_start(s0, width4);
  @if(two_strips) let from1 = strip_start(min(s0 + 1u, strip_count() - 1u), width4);
  let rows = row_count();
  let last = rows - 1u;

  // A head's width is a multiple of STRIPS_EACH strips, so that a thread's outputs read one variant (`grouped`).
  @if(grouped) let start = variant_start(4u * (args.first_strip + s0));
  @else let start = 0u;
  let x0 = start + min(r, last) * width4;
  @if(rows_2) let x1 = start + min(r + 1u, last) * width4;
  @if(rows_4) let x2 = start + min(r + 2u, last) * width4;
  @if(rows_4) let x3 = start + min(r + 3u, last) * width4;
  @if(rows_6) let x4 = start + min(r + 4u, last) * width4;
  @if(rows_6) let x5 = start + min(r + 5u, last) * width4;
  @if(rows_8) let x6 = start + min(r + 6u, last) * width4;
  @if(rows_8) let x7 = start + min(r + 7u, last) * width4;

  var a0 = vec4f(); var b0 = vec4f(); // row r: strips s0 and s1
  var a1 = vec4f(); var b1 = vec4f();
  var a2 = vec4f(); var b2 = vec4f();
  var a3 = vec4f(); var b3 = vec4f();
  var a4 = vec4f(); var b4 = vec4f();
  var a5 = vec4f(); var b5 = vec4f();
  var a6 = vec4f(); var b6 = vec4f();
  var a7 = vec4f(); var b7 = vec4f();

  // sums. Quantised weights: eight blocks (four: `by16`) share scales, which take as long to fetch and widen as one block's numbers.
  // By data: the shape, or the blocks of one head, on software devices alone.
  @if(quantised) for (var first = first_block; first < end_block; first += SPAN) {
    let d0 = scales_at(from0, first);
    @if(two_strips) let d1 = scales_at(from1, first);
    let end = min(first + SPAN, end_block);
    // By data: as above.
    for (var k = first; k < end; k++) {
      let w0 = scaled_block(from0, k, d0);
      @if(two_strips) let w1 = scaled_block(from1, k, d1);
      { let x = input[x0 + k]; a0 = mac(a0, w0, x); @if(two_strips) b0 = mac(b0, w1, x); }
      @if(rows_2) { let x = input[x1 + k]; a1 = mac(a1, w0, x); @if(two_strips) b1 = mac(b1, w1, x); }
      @if(rows_4) { let x = input[x2 + k]; a2 = mac(a2, w0, x); @if(two_strips) b2 = mac(b2, w1, x); }
      @if(rows_4) { let x = input[x3 + k]; a3 = mac(a3, w0, x); @if(two_strips) b3 = mac(b3, w1, x); }
      @if(rows_6) { let x = input[x4 + k]; a4 = mac(a4, w0, x); @if(two_strips) b4 = mac(b4, w1, x); }
      @if(rows_6) { let x = input[x5 + k]; a5 = mac(a5, w0, x); @if(two_strips) b5 = mac(b5, w1, x); }
      @if(rows_8) { let x = input[x6 + k]; a6 = mac(a6, w0, x); @if(two_strips) b6 = mac(b6, w1, x); }
      @if(rows_8) { let x = input[x7 + k]; a7 = mac(a7, w0, x); @if(two_strips) b7 = mac(b7, w1, x); }
    }
  }

  // The same without scales, in a loop of its own: a loop in another compiles a quarter longer on software devices, for which
  // every accumulator is a variable of both.
  // By data: as above.
  @if(!quantised) for (var k = first_block; k < end_block; k++) {
    let w0 = block(from0, k);
    @if(two_strips) let w1 = block(from1, k);
    { let x = input[x0 + k]; a0 = mac(a0, w0, x); @if(two_strips) b0 = mac(b0, w1, x); }
    @if(rows_2) { let x = input[x1 + k]; a1 = mac(a1, w0, x); @if(two_strips) b1 = mac(b1, w1, x); }
    @if(rows_4) { let x = input[x2 + k]; a2 = mac(a2, w0, x); @if(two_strips) b2 = mac(b2, w1, x); }
    @if(rows_4) { let x = input[x3 + k]; a3 = mac(a3, w0, x); @if(two_strips) b3 = mac(b3, w1, x); }
    @if(rows_6) { let x = input[x4 + k]; a4 = mac(a4, w0, x); @if(two_strips) b4 = mac(b4, w1, x); }
    @if(rows_6) { let x = input[x5 + k]; a5 = mac(a5, w0, x); @if(two_strips) b5 = mac(b5, w1, x); }
    @if(rows_8) { let x = input[x6 + k]; a6 = mac(a6, w0, x); @if(two_strips) b6 = mac(b6, w1, x); }
    @if(rows_8) { let x = input[x7 + k]; a7 = mac(a7, w0, x); @if(two_strips) b7 = mac(b7, w1, x); }
  }

  // epilogue, row after row through one copy of it: written out eight times it would take most of the compile time
  for (var i = 0u; i < ROWS && r + i < rows; i++) {
    var a = a0;
    @if(two_strips) var b = b0;
    switch i {
      @if(rows_2) case 1u { a = a1; @if(two_strips) b = b1; }
      @if(rows_4) case 2u { a = a2; @if(two_strips) b = b2; }
      @if(rows_4) case 3u { a = a3; @if(two_strips) b = b3; }
      @if(rows_6) case 4u { a = a4; @if(two_strips) b = b4; }
      @if(rows_6) case 5u { a = a5; @if(two_strips) b = b5; }
      @if(rows_8) case 6u { a = a6; @if(two_strips) b = b6; }
      @if(rows_8) case 7u { a = a7; @if(two_strips) b = b7; }
      default {}
    }
    @if(heads) if (slot != NONE) {
      finish_head(slot, r + i, s0, a);
      @if(two_strips) if (s0 + 1u < strip_count()) { finish_head(slot, r + i, s0 + 1u, b); }
      continue;
    }
    @if(two_strips) finish_pair(r + i, s0, a, b);
    @else finish(r + i, s0, a);
  }
}
