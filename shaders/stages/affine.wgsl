// Affine stages, h ← h + s·(b − g(h·Vᵀ − c)·U), on a row that one workgroup owns.
//
// Stages that follow one another at a row form a group and share one reduction over the unedited row: all coordinates
// y = V·h are summed at once, then the stages act in order on these few numbers. What an earlier stage adds to the row
// moves a later stage's coordinates by known amounts, the host's products of every later V row with every earlier U row
// and b. So the row is read once and written once, whatever the number of stages.
//
// Bindings: those of norm/edited_row.wgsl and 9, the stage table, which holds an `Entry` per stage of the group.
// RANKS: the most coordinates that a group reads; `reads`: any at all, `many`: more than one. Software devices execute all
// code of a loop, whether or not it has a turn to take, so a kernel has none that its plan cannot need.
//
// Parallel: the row is where its RowPlace says; thread `tid` owns columns tid, tid + THREADS, … and touches no others, so
// no barrier is needed for it. The coordinates lie in workgroup memory and become coefficients in place; the threads of a
// quad, which have no barriers, each change a private copy.
@if(reads) import package::norm::meet::total;
@if(many) import package::norm::meet::total4;
import package::norm::edited_row::{output, row_at, RowPlace};
@if(tracked) import package::norm::edited_row::sources;
import package::stages::table::{factor_of, floats_at, stages, strength_of, NONE};
@if(reads) import package::stages::table::scalar_at;
import constants::{D4, THREADS};
@if(reads) import constants::RANKS;

// A stage of a group. src/compile/stage-layout.ts lists the same fields, and the lint compares the two.
struct Entry {
  stage: u32,    // its record
  gate: u32,     // one of GATE_…
  reads: u32,    // r: coordinates that it reads
  adds: u32,     // one of ADDS_…
  v: u32,        // vec4 offset of V, r rows of D4
  u: u32,        // of U, r rows of D4
  b: u32,        // of b
  c: u32,        // of c, packed
  lo: f32,       // bounds of GATE_CLAMP
  hi: f32,
  products: u32, // of the products [r U rows, then b][coordinates of the group after this stage], packed
}

fn entry_at(at: u32) -> Entry {
  let p = stages[at];
  let q = stages[at + 1u];
  let r = stages[at + 2u];
  return Entry(p.x, p.y, p.z, p.w, q.x, q.y, q.z, q.w, bitcast<f32>(r.x), bitcast<f32>(r.y), r.z);
}

const ENTRY_VEC4S = 3u;
const GATE_IDENTITY = 0u;
const GATE_RELU = 1u;
const GATE_CLAMP = 2u;
const ADDS_NOTHING = 0u;
const ADDS_BIAS = 1u; // b

// In memory: a quad is four lanes of a software device, where a private array is memory like any other. Workgroup memory
// would be zeroed first, and waited for at a barrier.
@if(reads && quads) var<private> coordinates: array<f32, RANKS>;
@if(reads && !quads) var<workgroup> coordinates: array<f32, RANKS>;

// A thread works on every WORKERS-th coordinate, from `worker_of` on.
@if(quads) const WORKERS = 1u;
@else const WORKERS = THREADS;

fn worker_of(tid: u32) -> u32 {
  @if(quads) return 0u;
  @else return tid;
}

// Waits until every thread sees the coordinates that the others changed.
fn meet() {
  @if(!quads) workgroupBarrier();
}

// Runs a group of `count` stages whose entries begin at vec4 `first` and read `reads` coordinates in all. Returns whether
// the row lies in `output` then. `track_at`: where changes are recorded in `sources`, or NONE.
fn affine(first: u32, count: u32, reads: u32, records: u32, place: RowPlace, track_at: u32, tid: u32) -> bool {
  @if(reads) {
    // Additions read nothing of the row.
    let readers = select(count, 0u, reads == 0u);
    read_row(first, readers, place, tid);
    find_coefficients(first, readers, reads, records, tid);
  }
  var read = 0u;
  var row = place;
  // By data: the stages of a group, from the stage table, the same in all threads.
  for (var i = 0u; i < count; i++) {
    let entry = entry_at(first + ENTRY_VEC4S * i);
    let s = strength_of(entry.stage, records);
    if (s != 0.0) {
      write_changes(entry, factor_of(entry.stage, records), row, track_at, tid, read);
      row.moved = true;
    }
    read += entry.reads;
  }
  return row.moved;
}

