// Attention with key and value tiles in workgroup memory: online softmax, for GPUs.
//
// z[row, head] = Σ_j softmax_j(scale · q[row, head]·K[j]) · V[j] over the keys j that the row sees.
//
// Parallel: a workgroup owns one kv head and 4·QUADS query vectors: TILE_ROWS rows times TILE_HEADS heads of that
// kv head's group, so that a group reads its keys and values once. Keys come in blocks of KEYS = 4·LANES, aligned
// at position 0. Invocation t works on the query vectors 4·(t / LANES) + 0…3 throughout:
//   scores   4 vectors × 4 keys (quad t % LANES), as vec4s over the vectors: two 16-byte reads for 16 FMAs;
//   values   4 vectors × 8 dimensions (vec4s t % LANES and t % LANES + LANES): three reads for 32 FMAs.
// Largest score and fading are therefore vec4s in registers, and only weights travel through workgroup memory.
//
// Workgroup memory, at most 16 KiB: `weights` [key][quad], 8 KiB, and `stage`, which holds in turn
//   queries [dimension][quad] and keys [dimension][key quad], CHUNK4 vec4s of the head at a time,
//   the key quads' maxima [lane][quad], and STAGE_KEYS rows of values [key][vec4 of the head].
// Neighbouring invocations read neighbouring or equal vec4s everywhere, so banks do not conflict. Trip counts and
// sizes are constants and invocation ids are used in place, which spares the clamps of WebGPU's bounds checks.
//
// A tile may hold rows of several sequences. It is walked in runs of equal sequence, bounded by the step uniform,
// hence in uniform control flow; rows outside the run are masked, which leaves their state exactly as it was. So
// a row's bits depend on its own context alone.
//
// Summation `attention_tiled<KEYS>`: a score is one chain over ascending dimensions; blocks of KEYS keys ascend, each
// fades what came before and adds its values in order; the weights' sum is LANES chains, added in order at the end.
import package::lib::step::step;
import package::attention::bindings::{args, edited_z, q, key4, value4, slots, z, GROUP, HEAD4, ROW4, SLOT4};
import package::attention::softmax::{first_visible, normalised, MASKED};
import constants::{QUADS, LANES, TILE_ROWS, TILE_HEADS, CHUNK4, STAGE_KEYS, STAGE_SIZE};
@if(tap_z) import package::lib::tap::tap;

const THREADS = QUADS * LANES; // 128
const KEYS = 4u * LANES;
const CHUNKS = (HEAD4 + CHUNK4 - 1u) / CHUNK4;
const HEAD_TILES = (GROUP + TILE_HEADS - 1u) / TILE_HEADS;
const KEYS_AT = 4u * CHUNK4 * QUADS; // keys follow the queries in `stage`
@if(wide) const VALUE4 = 2u * LANES; // vec4s of a value row in `stage`
@else const VALUE4 = LANES;

var<workgroup> weights: array<vec4f, KEYS * QUADS>;
var<workgroup> stage: array<vec4f, STAGE_SIZE>;

// Row of the step and query head that are `member` of a workgroup's vectors, both clamped to what exists.
fn row_of(member: u32, tile: u32) -> u32 {
  return min(tile * TILE_ROWS + member / TILE_HEADS, step.row_count - 1u);
}
fn head_of(member: u32, kv_head: u32, head_tile: u32) -> u32 {
  return kv_head * GROUP + min(head_tile * TILE_HEADS + member % TILE_HEADS, GROUP - 1u);
}
// Whether they were what exists, and not repeated.
fn exists(member: u32, tile: u32, head_tile: u32) -> bool {
  return member < TILE_ROWS * TILE_HEADS && tile * TILE_ROWS + member / TILE_HEADS < step.row_count &&
    head_tile * TILE_HEADS + member % TILE_HEADS < GROUP;
}

