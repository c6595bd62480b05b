// The step uniform, group 0 of every kernel: which rows this step computes.
//
// A row is one token of one sequence. Activations are packed rows [M, width]: a prefill chunk, a decode
// step of a batch and packed sentences look the same to every kernel, and only the host knows which it was.
import constants::MAX_ROWS;

struct Row {
  token_index: u32, // where in `tokens` the row's token id is
  position: u32,    // absolute position in its sequence
  slot: u32,        // cache slot that receives this row's key and value
  sequence: u32,    // row of the slot table
}

struct OutRow {
  row: u32,         // the row of this step whose logits are wanted
  token_index: u32, // where in `tokens` a sampled id goes
  sequence: u32,
  position: u32,    // position of the row; the sampled token will be at position + 1
}

struct Step {
  row_count: u32, // M
  out_count: u32, // rows that go through the head
  pad0: u32,
  pad1: u32,
  rows: array<Row, MAX_ROWS>,
  outs: array<OutRow, MAX_ROWS>,
}

@group(0) @binding(0) var<uniform> step: Step;
