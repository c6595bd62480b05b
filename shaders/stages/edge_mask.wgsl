// The input of one destination of an edge mask: x_D = R_D − Σ_s (1 − m')·(out_s − repl_s), m' = 1 − strength·(1 − m),
// computed in the row of `output` that belongs to D.
//
// cut:  x = R − (Σ_s strength·(1 − m)·out_s − strength·κ).
// kept: x = E + Σ_s m'·out_s + strength·κ + fixed, over all sources that D sees. E is what no source wrote: the changes
//       that stages made to the stream so far. `fixed` are the output biases that belong to no head. Nothing cancels, so
//       what is left of a stream with values in the thousands keeps its digits.
// κ = Σ_s (1 − m)·repl_s is summed on the host. If the strength is 0, or the mask of a sequence cuts nothing at D, the
// row stays R, by selection.
//
// Bindings: those of norm/edited_row.wgsl, with `sources` [slots][rows][D4], which the kernels that make the sources fill;
// 9, the stage table: a Variant per destination, its Terms, and per sequence one packed block of mask values and one
// block of κ vectors.
// Parallel: as the row; a thread works on four columns at a time, so that each term is read once for all of them.
import package::norm::edited_row::{output, params, row_at, RowPlace, sources};
import package::stages::table::{floats_at, scalar_at, stages, NONE};
import constants::{D4, THREADS};

// A destination. src/compile/stage-layout.ts lists the same fields as these structs, and the lint compares them.
struct Variant {
  form: u32,     // one of FORM_…
  terms: u32,    // how many
  terms_at: u32, // the first Term
  kappa: u32,    // index of its vector in the sequence's block, or NONE: zeros
  fixed_at: u32, // fixed biases: a vec4 (count, –, –, –) and that many (offset in params, –, –, –) after it, or NONE
  cut: u32,      // index of Σ (1 − m) among the sequence's values
  e_slot: u32,   // slot of E, or NONE: zeros
}

fn variant_at(at: u32) -> Variant {
  let p = stages[at];
  let q = stages[at + 1u];
  return Variant(p.x, p.y, p.z, p.w, q.x, q.y, q.z);
}

const VARIANT_VEC4S = 2u;
const FORM_PLAIN = 0u;
const FORM_CUT = 1u;
const FORM_KEPT = 2u;

// A source that a destination reads.
struct Term {
  slot: u32, // in the source table
  edge: u32, // index of its mask value among the sequence's, or NONE: unmasked
}

fn term_of(words: vec4u) -> Term {
  return Term(words.x, words.y);
}

// The record of the mask's stage.
struct Mask {
  strength: f32,
  values: u32, // the sequence's block of mask values
  kappa: u32,  // the sequence's block of κ vectors
}

fn mask_of(words: vec4u) -> Mask {
  return Mask(bitcast<f32>(words.x), words.y, words.z);
}

// Columns of a row that a thread has at a time, at most.
const COLUMNS = min(4u, (D4 + THREADS - 1u) / THREADS);

// Where the rows of the source table are: row `row_at` of slot s begins at s·stride + row_at.
struct SourceRow {
  at: u32,
  stride: u32,
}

struct Mixed {
  changed: bool,
  most: f32, // the largest of what this thread added and subtracted: what is left of it may be much smaller
}

// Computes the input of variant number `number`.
fn edge_mask(variants: u32, number: u32, record: u32, place: RowPlace, rows: SourceRow, tid: u32) -> Mixed {
  let variant = variant_at(variants + VARIANT_VEC4S * number);
  if (variant.form == FORM_PLAIN) {
    return Mixed(false, 0.0);
  }
  let mask = mask_of(stages[record]);
  if (mask.strength == 0.0 || scalar_at(mask.values, variant.cut) == 0.0) {
    return Mixed(false, 0.0);
  }
  let kept = variant.form == FORM_KEPT;
  var most = vec4f();
  for (var i = tid; i < D4; i += 4u * THREADS) {
    let i1 = min(i + THREADS, D4 - 1u);
    let i2 = min(i + 2u * THREADS, D4 - 1u);
    let i3 = min(i + 3u * THREADS, D4 - 1u);

    // what is cut, or what is kept
    var a0 = vec4f(); var a1 = vec4f(); var a2 = vec4f(); var a3 = vec4f();
    // By data: the sources of a destination, which a bundle lists.
    for (var t = 0u; t < variant.terms; t++) {
      let term = term_of(stages[variant.terms_at + t]);
      var value = 1.0;
      if (term.edge != NONE) {
        value = scalar_at(mask.values, term.edge);
      }
      // 1 - m', or m' in the way that a small m loses no digits and an unmasked source nothing
      var weight = mask.strength * (1.0 - value);
      if (kept) {
        weight = select(fma(mask.strength, value, 1.0 - mask.strength), 1.0, value == 1.0);
      }
      if (weight != 0.0) {
        let at = term.slot * rows.stride + rows.at;
        a0 = fma(vec4f(weight), sources[at + i], a0);
        a1 = fma(vec4f(weight), sources[at + i1], a1);
        a2 = fma(vec4f(weight), sources[at + i2], a2);
        a3 = fma(vec4f(weight), sources[at + i3], a3);
      }
    }

    // the row, by one call of finish_column, which compilers copy to each place that calls it
    for (var c = 0u; c < COLUMNS; c++) {
      let column = i + c * THREADS;
      if (column < D4) {
        let sum = select(select(a0, a1, c == 1u), select(a2, a3, c == 3u), c >= 2u);
        most = max(most, finish_column(variant, kept, mask, place, rows, column, sum));
      }
    }
  }
  return Mixed(true, max(max(most.x, most.y), max(most.z, most.w)));
}

// Writes the row's vec4 `i`; returns the largest of its terms.
fn finish_column(
  variant: Variant, kept: bool, mask: Mask, row: RowPlace, rows: SourceRow, i: u32, sum: vec4f,
) -> vec4f {
  var replaced = vec4f();
  if (variant.kappa != NONE) {
    replaced = mask.strength * floats_at(mask.kappa + variant.kappa * D4 + i);
  }
  let most = max(abs(sum), abs(replaced));
  if (!kept) {
    let stream = row_at(row, i);
    output[row.output_at + i] = stream - (sum - replaced);
    return max(most, abs(stream));
  }
  var x = sum + replaced;
  if (variant.fixed_at != NONE) {
    let count = stages[variant.fixed_at].x;
    // By data: the layers that a destination sees.
    for (var l = 1u; l <= count; l++) {
      x += params[stages[variant.fixed_at + l].x + i];
    }
  }
  var e = vec4f();
  if (variant.e_slot != NONE) {
    e = sources[variant.e_slot * rows.stride + rows.at + i];
  }
  output[row.output_at + i] = x + e;
  return max(most, abs(e));
}
