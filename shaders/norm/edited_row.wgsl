// The buffers of norm/edited.wgsl in which a row is worked on, those that its parts read, and what a thread takes of them.
//
// Threads work on parts of a row, neighbours on neighbouring parts: thread t owns parts t, t + THREADS, … and alone reads
// and writes them, so that nothing but sums must be waited for.
// tiled: a part is a vec4, PARTS = 1 of them in a vec4, as a GPU loads them best.
// Otherwise a part is a float, and the row's four threads are the SIMD lanes of a software device; thread t has column t of
// each vec4.
import package::stages::table::stages;
import constants::{D, D4};

@if(tiled) alias Part = vec4f;
@else alias Part = f32;

@if(tiled) const PARTS = 1u;
@else const PARTS = 4u;

// Parts of a row.
const WIDTH = PARTS * D4;

@group(1) @binding(1) var<storage, read> input: array<Part>; // the stream [rows][WIDTH]
@group(1) @binding(2) var<storage, read> params: array<Part>; // gains and biases of the whole model
@group(1) @binding(4) var<storage, read_write> output: array<Part>; // [variants][rows][WIDTH]
@group(1) @binding(10) var<storage, read_write> sources: array<Part>; // [slots][rows][WIDTH], see stages/edge_mask.wgsl

// Where a row is: still in the input, until something changes it, then in its place of the output. Offsets in parts.
struct RowPlace {
  input_at: u32,
  output_at: u32,
  moved: bool,
}

// Part `i` of a row as it is now.
fn row_at(row: RowPlace, i: u32) -> Part {
  if (row.moved) {
    return output[row.output_at + i];
  }
  return input[row.input_at + i];
}

// Part `i` of the vector at vec4 `at` of the stage table.
fn vector_at(at: u32, i: u32) -> Part {
  @if(tiled) return bitcast<vec4f>(stages[at + i]);
  @else return bitcast<f32>(stages[at + i / 4u][i % 4u]);
}

// What part `a` adds to a product of two vectors.
fn product(a: Part, b: Part) -> f32 {
  @if(tiled) return dot(a, b);
  @else return a * b;
}

// 1 for the lanes of the last vec4 that lie within the width, 0 for its padding.
@if(tiled) const LAST_LANES = select(vec4f(0.0), vec4f(1.0), vec4u(0u, 1u, 2u, 3u) < vec4u(D - 4u * (D4 - 1u)));

// Part `i` of the row less its mean, with zeros in the padding, which must not count as values that far from it.
fn centred(v: Part, mean: f32, i: u32) -> Part {
  @if(tiled) return (v - mean) * select(vec4f(1.0), LAST_LANES, i == D4 - 1u);
  @else return select(0.0, v - mean, i < D);
}