// Stores the coordinates of the unedited row, stage after stage.
@if(reads) fn read_row(first: u32, count: u32, place: RowPlace, tid: u32) {
  var read = 0u;
  // By data: the stages of a group, from the stage table, the same in all threads.
  for (var i = 0u; i < count; i++) {
    let entry = entry_at(first + ENTRY_VEC4S * i);
    read_coordinates(entry.v, entry.reads, place, tid, read);
    read += entry.reads;
  }
  meet();
}

// Turns the coordinates into coefficients of U, stage after stage.
@if(reads) fn find_coefficients(first: u32, count: u32, reads: u32, records: u32, tid: u32) {
  let worker = worker_of(tid);
  var read = 0u;
  // By data: the stages of a group, from the stage table, the same in all threads.
  for (var i = 0u; i < count; i++) {
    let entry = entry_at(first + ENTRY_VEC4S * i);
    let s = strength_of(entry.stage, records);
    // By data: strength, the same in all threads.
    if (s != 0.0) {
      // By data: a stage's rank.
      for (var k = worker; k < entry.reads; k += WORKERS) {
        let y = coordinates[read + k] - scalar_at(entry.c, k);
        coordinates[read + k] = -s * gated(entry, y);
      }
      meet();
      // what this stage adds, as the later stages see it
      let later = reads - read - entry.reads;
      let added = factor_of(entry.stage, records);
      // By data: ranks of the stages after it.
      for (var j = worker; j < later; j += WORKERS) {
        var y = coordinates[read + entry.reads + j];
        // By data: a stage's rank.
        @if(many) for (var k = 0u; k < entry.reads; k++) {
          y = fma(coordinates[read + k], scalar_at(entry.products, k * later + j), y);
        }
        if (entry.adds != ADDS_NOTHING) {
          y = fma(added, scalar_at(entry.products, entry.reads * later + j), y);
        }
        coordinates[read + entry.reads + j] = y;
      }
      meet();
    }
    read += entry.reads;
  }
}

// Stores y_k = V_k · h for k < reads from coordinate `to` on, four rows of V per pass over the row.
@if(reads) fn read_coordinates(v: u32, reads: u32, row: RowPlace, tid: u32, to: u32) {
  var k = 0u;
  // By data: a stage's rank, the same in all threads.
  @if(many) for (; k + 1u < reads; k += 4u) {
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
  // the one that is left, or the only one, as in affine concept editing
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

// g(y)
@if(reads) fn gated(entry: Entry, y: f32) -> f32 {
  if (entry.gate == GATE_RELU) {
    return select(y, 0.0, y < 0.0); // not max(), which may drop a NaN
  }
  return select(y, y - min(max(y, entry.lo), entry.hi), entry.gate == GATE_CLAMP);
}

// Adds a stage's change to the row, and to the record of what no source wrote if there is one. `added` multiplies b; the
// stage's coefficients begin at coordinate `first`.
fn write_changes(entry: Entry, added: f32, row: RowPlace, track_at: u32, tid: u32, first: u32) {
  for (var i = tid; i < D4; i += THREADS) {
    var change = vec4f();
    // By data: a stage's rank.
    @if(reads) for (var k = 0u; k < entry.reads; k++) {
      change = fma(vec4f(coordinates[first + k]), floats_at(entry.u + k * D4 + i), change);
    }
    if (entry.adds != ADDS_NOTHING) {
      change = fma(vec4f(added), floats_at(entry.b + i), change);
    }
    output[row.output_at + i] = row_at(row, i) + change;
    @if(tracked) {
      if (track_at != NONE) {
        sources[track_at + i] += change;
      }
    }
  }
}
