// Epilogue qkv: the outputs of one matrix [W_q; W_k; W_v] go to three places. Outputs below Q = H·dh are queries and
// go to the activation q; the next KV = G·dh are keys and the last KV values, which go to the row's slot of the cache.
//
// With RoPE, W_q and W_k were permuted at load so that the pair (i, i + dh/2) of a head lies at (2i, 2i+1): a
// rotation then needs nothing but the vec4 at hand. Table `rope` [position][dh/2] holds (cos, sin), made on the host
// because devices differ in cos. q·k does not change when both are permuted alike; attn_q and attn_k are captured in
// the permuted order and the host puts them back.
//
// `vec4_heads`: dh is a multiple of 4, so a vec4 lies in one head. Otherwise it may straddle heads and parts, and is
// stored by components; what is written, the capture too, is then bound as floats, because storing a component of a vec4
// may write all of it, and another thread may have the rest. The padding of a cache row is never written and stays 0 as
// WebGPU made it; the padding of a q row is written as 0, since q shares its buffer with other activations.
//
// `f16_cache`: keys and values are kept as float16, which only heads of whole vec4s are.
import package::lib::step::step;
import package::lib::tap::{tap, NOT_CAPTURED};
import package::linear::operands::args;
@if(!any_shape) import constants::{DH, Q, KV};

// dh
fn head_dim() -> u32 {
  @if(any_shape) return args.head_dim;
  @else return DH;
}

// The width of a row of q.
fn q_width() -> u32 {
  @if(any_shape) return args.q_width;
  @else return Q;
}

// The width of a row of the K or V cache.
fn kv_width() -> u32 {
  @if(any_shape) return args.kv_width;
  @else return KV;
}

@if(rope) @group(1) @binding(5) var<storage, read> rope: array<vec2f>; // [position][DH / 2]

@if(vec4_heads) @group(1) @binding(4) var<storage, read_write> q: array<vec4f>;
@if(vec4_heads && !f16_cache) @group(1) @binding(6) var<storage, read_write> k_cache: array<vec4f>;
@if(vec4_heads && !f16_cache) @group(1) @binding(7) var<storage, read_write> v_cache: array<vec4f>;
@if(f16_cache) @group(1) @binding(6) var<storage, read_write> k_cache: array<vec2u>;
@if(f16_cache) @group(1) @binding(7) var<storage, read_write> v_cache: array<vec2u>;
@if(!vec4_heads) @group(1) @binding(4) var<storage, read_write> q: array<f32>;
@if(!vec4_heads) @group(1) @binding(6) var<storage, read_write> k_cache: array<f32>;
@if(!vec4_heads) @group(1) @binding(7) var<storage, read_write> v_cache: array<f32>;
@if(!vec4_heads) @group(1) @binding(8) var<storage, read_write> capture: array<f32>; // tap's capture

// The pair of values at outputs n, n+1, rotated by its angle at the row's position; n is even and below Q + KV.
@if(rope) fn rotated(row: u32, n: u32, x: vec2f) -> vec2f {
  let turn = rope[step.rows[row].position * (head_dim() / 2u) + (n % head_dim()) / 2u];
  return vec2f(fma(x.x, turn.x, -(x.y * turn.y)), fma(x.x, turn.y, x.y * turn.x));
}

@if(vec4_heads) fn finish_qkv(row: u32, n4: u32, v: vec4f) {
  let q4 = q_width() / 4u;
  let kv4 = kv_width() / 4u;
  if (n4 < q4) {
    // site: attn_q
    @if(tap_q) tap(args.tap_q, row, q4, n4, v);
    q[row * q4 + n4] = positioned(row, n4, v);
  } else if (n4 < q4 + kv4) {
    // site: attn_k
    @if(tap_k) tap(args.tap_k, row, kv4, n4 - q4, v);
    k_cache[step.rows[row].slot * kv4 + (n4 - q4)] = cached(positioned(row, n4, v));
  } else if (n4 < q4 + 2u * kv4) {
    // site: attn_v
    @if(tap_v) tap(args.tap_v, row, kv4, n4 - q4 - kv4, v);
    v_cache[step.rows[row].slot * kv4 + (n4 - q4 - kv4)] = cached(v);
  }
}

@if(vec4_heads && !f16_cache) fn cached(v: vec4f) -> vec4f {
  return v;
}

// What float16 does not hold becomes NaN, which is reported, rather than a number that is not meant.
@if(f16_cache) fn cached(v: vec4f) -> vec2u {
  let halves = vec2u(pack2x16float(v.xy), pack2x16float(v.zw));
  return select(vec2u(0x7e007e00u), halves, all(abs(v) <= vec4f(65504.0)));
}

@if(vec4_heads) fn positioned(row: u32, n4: u32, v: vec4f) -> vec4f {
  @if(rope) return vec4f(rotated(row, 4u * n4, v.xy), rotated(row, 4u * n4 + 2u, v.zw));
  @else return v;
}

@if(!vec4_heads) fn finish_qkv(row: u32, n4: u32, v: vec4f) {
  let n = 4u * n4;
  var turned = v;
  @if(rope) {
    // dh is even, so both halves of a pair lie in one head.
    let end = q_width() + kv_width();
    if (n < end) { turned = vec4f(rotated(row, n, v.xy), turned.zw); }
    if (n + 2u < end) { turned = vec4f(turned.xy, rotated(row, n + 2u, v.zw)); }
  }
  for (var i = 0u; i < 4u; i++) {
    place(row, n + i, v[i], turned[i]);
  }
}

// Stores output n: `plain` is the projection, `turned` the same after RoPE.
@if(!vec4_heads) fn place(row: u32, n: u32, plain: f32, turned: f32) {
  let q_end = q_width();
  let width = kv_width();
  let q_stored = (q_end + 3u) / 4u * 4u;
  let kv_stored = (width + 3u) / 4u * 4u;
  if (n < q_end) {
    // site: attn_q
    @if(tap_q) tap_component(args.tap_q, row, q_end, n, plain);
    q[row * q_stored + n] = turned;
    if (n == q_end - 1u) {
      for (var pad = q_end; pad < q_stored; pad++) {
        q[row * q_stored + pad] = 0.0;
      }
    }
  } else if (n < q_end + width) {
    // site: attn_k
    @if(tap_k) tap_component(args.tap_k, row, width, n - q_end, plain);
    k_cache[step.rows[row].slot * kv_stored + (n - q_end)] = turned;
  } else if (n < q_end + 2u * width) {
    // site: attn_v
    @if(tap_v) tap_component(args.tap_v, row, width, n - q_end - width, plain);
    v_cache[step.rows[row].slot * kv_stored + (n - q_end - width)] = plain;
  }
}

// Captures output n of `width`, and with the last one the padding of its row.
@if(!vec4_heads) fn tap_component(offset: u32, row: u32, width: u32, n: u32, v: f32) {
  if (offset == NOT_CAPTURED) { return; }
  let row_at = (offset + row * ((width + 3u) / 4u)) * 4u;
  capture[row_at + n] = v;
  if (n == width - 1u) {
    for (var pad = width; pad < (width + 3u) / 4u * 4u; pad++) {
      capture[row_at + pad] = 0.0;
    }
  }
}
