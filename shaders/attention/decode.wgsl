// Attention of single rows over long caches, for decode on GPUs.
//
// z[row, head] = Σ_j softmax_j(scale · q[row, head]·K[j]) · V[j] over the keys j that the row sees.
//
// Parallel: a workgroup of 128 owns one row and up to four heads of one kv head's group, which read each key and
// value once. Keys come in blocks of 128, aligned at position 0. In a block
//   scores   four invocations share a key and read neighbouring vec4s of it (64 contiguous bytes), 32 keys at a
//            time; their parts meet in `parts`, where invocation t adds up key t for every head;
//   weights  one vec4 per key, a lane per head, in `shared_keys`; the block's maximum goes by way of eight `maxima`;
//   values   WIDTH neighbouring invocations read a value row, 128 / WIDTH keys at a time, eight reads in flight.
// Keys beyond the last are read as the last and weigh 0. A part's stride of 136 keeps banks apart.
//
// `split`: for long caches, whose rows and kv heads are too few workgroups to fill a GPU. The blocks that a row sees are
// dealt to PARTS workgroups (z), neighbours together; each leaves its outputs, not yet divided, with its largest score and
// its weights' sum in `parts`, and attention/merge.wgsl joins them. A part without blocks leaves a sum of 0.
//
// Summation `attention_decode<WIDTH>`: a score is sixteen chains (four lanes of four vec4 components), blocks of 128
// ascend, and values and weights are added in 128 / WIDTH and 128 chains over the keys, joined in order at the end.
// `attention_split<WIDTH>`: the same in each of the parts.
import package::lib::step::step;
import package::attention::bindings::{args, q, key4, value4, slots, GROUP, HEAD4, ROW4, SLOT4};
import package::attention::softmax::{first_visible, MASKED};
import constants::{WIDTH, TILE_HEADS};
@if(split) import constants::{HEADS, PARTS};
@if(!split) import package::attention::bindings::{edited_z, z};
@if(!split) import package::attention::softmax::normalised;
@if(tap_z) import package::lib::tap::tap;

const KEYS = 128u;
const STRIDE = 136u;
const HEAD_TILES = (GROUP + TILE_HEADS - 1u) / TILE_HEADS;
const TRIPS = (HEAD4 + 3u) / 4u;
const SWEEPS = select(1u, 2u, HEAD4 <= 16u); // keys that an invocation reads at once
const RUNNERS = 128u / WIDTH; // invocations that share a column of the values
const BATCH = min(8u, WIDTH); // values that one of them reads at once

var<workgroup> parts: array<f32, 4u * TILE_HEADS * STRIDE>; // [head][lane][key]
var<workgroup> shared_keys: array<vec4f, 128>;
var<workgroup> maxima: array<vec4f, 8>;

// [row][head][part][HEAD4 outputs, then (largest score, weights' sum)]
@if(split) @group(1) @binding(5) var<storage, read_write> parts_of_rows: array<vec4f>;

@if(split) fn store_part(row: u32, head: u32, part: u32, at: u32, v: vec4f) {
  parts_of_rows[((row * HEADS + head) * PARTS + part) * (HEAD4 + 1u) + at] = v;
}

@if(!split) fn store(row: u32, head: u32, column: u32, attended: vec4f) {
  // site: attn_z
  let v = edited_z(row, head * HEAD4 + column, attended);
  z[row * ROW4 + head * HEAD4 + column] = v;
  @if(tap_z) tap(args.tap_z, row, ROW4, head * HEAD4 + column, v);
}

