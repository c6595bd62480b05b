// Stage edge_mask: the input of one destination, x_D = R_D − Σ_s (1 − m')·(out_s − repl_s) with m' = 1 − strength·(1 − m),
// worked out in the row of `output` that belongs to D. `edge_mask` tells whether it changed the row.
//
// Outputs of sources lie in the source table `sources`, [slots][rows][D4], which the kernels that make them fill; the
// mask's values in the stage table, one packed block a sequence; Σ (1 − m)·repl is summed on the host, a vector for each
// sequence and destination that replaces anything.
//
// cut:  x = R − (Σ_s strength·(1 − m)·out_s − strength·κ).
// kept: x = E + Σ_s m'·out_s + strength·κ + fixed, over all sources that D sees. E is what no source wrote: the changes
//       made by stages to the stream so far; `fixed` are the output biases that belong to no head. Nothing cancels, so
//       that what is left of a stream with values in the thousands keeps its digits.
// A sequence whose strength is 0, or whose mask cuts nothing at D, keeps R as it is, by selection.
//
// A variant in the stage table is two vec4s: (form, count, terms, κ) and (fixed, cut, E, –): form 0 none, 1 cut, 2 kept;
// terms are vec4s (slot, edge, –, –) with edge NONE for an unmasked source of the kept form; κ and fixed NONE where zero;
// fixed is a list, (count, …) and a vec4 (offset in params, …) each; `cut` is the index of Σ (1 − m) in the sequence's values. The record of the stage is (strength, values, κ, –): values and κ
// are the sequence's blocks.
// Parallel: as the row; a thread works on four columns at a time, so that each term is read once for all of them.
import package::norm::edited_row::{output, params, row_at, RowPlace, sources};
import package::stages::table::{floats_at, scalar_at, stages, NONE};
import constants::{D4, THREADS};

fn edge_mask(variant_at: u32, record_at: u32, place: RowPlace, source_row: u32, slot_stride: u32, tid: u32) -> bool {
  let head = stages[variant_at];
  let more = stages[variant_at + 1u];
  if (head.x == 0u) {
    return false;
  }
  let record = stages[record_at];
  let s = bitcast<f32>(record.x);
  if (s == 0.0 || scalar_at(record.y, more.y) == 0.0) {
    return false;
  }
  let kept = head.x == 2u;
  for (var i = tid; i < D4; i += 4u * THREADS) {
    let i1 = min(i + THREADS, D4 - 1u);
    let i2 = min(i + 2u * THREADS, D4 - 1u);
    let i3 = min(i + 3u * THREADS, D4 - 1u);
    var a0 = vec4f(); var a1 = vec4f(); var a2 = vec4f(); var a3 = vec4f();
    // By data: the sources of a destination, which a bundle lists.
    for (var t = 0u; t < head.y; t++) {
      let term = stages[head.z + t];
      var cut = 0.0;
      if (term.y != NONE) {
        cut = s * (1.0 - scalar_at(record.y, term.y));
      }
      let w = select(cut, 1.0 - cut, kept);
      if (w != 0.0) {
        let source_at = term.x * slot_stride + source_row;
        a0 = fma(vec4f(w), sources[source_at + i], a0);
        a1 = fma(vec4f(w), sources[source_at + i1], a1);
        a2 = fma(vec4f(w), sources[source_at + i2], a2);
        a3 = fma(vec4f(w), sources[source_at + i3], a3);
      }
    }
    finish_column(head, more, record, s, place, source_row, slot_stride, i, a0);
    if (i + THREADS < D4) { finish_column(head, more, record, s, place, source_row, slot_stride, i1, a1); }
    if (i + 2u * THREADS < D4) { finish_column(head, more, record, s, place, source_row, slot_stride, i2, a2); }
    if (i + 3u * THREADS < D4) { finish_column(head, more, record, s, place, source_row, slot_stride, i3, a3); }
  }
  return true;
}

fn finish_column(
  head: vec4u, more: vec4u, record: vec4u, s: f32, row: RowPlace, source_row: u32, slot_stride: u32, i: u32, sum: vec4f,
) {
  var replaced = vec4f();
  if (head.w != NONE) {
    replaced = s * floats_at(record.z + head.w * D4 + i);
  }
  if (head.x == 1u) {
    output[row.output_at + i] = row_at(row, i) - (sum - replaced);
    return;
  }
  var x = sum + replaced;
  if (more.x != NONE) {
    let count = stages[more.x].x;
    // By data: the layers that a destination sees.
    for (var l = 1u; l <= count; l++) {
      x += params[stages[more.x + l].x + i];
    }
  }
  if (more.z != NONE) {
    x += sources[more.z * slot_stride + source_row + i];
  }
  output[row.output_at + i] = x;
}
