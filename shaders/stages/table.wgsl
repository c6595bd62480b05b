// The stage table: everything that stages are at run time, in one buffer addressed by vec4 offsets. It begins with the
// records, `stride` of them a sequence, one a stage: (strength, alpha, from, to), the last two being the absolute
// positions [from, to) that the stage acts on. Behind them stand the programs and lists of the plan, which are its
// structure, and the vectors, which are data. The host lays it out (src/compile/stage-table.ts) and rewrites records
// and vectors between submits; nothing in it changes while a step runs.
//
// It is bound as integers: floats that hold small integers are subnormal, and devices may flush those to zero.
@group(1) @binding(9) var<storage, read> stages: array<vec4u>;

const NONE = 0xffffffffu;

// The row of the step that a value belongs to.
struct Token {
  sequence: u32,
  position: u32,
}

fn floats_at(at: u32) -> vec4f {
  return bitcast<vec4f>(stages[at]);
}

// Element `index` of a packed array of floats that starts at vec4 `at`.
fn scalar_at(at: u32, index: u32) -> f32 {
  return bitcast<f32>(stages[at + index / 4u][index % 4u]);
}

// How strongly a stage acts on a token: its strength, or 0 outside its positions.
fn strength_of(stage: u32, stride: u32, token: Token) -> f32 {
  let record = stages[token.sequence * stride + stage];
  return select(0.0, bitcast<f32>(record.x), token.position >= record.z && token.position < record.w);
}

fn alpha_of(stage: u32, stride: u32, token: Token) -> f32 {
  return bitcast<f32>(stages[token.sequence * stride + stage].y);
}