@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let row = group.x;
  let kv_at = (group.y / HEAD_TILES) * HEAD4;
  let member = (group.y % HEAD_TILES) * TILE_HEADS; // first head of this tile within its group
  let head = (group.y / HEAD_TILES) * GROUP + member;
  let last = step.rows[row].position;
  let first = first_visible(last, args.window);
  let table = step.rows[row].sequence * args.slot_stride;
  // A last tile that is not full repeats the group's last head, which is not stored.
  let q0 = row * ROW4 + head * HEAD4;
  @if(heads2) let q1 = row * ROW4 + (head + min(1u, GROUP - 1u - member)) * HEAD4;
  @if(heads3) let q2 = row * ROW4 + (head + min(2u, GROUP - 1u - member)) * HEAD4;
  @if(heads4) let q3 = row * ROW4 + (head + min(3u, GROUP - 1u - member)) * HEAD4;

  var top = vec4f(MASKED); // a lane per head, here and below
  var total = vec4f();     // of the keys that this invocation weighed
  var o0 = vec4f();        // of the keys that this invocation gathered
  @if(heads2) var o1 = vec4f();
  @if(heads3) var o2 = vec4f();
  @if(heads4) var o3 = vec4f();

  @if(split) let each = (last / KEYS - first / KEYS + PARTS) / PARTS;
  @if(split) let first_block = first / KEYS + group.z * each;
  @if(split) let end_block = min(first_block + each, last / KEYS + 1u);
  @if(!split) let first_block = first / KEYS;
  @if(!split) let end_block = last / KEYS + 1u;
  for (var block = first_block; block < end_block; block++) {
    let start = block * KEYS;
    let end = min(start + KEYS, last + 1u);

    // scores: parts of q·k
    for (var key = start; key < end; key += SWEEPS * 32u) {
      for (var sweep = 0u; sweep < SWEEPS; sweep++) {
        let at = key + sweep * 32u + t / 4u;
        let k_at = slots[table + min(at, last)] * SLOT4 + kv_at;
        var s0 = vec4f();
        @if(heads2) var s1 = vec4f();
        @if(heads3) var s2 = vec4f();
        @if(heads4) var s3 = vec4f();
        for (var i = 0u; i < TRIPS; i++) {
          let column = min(i * 4u + t % 4u, HEAD4 - 1u);
          let k = select(vec4f(), key4(k_at + column), i * 4u + t % 4u < HEAD4);
          s0 = fma(q[q0 + column], k, s0);
          @if(heads2) s1 = fma(q[q1 + column], k, s1);
          @if(heads3) s2 = fma(q[q2 + column], k, s2);
          @if(heads4) s3 = fma(q[q3 + column], k, s3);
        }
        parts[(t % 4u) * STRIDE + at - start] = (s0.x + s0.y) + (s0.z + s0.w);
        @if(heads2) parts[(4u + t % 4u) * STRIDE + at - start] = (s1.x + s1.y) + (s1.z + s1.w);
        @if(heads3) parts[(8u + t % 4u) * STRIDE + at - start] = (s2.x + s2.y) + (s2.z + s2.w);
        @if(heads4) parts[(12u + t % 4u) * STRIDE + at - start] = (s3.x + s3.y) + (s3.z + s3.w);
      }
    }
    workgroupBarrier();

    // scores: their sums, scaled and masked
    let j = start + t;
    let seen = j >= first && j <= last;
    var s = vec4f();
    s.x = (parts[t] + parts[STRIDE + t]) + (parts[2u * STRIDE + t] + parts[3u * STRIDE + t]);
    @if(heads2) s.y = (parts[4u * STRIDE + t] + parts[5u * STRIDE + t]) +
      (parts[6u * STRIDE + t] + parts[7u * STRIDE + t]);
    @if(heads3) s.z = (parts[8u * STRIDE + t] + parts[9u * STRIDE + t]) +
      (parts[10u * STRIDE + t] + parts[11u * STRIDE + t]);
    @if(heads4) s.w = (parts[12u * STRIDE + t] + parts[13u * STRIDE + t]) +
      (parts[14u * STRIDE + t] + parts[15u * STRIDE + t]);
    s = select(vec4f(MASKED), s * args.scale, vec4<bool>(seen));

    // weights: the block's maxima, and what came before fades
    shared_keys[t] = s;
    workgroupBarrier();
    if (t < 8u) {
      var most = vec4f(MASKED);
      for (var i = 0u; i < 16u; i++) { most = max(most, shared_keys[i * 8u + t]); }
      maxima[t] = most;
    }
    workgroupBarrier();
    var new_top = top;
    for (var i = 0u; i < 8u; i++) { new_top = max(new_top, maxima[i]); }
    let fade = exp(top - new_top);
    top = new_top;
    let w = select(vec4f(), exp(s - top), vec4<bool>(seen));
    total = fma(total, fade, w);
    shared_keys[t] = w;
    workgroupBarrier();

    // values
    o0 *= fade.x;
    @if(heads2) o1 *= fade.y;
    @if(heads3) o2 *= fade.z;
    @if(heads4) o3 *= fade.w;
    for (var key = start; key < end; key += BATCH * RUNNERS) {
      for (var i = 0u; i < BATCH; i++) {
        let at = key + i * RUNNERS + t / WIDTH;
        let v = value4(slots[table + min(at, last)] * SLOT4 + kv_at + min(t % WIDTH, HEAD4 - 1u));
        let weight = shared_keys[at - start];
        o0 = fma(vec4f(weight.x), v, o0);
        @if(heads2) o1 = fma(vec4f(weight.y), v, o1);
        @if(heads3) o2 = fma(vec4f(weight.z), v, o2);
        @if(heads4) o3 = fma(vec4f(weight.w), v, o3);
      }
    }
    workgroupBarrier();
  }

  // sum of the weights, joined by eight as the maxima were
  shared_keys[t] = total;
  workgroupBarrier();
  if (t < 8u) {
    var part = vec4f();
    for (var i = 0u; i < 16u; i++) { part += shared_keys[i * 8u + t]; }
    maxima[t] = part;
  }
  workgroupBarrier();
  var sum = vec4f();
  for (var i = 0u; i < 8u; i++) { sum += maxima[i]; }

  // outputs, joined from the 128 / WIDTH invocations of a column, one head after the other
  for (var h = 0u; h < TILE_HEADS; h++) {
    var mine = o0;
    @if(heads2) mine = select(mine, o1, h == 1u);
    @if(heads3) mine = select(mine, o2, h == 2u);
    @if(heads4) mine = select(mine, o3, h == 3u);
    workgroupBarrier();
    shared_keys[t] = mine;
    workgroupBarrier();
    if (t < HEAD4 && member + h < GROUP) {
      var v = vec4f();
      for (var i = 0u; i < RUNNERS; i++) { v += shared_keys[i * WIDTH + t]; }
      @if(split) store_part(row, head + h, group.z, t, v);
      @else store(row, head + h, t, normalised(v, sum[h]));
    }
    @if(split) {
      if (t == HEAD4 && member + h < GROUP) { store_part(row, head + h, group.z, HEAD4, vec4f(top[h], sum[h], 0.0, 0.0)); }
    }
  }
}
