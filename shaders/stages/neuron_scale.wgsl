// Stages of single elements, a ← a + s·((scale − 1)⊙a + shift): an epilogue of the kernel that makes the site.
//
// The first stage at a site lies in the kernel's args, where it costs nothing to read; further ones (`stacked`) are listed
// in the stage table. `programs`: it lies in the directory of the row's program, and the args say at which place. A stage
// that is off for a token is skipped, not multiplied by 0, so that the token's row keeps the bits of the plain model.
// Computed as a·((1 − s) + s·scale) + s·shift, with 1 − s from the record: at strength 1 the factor is the scale, however
// small, and with scale 0 the result is exactly the shift.
//
// Bindings: 9, the stage table. Parallel: as the kernel that calls it, four elements at a time.
import package::stages::table::{floats_at, shares_of, stages, NONE};
@if(programs) import package::stages::table::program_of;

// A stage at a site. src/compile/stage-layout.ts lists the same fields, and the lint compares the two.
struct Scaling {
  stage: u32, // its record; NONE: there is no stage at this site
  scale: u32, // vec4 offset, or NONE: ones
  shift: u32, // vec4 offset, or NONE: zeros
  more: u32,  // further stages: a vec4 (count, –, –, –) and that many Scalings after it, or NONE
}

fn scaling_of(words: vec4u) -> Scaling {
  return Scaling(words.x, words.y, words.z, words.w);
}

// The value `v` at vec4 `n4` of a row after all stages of a site. `records`: where the row's records begin.
fn neuron_scale(place: vec4u, records: u32, n4: u32, v: vec4f) -> vec4f {
  @if(programs) let list = stages[program_of(records) + place.x];
  @else let list = place;
  let first = scaling_of(list);
  if (first.stage == NONE) {
    return v;
  }
  return scaled_by_all(list, shares_of(first.stage, records), records, n4, v);
}

// The same for callers that go through a row and know `s`, the shares of the first stage.
fn scaled_by_all(list: vec4u, s: vec2f, records: u32, n4: u32, v: vec4f) -> vec4f {
  let first = scaling_of(list);
  var x = v;
  if (s.x != 0.0) {
    x = scaled(first, n4, s, x);
  }
  @if(stacked) if (first.more != NONE) {
    let count = stages[first.more].x;
    // By data: the stages at one site, which follow one another.
    for (var i = 1u; i <= count; i++) {
      let next = scaling_of(stages[first.more + i]);
      let shares = shares_of(next.stage, records);
      if (shares.x != 0.0) {
        x = scaled(next, n4, shares, x);
      }
    }
  }
  return x;
}

// x after one stage whose shares are `s`.
fn scaled(by: Scaling, n4: u32, s: vec2f, x: vec4f) -> vec4f {
  var factor = vec4f(1.0);
  if (by.scale != NONE) {
    factor = fma(vec4f(s.x), floats_at(by.scale + n4), vec4f(s.y));
  }
  var offset = vec4f();
  if (by.shift != NONE) {
    offset = s.x * floats_at(by.shift + n4);
  }
  return fma(x, factor, offset);
}
