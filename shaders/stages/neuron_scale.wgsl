// Stage neuron_scale: a ← a + s·((scale − 1)⊙a + shift), as an epilogue of the kernel that makes the site.
//
// A list is one vec4: (stage, scale, shift, more), with vec4 offsets of the vectors, NONE for a scale of ones or a shift of
// zeros; stage NONE for a site without stages. It stands in the kernel's args, where it costs nothing to read. `more` is
// NONE or, in kernels that are `stacked`, where several stages follow one another, a vec4 (count, –, –, –) in the stage table and as many like the first
// behind it. A stage that is off for this token is passed by, not multiplied by 0, so that its rows keep the bits of the
// plain model. Computed as a·(1 + s(scale − 1)) + s·shift: with scale 0 at strength 1 the result is exactly the shift.
import package::stages::table::{floats_at, stages, strength_of, NONE};

// `records`: where the row's records begin.
fn neuron_scale(list: vec4u, records: u32, n4: u32, v: vec4f) -> vec4f {
  if (list.x == NONE) {
    return v;
  }
  return scaled_by_all(list, strength_of(list.x, records), records, n4, v);
}

// `s` is the strength of the list's first stage, for callers that go through a row.
fn scaled_by_all(list: vec4u, s: f32, records: u32, n4: u32, v: vec4f) -> vec4f {
  var x = v;
  if (s != 0.0) {
    x = scaled(list.y, list.z, n4, s, x);
  }
  @if(stacked) if (list.w != NONE) {
    let count = stages[list.w].x;
    // By data: the stages at one site, which follow one another.
    for (var i = 1u; i <= count; i++) {
      let entry = stages[list.w + i];
      let strength = strength_of(entry.x, records);
      if (strength != 0.0) {
        x = scaled(entry.y, entry.z, n4, strength, x);
      }
    }
  }
  return x;
}

fn scaled(scale: u32, shift: u32, n4: u32, s: f32, x: vec4f) -> vec4f {
  var factor = vec4f(1.0);
  if (scale != NONE) {
    factor = fma(vec4f(s), floats_at(scale + n4) - 1.0, vec4f(1.0));
  }
  var offset = vec4f();
  if (shift != NONE) {
    offset = s * floats_at(shift + n4);
  }
  return fma(x, factor, offset);
}
