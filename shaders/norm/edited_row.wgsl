// The buffers of norm/edited.wgsl in which a row is worked on, and those that its parts read.
@group(1) @binding(1) var<storage, read> input: array<vec4f>; // the stream [rows][D4]
@group(1) @binding(2) var<storage, read> params: array<vec4f>; // gains and biases of the whole model
@group(1) @binding(4) var<storage, read_write> output: array<vec4f>; // [variants][rows][D4]
@group(1) @binding(10) var<storage, read_write> sources: array<vec4f>; // [slots][rows][D4], see stages/edge_mask.wgsl

// Where a row is: still in the input, until something changes it, then in its place of the output.
struct RowPlace {
  input_at: u32,
  output_at: u32,
  moved: bool,
}

// Vec4 `i` of a row as it is now.
fn row_at(row: RowPlace, i: u32) -> vec4f {
  if (row.moved) {
    return output[row.output_at + i];
  }
  return input[row.input_at + i];
}
