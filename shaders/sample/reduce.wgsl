// Reductions over the THREADS = SPAN * SPAN threads of a workgroup, in two levels of SPAN and a fixed order. The result
// is uniform, so that control flow with barriers may depend on it. All threads must call them; each array is written
// again only after a barrier that its last readers have passed.
import constants::{SPAN, THREADS};

var<workgroup> counts: array<vec4u, THREADS>;
var<workgroup> span_counts: array<vec4u, SPAN>;
var<workgroup> count: vec4u;

// Sum of four counts.
fn sum_counts(tid: u32, value: vec4u) -> vec4u {
  counts[tid] = value;
  workgroupBarrier();
  if (tid < SPAN) {
    var sum = vec4u();
    for (var i = 0u; i < SPAN; i++) {
      sum += counts[i * SPAN + tid];
    }
    span_counts[tid] = sum;
  }
  workgroupBarrier();
  if (tid == 0u) {
    var sum = vec4u();
    for (var i = 0u; i < SPAN; i++) {
      sum += span_counts[i];
    }
    count = sum;
  }
  return workgroupUniformLoad(&count);
}

var<workgroup> masses: array<f32, THREADS>;
var<workgroup> span_masses: array<f32, SPAN>;
var<workgroup> mass: f32;

fn sum_masses(tid: u32, value: f32) -> f32 {
  masses[tid] = value;
  workgroupBarrier();
  if (tid < SPAN) {
    var sum = 0.0;
    for (var i = 0u; i < SPAN; i++) {
      sum += masses[i * SPAN + tid];
    }
    span_masses[tid] = sum;
  }
  workgroupBarrier();
  if (tid == 0u) {
    var sum = 0.0;
    for (var i = 0u; i < SPAN; i++) {
      sum += span_masses[i];
    }
    mass = sum;
  }
  return workgroupUniformLoad(&mass);
}

// A token and what it is judged by, as an integer whose order is the order of merit.
struct Candidate {
  merit: u32,
  id: u32,
}

// The better of two candidates; of equals the smaller id.
fn better(a: Candidate, b: Candidate) -> Candidate {
  if (b.merit > a.merit || (b.merit == a.merit && b.id < a.id)) {
    return b;
  }
  return a;
}

var<workgroup> candidates: array<Candidate, THREADS>;
var<workgroup> span_candidates: array<Candidate, SPAN>;
var<workgroup> winner: Candidate;

fn best_candidate(tid: u32, value: Candidate) -> Candidate {
  candidates[tid] = value;
  workgroupBarrier();
  if (tid < SPAN) {
    var best = candidates[tid];
    for (var i = 1u; i < SPAN; i++) {
      best = better(best, candidates[i * SPAN + tid]);
    }
    span_candidates[tid] = best;
  }
  workgroupBarrier();
  if (tid == 0u) {
    var best = span_candidates[0];
    for (var i = 1u; i < SPAN; i++) {
      best = better(best, span_candidates[i]);
    }
    winner = best;
  }
  return workgroupUniformLoad(&winner);
}