fn store(row: u32, head: u32, column: u32, attended: vec4f) {
  if (column < HEAD4) {
    // site: attn_z
    let v = edited_z(row, head * HEAD4 + column, attended);
    z[row * ROW4 + head * HEAD4 + column] = v;
    @if(tap_z) tap(args.tap_z, row, ROW4, head * HEAD4 + column, v);
  }
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let tile = group.x;
  let kv_head = group.y / HEAD_TILES;
  let head_tile = group.y % HEAD_TILES;
  let quad = t / LANES;
  let lane = t % LANES;
  let kv_at = kv_head * HEAD4;

  // The four query vectors of this invocation.
  let rows = vec4u(
    row_of(4u * quad, tile), row_of(4u * quad + 1u, tile), row_of(4u * quad + 2u, tile), row_of(4u * quad + 3u, tile),
  );
  let lasts = vec4u(
    step.rows[rows.x].position, step.rows[rows.y].position, step.rows[rows.z].position, step.rows[rows.w].position,
  );
  let firsts = vec4u(
    first_visible(lasts.x, args.window), first_visible(lasts.y, args.window),
    first_visible(lasts.z, args.window), first_visible(lasts.w, args.window),
  );
  var top = vec4f(MASKED);
  var total = vec4f();
  var a0 = vec4f(); var a1 = vec4f(); var a2 = vec4f(); var a3 = vec4f(); // outputs at vec4 `lane` of the head
  @if(wide) var b0 = vec4f(); @if(wide) var b1 = vec4f(); @if(wide) var b2 = vec4f(); @if(wide) var b3 = vec4f();

  let end = min((tile + 1u) * TILE_ROWS, step.row_count);
  var run = tile * TILE_ROWS;
  while (run < end) {
    let run_start = run;
    let sequence = step.rows[run].sequence;
    var first = 0xffffffffu;
    var last = 0u;
    while (run < end && step.rows[run].sequence == sequence) {
      let position = step.rows[run].position;
      first = min(first, first_visible(position, args.window));
      last = max(last, position);
      run++;
    }
    let table = sequence * args.slot_stride;
    let run_firsts = select(vec4u(0xffffffffu), firsts, (rows >= vec4u(run_start)) & (rows < vec4u(run)));

    for (var block = first / KEYS; block <= last / KEYS; block++) {
      let j = block * KEYS + 4u * lane;
      var s0 = vec4f(); var s1 = vec4f(); var s2 = vec4f(); var s3 = vec4f(); // s_i: key j + i, a lane per vector

      // scores
      for (var chunk = 0u; chunk < CHUNKS; chunk++) {
        // Loads four vectors (or keys) at one vec4 of the head, and stores them transposed.
        if (t < QUADS * CHUNK4) {
          let column = chunk * CHUNK4 + t / QUADS;
          let member = 4u * (t % QUADS);
          let at = min(column, HEAD4 - 1u);
          let q0 = q[row_of(member, tile) * ROW4 + head_of(member, kv_head, head_tile) * HEAD4 + at];
          let q1 = q[row_of(member + 1u, tile) * ROW4 + head_of(member + 1u, kv_head, head_tile) * HEAD4 + at];
          let q2 = q[row_of(member + 2u, tile) * ROW4 + head_of(member + 2u, kv_head, head_tile) * HEAD4 + at];
          let q3 = q[row_of(member + 3u, tile) * ROW4 + head_of(member + 3u, kv_head, head_tile) * HEAD4 + at];
          let inside = vec4<bool>(column < HEAD4);
          stage[4u * QUADS * (t / QUADS) + t % QUADS] = select(vec4f(), vec4f(q0.x, q1.x, q2.x, q3.x), inside);
          stage[4u * QUADS * (t / QUADS) + QUADS + t % QUADS] = select(vec4f(), vec4f(q0.y, q1.y, q2.y, q3.y), inside);
          stage[4u * QUADS * (t / QUADS) + 2u * QUADS + t % QUADS] =
            select(vec4f(), vec4f(q0.z, q1.z, q2.z, q3.z), inside);
          stage[4u * QUADS * (t / QUADS) + 3u * QUADS + t % QUADS] =
            select(vec4f(), vec4f(q0.w, q1.w, q2.w, q3.w), inside);
        }
        if (t < LANES * CHUNK4) {
          let column = chunk * CHUNK4 + t / LANES;
          let key = table + block * KEYS + 4u * lane;
          let at = kv_at + min(column, HEAD4 - 1u);
          let k0 = key4(slots[min(key, table + last)] * SLOT4 + at);
          let k1 = key4(slots[min(key + 1u, table + last)] * SLOT4 + at);
          let k2 = key4(slots[min(key + 2u, table + last)] * SLOT4 + at);
          let k3 = key4(slots[min(key + 3u, table + last)] * SLOT4 + at);
          let inside = vec4<bool>(column < HEAD4);
          stage[KEYS_AT + 4u * LANES * (t / LANES) + t % LANES] =
            select(vec4f(), vec4f(k0.x, k1.x, k2.x, k3.x), inside);
          stage[KEYS_AT + 4u * LANES * (t / LANES) + LANES + t % LANES] =
            select(vec4f(), vec4f(k0.y, k1.y, k2.y, k3.y), inside);
          stage[KEYS_AT + 4u * LANES * (t / LANES) + 2u * LANES + t % LANES] =
            select(vec4f(), vec4f(k0.z, k1.z, k2.z, k3.z), inside);
          stage[KEYS_AT + 4u * LANES * (t / LANES) + 3u * LANES + t % LANES] =
            select(vec4f(), vec4f(k0.w, k1.w, k2.w, k3.w), inside);
        }
        workgroupBarrier();
        for (var i = 0u; i < 4u * CHUNK4; i++) {
          let vectors = stage[i * QUADS + t / LANES];
          let keys = stage[KEYS_AT + i * LANES + t % LANES];
          s0 = fma(vectors, vec4f(keys.x), s0);
          s1 = fma(vectors, vec4f(keys.y), s1);
          s2 = fma(vectors, vec4f(keys.z), s2);
          s3 = fma(vectors, vec4f(keys.w), s3);
        }
        workgroupBarrier();
      }

      let seen0 = (vec4u(j) >= run_firsts) & (vec4u(j) <= lasts);
      let seen1 = (vec4u(j + 1u) >= run_firsts) & (vec4u(j + 1u) <= lasts);
      let seen2 = (vec4u(j + 2u) >= run_firsts) & (vec4u(j + 2u) <= lasts);
      let seen3 = (vec4u(j + 3u) >= run_firsts) & (vec4u(j + 3u) <= lasts);
      s0 = select(vec4f(MASKED), s0 * args.scale, seen0);
      s1 = select(vec4f(MASKED), s1 * args.scale, seen1);
      s2 = select(vec4f(MASKED), s2 * args.scale, seen2);
      s3 = select(vec4f(MASKED), s3 * args.scale, seen3);

      // weights
      stage[(t % LANES) * QUADS + t / LANES] = max(max(s0, s1), max(s2, s3));
      workgroupBarrier();
      var new_top = top;
      for (var i = 0u; i < LANES; i++) { new_top = max(new_top, stage[i * QUADS + t / LANES]); }
      let fade = select(exp(top - new_top), vec4f(1.0), top == new_top);
      top = new_top;
      let w0 = select(vec4f(), exp(s0 - top), seen0);
      let w1 = select(vec4f(), exp(s1 - top), seen1);
      let w2 = select(vec4f(), exp(s2 - top), seen2);
      let w3 = select(vec4f(), exp(s3 - top), seen3);
      weights[4u * QUADS * (t % LANES) + t / LANES] = w0;
      weights[4u * QUADS * (t % LANES) + QUADS + t / LANES] = w1;
      weights[4u * QUADS * (t % LANES) + 2u * QUADS + t / LANES] = w2;
      weights[4u * QUADS * (t % LANES) + 3u * QUADS + t / LANES] = w3;
      total = fma(total, fade, (w0 + w1) + (w2 + w3));
      a0 *= fade.x; a1 *= fade.y; a2 *= fade.z; a3 *= fade.w;
      @if(wide) { b0 *= fade.x; b1 *= fade.y; b2 *= fade.z; b3 *= fade.w; }
      workgroupBarrier();

      // values
      for (var part = 0u; part < KEYS / STAGE_KEYS; part++) {
        // Columns beyond the head repeat its last one; what they yield is not stored.
        for (var i = 0u; i < STAGE_KEYS * VALUE4 / THREADS; i++) {
          let key = table + min(block * KEYS + part * STAGE_KEYS + (t + i * THREADS) / VALUE4, last);
          stage[t + i * THREADS] = value4(slots[key] * SLOT4 + kv_at + min((t + i * THREADS) % VALUE4, HEAD4 - 1u));
        }
        workgroupBarrier();
        for (var i = 0u; i < STAGE_KEYS; i++) {
          let w = weights[(part * STAGE_KEYS + i) * QUADS + t / LANES];
          let va = stage[i * VALUE4 + t % LANES];
          a0 = fma(vec4f(w.x), va, a0);
          a1 = fma(vec4f(w.y), va, a1);
          a2 = fma(vec4f(w.z), va, a2);
          a3 = fma(vec4f(w.w), va, a3);
          @if(wide) {
            let vb = stage[i * VALUE4 + LANES + t % LANES];
            b0 = fma(vec4f(w.x), vb, b0);
            b1 = fma(vec4f(w.y), vb, b1);
            b2 = fma(vec4f(w.z), vb, b2);
            b3 = fma(vec4f(w.w), vb, b3);
          }
        }
        workgroupBarrier();
      }
    }
  }

  // sum of the weights
  stage[(t % LANES) * QUADS + t / LANES] = total;
  workgroupBarrier();
  var sum = vec4f();
  for (var i = 0u; i < LANES; i++) { sum += stage[i * QUADS + t / LANES]; }

  // outputs
  let heads = vec4u(
    head_of(4u * quad, kv_head, head_tile), head_of(4u * quad + 1u, kv_head, head_tile),
    head_of(4u * quad + 2u, kv_head, head_tile), head_of(4u * quad + 3u, kv_head, head_tile),
  );
  if (exists(4u * quad, tile, head_tile)) {
    store(rows.x, heads.x, lane, normalised(a0, sum.x));
    @if(wide) store(rows.x, heads.x, lane + LANES, normalised(b0, sum.x));
  }
  if (exists(4u * quad + 1u, tile, head_tile)) {
    store(rows.y, heads.y, lane, normalised(a1, sum.y));
    @if(wide) store(rows.y, heads.y, lane + LANES, normalised(b1, sum.y));
  }
  if (exists(4u * quad + 2u, tile, head_tile)) {
    store(rows.z, heads.z, lane, normalised(a2, sum.z));
    @if(wide) store(rows.z, heads.z, lane + LANES, normalised(b2, sum.z));
  }
  if (exists(4u * quad + 3u, tile, head_tile)) {
    store(rows.w, heads.w, lane, normalised(a3, sum.w));
    @if(wide) store(rows.w, heads.w, lane + LANES, normalised(b3, sum.w));
  }
}
