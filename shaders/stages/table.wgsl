// The stage table: everything that stages are at run time, in one buffer addressed by vec4 offsets.
//
//   1. the records of the step's rows, `stride` of them per row, one per stage: (strength, factor, –, –), with strength 0 if
//      the stage does not act on the row's token. The first kernel of a step makes them (stages/records.wgsl)
//   2. the records of sequences, of which it makes them
//   3. the programs and lists of the plan, which are structure: structs of the shaders in this folder
//   4. the vectors, which are data
//
// The host lays it out (src/compile/stage-table.ts) and rewrites records and vectors between submits.
//
// `programs`: each sequence has a program of its own (src/compile/programs.ts), which its rows go through whatever the
// others' are. The first record of a row and of a sequence is (program, records, –, NONE): the vec4 at which its program
// begins, and how many records there are, this one included. A program begins with a directory, which has a place for all
// that this plan's kernels may look for.
//
// Binding 9. It is bound as integers: floats that hold small integers are subnormal, and devices may flush those to zero.
@group(1) @binding(9) var<storage, read> stages: array<vec4u>;

// An offset, index or slot of nothing.
const NONE = 0xffffffffu;

fn floats_at(at: u32) -> vec4f {
  return bitcast<vec4f>(stages[at]);
}

// Element `index` of a packed array of floats that starts at vec4 `at`.
fn scalar_at(at: u32, index: u32) -> f32 {
  return bitcast<f32>(stages[at + index / 4u][index % 4u]);
}

// Where the program of a row begins.
@if(programs) fn program_of(records: u32) -> u32 {
  return stages[records].x;
}

// How strongly a stage acts on a row whose records begin at vec4 `records`: its strength, or 0 outside its positions.
fn strength_of(stage: u32, records: u32) -> f32 {
  return bitcast<f32>(stages[records + stage].x);
}

// What multiplies b of an affine stage: strength times alpha, if it has one.
fn factor_of(stage: u32, records: u32) -> f32 {
  return bitcast<f32>(stages[records + stage].y);
}

// A stage of single elements: (strength, 1 − strength).
fn shares_of(stage: u32, records: u32) -> vec2f {
  return bitcast<vec2f>(stages[records + stage].xy);
}
