// A head whose output is kept as a source of an edge mask, as the stage table lists it. src/compile/stage-layout.ts lists
// the same fields, and the lint compares the two.
struct Head {
  head: u32, // its number in the layer
  slot: u32, // its slot of the source table; NONE (stages/table.wgsl): it is not kept
}

fn head_of(words: vec4u) -> Head {
  return Head(words.x, words.y);
}
