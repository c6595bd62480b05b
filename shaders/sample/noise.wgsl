// Random numbers without a state: a hash of seed, position and token id. The same seed draws the same text again,
// alone or in a batch, whatever was computed before.

// pcg4d of Jarzynski and Olano, "Hash Functions for GPU Rendering", JCGT 9(3), 2020: four words to four words.
fn pcg4d(input: vec4u) -> vec4u {
  var v = input * 1664525u + 1013904223u;
  v.x += v.y * v.w;
  v.y += v.z * v.x;
  v.z += v.x * v.y;
  v.w += v.y * v.z;
  v ^= v >> vec4u(16u);
  v.x += v.y * v.w;
  v.y += v.z * v.x;
  v.z += v.x * v.y;
  v.w += v.y * v.z;
  return v;
}

// Gumbel noise -log(e) with e = -log(1 - u), u = (h + 1/2) / 2^32, for tokens 4*n4 .. 4*n4 + 3 at a position.
// A draw is won by small e, so small u must keep their digits: there 1 - u would round them away, and a series of
// log(1 - u) is summed instead (error below 2e-7 relative for u < 1/16). Near u = 1 the digits are in ~h.
fn gumbel(seed: vec2u, position: u32, n4: u32) -> vec4f {
  let h = pcg4d(vec4u(seed, position, n4));
  let u = (vec4f(h) + 0.5) * 0x1p-32f;
  let series = u * (1.0 + u * (1.0 / 2.0 + u * (1.0 / 3.0 + u * (1.0 / 4.0 + u * (1.0 / 5.0)))));
  let e = select(-log((vec4f(~h) + 0.5) * 0x1p-32f), series, u < vec4f(1.0 / 16.0));
  return -log(e);
}
