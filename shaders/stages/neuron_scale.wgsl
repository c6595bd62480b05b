// Stage neuron_scale: a ← a + s·((scale − 1)⊙a + shift), as an epilogue of the kernel that makes the site.
//
// A list in the stage table is a vec4 (count, …) and then `count` entries (stage, scale, shift, –): vec4 offsets of the
// vectors, NONE for a scale of ones or a shift of zeros. Stages act in order. One that is off for this token is passed
// by, not multiplied by 0, so that its rows keep the bits of the plain model. Computed as a·(1 + s(scale − 1)) + s·shift:
// with scale 0 at strength 1 the factor is exactly 0 and the result exactly the shift.
import package::stages::table::{floats_at, stages, strength_of, Token, NONE};

fn neuron_scale(list: u32, stride: u32, token: Token, n4: u32, v: vec4f) -> vec4f {
  var x = v;
  let count = stages[list].x;
  for (var i = 1u; i <= count; i++) {
    let entry = stages[list + i];
    let s = strength_of(entry.x, stride, token);
    if (s != 0.0) {
      x = scaled(entry.y, entry.z, n4, s, x);
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
