// Stages affine: h ← h + s·(b − g(h·Vᵀ − c)·U) on a row that one workgroup owns.
//
// Stages that follow one another at a row form a group and share one reduction over the unedited row: all coordinates
// y = V·h are summed at once, then the stages act in order on these few numbers. What an earlier stage adds to the row
// moves a later one's coordinates by known amounts, the host's products of every V row with every earlier U row and b;
// so the row itself is read once and written once, whatever the number of stages.
//
// The row is where its RowPlace says; thread `tid` owns columns tid, tid + THREADS, … and touches no others, so no barrier
// is needed for it. `affine` tells whether it changed the row, which then lies in `output`. Coordinates lie in workgroup
// memory and become coefficients in place; the threads of a quad, which have no barriers, each keep and change their own.
//
// A group in the stage table: `count` entries of three vec4s,
//   (stage, gate, reads r, adds)   gate 0 identity, 1 relu, 2 clamp; adds 0 nothing, 1 b, 2 alpha·b
//   (V, U, b, c)                   vec4 offsets; V and U are r rows of D4; c is packed
//   (lo, hi, products, –)          products: packed [r U rows, then b][reads of the group after this stage]
import package::norm::meet::{total, total4};
import package::norm::edited_row::{output, row_at, RowPlace};
@if(tracked) import package::norm::edited_row::sources;
import package::stages::table::{alpha_of, floats_at, scalar_at, stages, strength_of, NONE};
import constants::{D4, RANKS, THREADS};

@if(quads) var<workgroup> coordinates: array<f32, RANKS * THREADS>;
@else var<workgroup> coordinates: array<f32, RANKS>;

// Where a thread's coordinates begin, and which of them it works on: every WORKERS-th from `worker_of`.
fn coordinates_of(tid: u32) -> u32 {
  @if(quads) return tid * RANKS;
  @else return 0u;
}

@if(quads) const WORKERS = 1u;
@else const WORKERS = THREADS;

fn worker_of(tid: u32) -> u32 {
  @if(quads) return 0u;
  @else return tid;
}

// Coordinates that other threads changed can be read.
fn meet() {
  @if(!quads) workgroupBarrier();
}

struct Group {
  at: u32,    // first entry
  count: u32, // stages
  reads: u32, // coordinates of all of them
}

fn affine(group: Group, records: u32, place: RowPlace, track_at: u32, tid: u32) -> bool {
  let base = coordinates_of(tid);
  let worker = worker_of(tid);
  var read = 0u;
  // By data: the stages of a group, from the stage table, the same in all threads.
  for (var i = 0u; i < group.count; i++) {
    let reads = stages[group.at + 3u * i].z;
    read_coordinates(stages[group.at + 3u * i + 1u].x, reads, place, tid, base + read);
    read += reads;
  }
  meet();

  read = 0u;
  // By data: the stages of a group, from the stage table, the same in all threads.
  for (var i = 0u; i < group.count; i++) {
    let head = stages[group.at + 3u * i];
    let places = stages[group.at + 3u * i + 1u];
    let more = stages[group.at + 3u * i + 2u];
    let s = strength_of(head.x, records);
    // By data: strength, the same in all threads.
    if (s != 0.0) {
      // By data: a stage's rank.
      for (var k = worker; k < head.z; k += WORKERS) {
        let y = coordinates[base + read + k] - scalar_at(places.w, k);
        coordinates[base + read + k] = -s * gated(head.y, bitcast<f32>(more.x), bitcast<f32>(more.y), y);
      }
      meet();
      let later = group.reads - read - head.z;
      let added = s * share_of(head.w, alpha_of(head.x, records));
      // By data: ranks of the stages behind it.
      for (var j = worker; j < later; j += WORKERS) {
        var y = coordinates[base + read + head.z + j];
        // By data: a stage's rank.
        for (var k = 0u; k < head.z; k++) {
          y = fma(coordinates[base + read + k], scalar_at(more.z, k * later + j), y);
        }
        if (head.w != 0u) {
          y = fma(added, scalar_at(more.z, head.z * later + j), y);
        }
        coordinates[base + read + head.z + j] = y;
      }
      meet();
    }
    read += head.z;
  }

  read = 0u;
  var row = place;
  // By data: the stages of a group, from the stage table, the same in all threads.
  for (var i = 0u; i < group.count; i++) {
    let head = stages[group.at + 3u * i];
    let s = strength_of(head.x, records);
    if (s != 0.0) {
      let added = s * share_of(head.w, alpha_of(head.x, records));
      write_changes(stages[group.at + 3u * i + 1u], head, added, row, track_at, tid, base + read);
      row.moved = true;
    }
    read += head.z;
  }
  return row.moved;
}

// y_k = V_k · h for k < reads, four rows of V to a pass over the row.
fn read_coordinates(v: u32, reads: u32, row: RowPlace, tid: u32, to: u32) {
  var k = 0u;
  // By data: a stage's rank, the same in all threads.
  for (; k + 1u < reads; k += 4u) {
    let v0 = v + k * D4;
    let v1 = v + min(k + 1u, reads - 1u) * D4;
    let v2 = v + min(k + 2u, reads - 1u) * D4;
    let v3 = v + min(k + 3u, reads - 1u) * D4;
    var y = vec4f();
    for (var i = tid; i < D4; i += THREADS) {
      let x = row_at(row, i);
      y += vec4f(dot(floats_at(v0 + i), x), dot(floats_at(v1 + i), x), dot(floats_at(v2 + i), x), dot(floats_at(v3 + i), x));
    }
    let sums = total4(tid, y);
    if (worker_of(tid) == 0u) {
      // By data: a stage's rank; four at most.
      for (var lane = 0u; lane < min(4u, reads - k); lane++) {
        coordinates[to + k + lane] = sums[lane];
      }
    }
  }
  // One that is left, or the only one, as in Affine Concept Editing.
  // By data: a stage's rank, the same in all threads.
  if (k < reads) {
    var y = vec4f();
    for (var i = tid; i < D4; i += THREADS) {
      y = fma(floats_at(v + k * D4 + i), row_at(row, i), y);
    }
    let sum = total(tid, (y.x + y.y) + (y.z + y.w));
    if (worker_of(tid) == 0u) {
      coordinates[to + k] = sum;
    }
  }
}

fn gated(gate: u32, lo: f32, hi: f32, y: f32) -> f32 {
  if (gate == 1u) {
    return max(y, 0.0);
  }
  return select(y, y - min(max(y, lo), hi), gate == 2u);
}

fn share_of(adds: u32, alpha: f32) -> f32 {
  return select(select(0.0, 1.0, adds == 1u), alpha, adds == 2u);
}

// Adds one stage's change to the row, and to the record of what no source wrote where one is kept.
fn write_changes(places: vec4u, head: vec4u, added: f32, row: RowPlace, track_at: u32, tid: u32, first: u32) {
  for (var i = tid; i < D4; i += THREADS) {
    var change = vec4f();
    // By data: a stage's rank.
    for (var k = 0u; k < head.z; k++) {
      change = fma(vec4f(coordinates[first + k]), floats_at(places.y + k * D4 + i), change);
    }
    if (head.w != 0u) {
      change = fma(vec4f(added), floats_at(places.z + i), change);
    }
    output[row.output_at + i] = row_at(row, i) + change;
    @if(tracked) {
      if (track_at != NONE) {
        sources[track_at + i] += change;
      }
    }
  }
}
