// The bindings of the attention kernels that read and write vec4s (HEAD_DIM % 4 == 0), and their strides.
//
// Layouts: q and z are packed rows of HEADS·HEAD_DIM floats; a cache row (slot) holds KV_HEADS·HEAD_DIM floats,
// rounded up to vec4s, or as many float16 (`f16_cache`); slots[sequence · slot_stride + j] is the slot of key position j. Head h reads kv head
// h / GROUP. The step's own keys and values are in the cache already.
import constants::{HEADS, KV_HEADS, HEAD_DIM};
@if(staged) import package::stages::neuron_scale::neuron_scale;

// `merges`: the kernel reads no keys (attention/merge.wgsl).
struct Args {
  @if(!merges) scale: f32,       // multiplies q·k
  @if(!merges) window: u32,      // keys a row sees at most, itself included; 0 = all
  @if(!merges) slot_stride: u32, // entries of `slots` per sequence
  @if(staged) record_stride: u32,
  @if(staged) list_z: vec4u, // stages at attn_z (stages/neuron_scale.wgsl)
  @if(tap_z) tap_z: u32,
}

@group(1) @binding(0) var<uniform> args: Args;
@group(1) @binding(1) var<storage, read> q: array<vec4f>;
@if(!f16_cache) @group(1) @binding(2) var<storage, read> k_cache: array<vec4f>;
@if(!f16_cache) @group(1) @binding(3) var<storage, read> v_cache: array<vec4f>;
@if(f16_cache) @group(1) @binding(2) var<storage, read> k_cache: array<vec2u>;
@if(f16_cache) @group(1) @binding(3) var<storage, read> v_cache: array<vec2u>;
@group(1) @binding(4) var<storage, read> slots: array<u32>;
@group(1) @binding(5) var<storage, read_write> z: array<vec4f>;

const GROUP = HEADS / KV_HEADS;
const HEAD4 = HEAD_DIM / 4u;    // vec4s per head
const ROW4 = HEADS * HEAD4;     // vec4s per row of q and z
const SLOT4 = KV_HEADS * HEAD4; // vec4s per cache row

// Vec4 `n4` of a row of z after the stages at attn_z.
fn edited_z(row: u32, n4: u32, v: vec4f) -> vec4f {
  @if(staged) return neuron_scale(args.list_z, row * args.record_stride, n4, v);
  @else return v;
}

// Vec4 `at` of the cached keys and of the cached values.
fn key4(at: u32) -> vec4f {
  @if(f16_cache) return vec4f(unpack2x16float(k_cache[at].x), unpack2x16float(k_cache[at].y));
  @else return k_cache[at];
}
fn value4(at: u32) -> vec4f {
  @if(f16_cache) return vec4f(unpack2x16float(v_cache[at].x), unpack2x16float(v_cache[at].y));
  @else return v_cache[at];
}
