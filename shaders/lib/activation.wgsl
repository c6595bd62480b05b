// The activation functions of the MLP, on four values at once. One of them is compiled in.
//
// All are written so that nothing overflows for any finite argument: WGSL does not promise what infinities do, and
// some devices' tanh returns NaN far out. A NaN that comes in goes out.

// 1 / (1 + e^-x). The exponent stops at 80, where e^80 is still finite and the result is 1.8e-35; far beyond, where x times
// that would be a number again, the result is 0.
fn sigmoid(x: vec4f) -> vec4f {
  return select(1.0 / (1.0 + exp(min(-x, vec4f(80.0)))), vec4f(), x < vec4f(-200.0));
}

@if(silu) fn act(x: vec4f) -> vec4f {
  return x * sigmoid(x);
}

@if(relu) fn act(x: vec4f) -> vec4f {
  return select(x, vec4f(), x < vec4f()); // not max(), which may drop a NaN
}

// x · sigmoid(1.702 x), the "quick" approximation of gelu.
@if(gelu_quick) fn act(x: vec4f) -> vec4f {
  return x * sigmoid(1.702 * x);
}

// GPT-2's gelu, x/2 · (1 + tanh(u)) with u = √(2/π) (x + 0.044715 x³), as the equal x · sigmoid(2u), which keeps its
// relative accuracy for negative x. Beyond ±20 the sigmoid is 0 or 1 in f32, so x may be held there.
@if(gelu_new) fn act(x: vec4f) -> vec4f {
  let t = clamp(x, vec4f(-20.0), vec4f(20.0));
  let u2 = 1.5957691216057308 * fma(0.044715 * t, t * t, t);
  return x * sigmoid(u2);
}

// x · Φ(x) = x/2 · (1 + erf(x/√2)).
@if(gelu) fn act(x: vec4f) -> vec4f {
  return x * normal_cdf(x);
}

// Φ, the normal distribution. WGSL has no erf: Abramowitz and Stegun 7.1.26 gives erfc(z) for z ≥ 0 as a polynomial in
// 1/(1 + pz) times e^(-z²), |error| ≤ 1.5e-7. For negative x the factor 1 + erf is erfc(|z|) itself, so nothing cancels.
@if(gelu) fn normal_cdf(x: vec4f) -> vec4f {
  let z = min(abs(x) * 0.7071067811865476, vec4f(9.0));
  let t = 1.0 / fma(vec4f(0.3275911), z, vec4f(1.0));
  var p = fma(vec4f(1.061405429), t, vec4f(-1.453152027));
  p = fma(p, t, vec4f(1.421413741));
  p = fma(p, t, vec4f(-0.284496736));
  p = fma(p, t, vec4f(0.254829592));
  let e = exp(-z * z);
  let half = 0.5 * select(fma(-(p * t), e, vec4f(2.0)), p * t * e, x < vec4f());
  // z stops at 9: far beyond, x times what is left there would be a number again.
  return select(half, vec4f(), x < vec4f(-200.0));
}

// The derivatives act'(x), for gradients. 1 - sigmoid(x) is written sigmoid(-x), which does not cancel.

@if(silu) fn slope(x: vec4f) -> vec4f {
  let s = sigmoid(x);
  return fma(x * s, sigmoid(-x), s);
}

// 0 at 0, as PyTorch has it.
@if(relu) fn slope(x: vec4f) -> vec4f {
  return select(vec4f(), vec4f(1.0), x > vec4f());
}

@if(gelu_quick) fn slope(x: vec4f) -> vec4f {
  let s = sigmoid(1.702 * x);
  return fma(1.702 * x * s, sigmoid(-1.702 * x), s);
}

@if(gelu_new) fn slope(x: vec4f) -> vec4f {
  let t = clamp(x, vec4f(-20.0), vec4f(20.0));
  let u2 = 1.5957691216057308 * fma(0.044715 * t, t * t, t);
  let steep = 1.5957691216057308 * fma(0.134145 * t, t, vec4f(1.0));
  let s = sigmoid(u2);
  return fma(t * steep * s, sigmoid(-u2), s);
}

// Φ(x) + x · φ(x).
@if(gelu) fn slope(x: vec4f) -> vec4f {
  let t = clamp(x, vec4f(-13.0), vec4f(13.0));
  return fma(t * 0.3989422804014327, exp(-0.5 * t * t), normal_cdf(x));
}
