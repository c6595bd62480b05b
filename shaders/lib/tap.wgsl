// Captures: a store of a site's value into the region that this dispatch was given, next to the arithmetic
// that produced it. Nothing downstream reads it.
@group(1) @binding(8) var<storage, read_write> capture: array<vec4f>;

const NOT_CAPTURED = 0xffffffffu;

// Writes vec4 `n4` of row `row` of a region with `width4` vec4s per row, starting at vec4 `offset`.
fn tap(offset: u32, row: u32, width4: u32, n4: u32, v: vec4f) {
  if (offset != NOT_CAPTURED) {
    capture[offset + row * width4 + n4] = v;
  }
}
