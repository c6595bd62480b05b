// The records of a step's rows: which stages act on each row's token, and how strongly. The embedding's kernel makes them,
// which is the first of a step and knows each row's token; every later kernel reads them (stages/table.wgsl).
//
// A sequence's record of a stage is (strength, factor, at, count): `count` instructions of the scope buffer, from vec4 `at`
// on, say whether the stage acts; NONE: it acts everywhere, and the record is copied as it is (an edge mask has blocks in
// place of factor and at). The row's record is the same with strength 0 if the stage does not act. `programs`: the first
// record says how many there are (stages/table.wgsl).
//
// Instructions are in postfix order and work on a stack of bits. Lists are packed, four numbers per vec4. The host
// (src/compile/scope-buffer.ts) bounds nesting, and so the stack.
//
// Bindings: 9 stage table, 11 scopes. Parallel: as the embedding's kernel; the threads of a row deal its records out.
import package::lib::step::step;
import package::stages::table::NONE;

@group(1) @binding(9) var<storage, read_write> stage_table: array<vec4u>;
@group(1) @binding(11) var<storage, read> scopes: array<vec4u>;

// src/compile/stage-layout.ts lists the same fields and operations, and the lint compares the two.
struct Instruction {
  operation: u32,
  list: u32,   // vec4 of the scope buffer
  length: u32, // numbers
}

fn instruction_of(words: vec4u) -> Instruction {
  return Instruction(words.x, words.y, words.z);
}

const SCOPE_AT = 0u;     // push: an odd number of the list's positions, which ascend, is at most the row's
const SCOPE_TOKENS = 1u; // push: the row's token is in the list, which ascends
const SCOPE_OR = 2u;     // the two topmost become one
const SCOPE_NOT = 3u;    // turn the topmost

// Writes the records `first`, `first + stride`, … of the `count` that a row has. Records of sequences begin at vec4
// `sequences`.
fn write_records(row: u32, token: u32, count: u32, sequences: u32, first: u32, stride: u32) {
  let own = sequences + step.rows[row].sequence * count;
  @if(programs) let used = stage_table[own].y;
  @else let used = count;
  // By data: the stages of a model, or of a sequence.
  for (var i = first; i < used; i += stride) {
    var record = stage_table[own + i];
    if (record.w != NONE && !acts(record.z, record.w, step.rows[row].position, token)) {
      record.x = 0u;
    }
    stage_table[row * count + i] = record;
  }
}

fn acts(at: u32, count: u32, position: u32, token: u32) -> bool {
  var stack = 0u; // the topmost result in the lowest bit
  // By data: the instructions of a stage's positions.
  for (var i = 0u; i < count; i++) {
    let instruction = instruction_of(scopes[at + i]);
    let is_of_tokens = instruction.operation == SCOPE_TOKENS;
    if (is_of_tokens || instruction.operation == SCOPE_AT) {
      let wanted = select(position, token, is_of_tokens);
      let found = count_at_most(instruction.list, instruction.length, wanted);
      let is_listed = found > 0u && element(instruction.list, found - 1u) == wanted;
      stack = (stack << 1u) | select(found & 1u, u32(is_listed), is_of_tokens);
    } else if (instruction.operation == SCOPE_OR) {
      stack = (stack >> 1u) | (stack & 1u);
    } else {
      stack ^= 1u;
    }
  }
  return (stack & 1u) != 0u;
}

// How many numbers of an ascending list are at most `value`.
fn count_at_most(list: u32, length: u32, value: u32) -> u32 {
  var low = 0u;
  var high = length;
  // By data: the halvings of a list.
  while (low < high) {
    let middle = (low + high) / 2u;
    if (element(list, middle) <= value) {
      low = middle + 1u;
    } else {
      high = middle;
    }
  }
  return low;
}

fn element(list: u32, index: u32) -> u32 {
  return scopes[list + index / 4u][index % 4u];
}
