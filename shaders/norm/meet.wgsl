// Sums over the THREADS threads of a row: norm/norm.wgsl one number each, norm/edited.wgsl four. Nothing is bound.
//
// quads: THREADS = 4, which exchange sums as a quad of a subgroup. There is no barrier: on software devices a workgroup with
// one costs as much to start as such a row takes to norm.
// spans: THREADS = SPAN · SPAN; sums go through workgroup memory in two levels of SPAN instead of a binary tree: two
// barriers where a tree of 256 has eight, and the SPAN reads of a level have constant places and do not wait for each other.
// Neither: as quads, for devices without subgroups: the same bits through workgroup memory.
//
// Each sum may be taken repeatedly: workgroup memory is written again only after a barrier that its last readers passed.
import constants::THREADS;
@if(spans) import constants::SPAN;

@if(!quads) var<workgroup> sums: array<f32, THREADS>;
@if(!quads) var<workgroup> sums4: array<vec4f, THREADS>;
@if(spans) var<workgroup> span_sums: array<f32, SPAN>;
@if(spans) var<workgroup> span_sums4: array<vec4f, SPAN>;

// Sum over the threads of a row, the same bits in each.
fn total(tid: u32, value: f32) -> f32 {
  @if(quads) {
    let pair = value + quadSwapX(value);
    return pair + quadSwapY(pair);
  } @else {
    sums[tid] = value;
    workgroupBarrier();
  }
  @if(spans) {
    if (tid < SPAN) {
      var sum = 0.0;
      for (var i = 0u; i < SPAN; i++) {
        sum += sums[i * SPAN + tid];
      }
      span_sums[tid] = sum;
    }
    workgroupBarrier();
    var sum = 0.0;
    for (var i = 0u; i < SPAN; i++) {
      sum += span_sums[i];
    }
    return sum;
  }
  @if(!quads && !spans) {
    let sum = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    workgroupBarrier();
    return sum;
  }
}

// Four sums at once.
fn total4(tid: u32, value: vec4f) -> vec4f {
  @if(quads) {
    let pair = value + quadSwapX(value);
    return pair + quadSwapY(pair);
  } @else {
    sums4[tid] = value;
    workgroupBarrier();
  }
  @if(spans) {
    if (tid < SPAN) {
      var sum = vec4f();
      for (var i = 0u; i < SPAN; i++) {
        sum += sums4[i * SPAN + tid];
      }
      span_sums4[tid] = sum;
    }
    workgroupBarrier();
    var sum = vec4f();
    for (var i = 0u; i < SPAN; i++) {
      sum += span_sums4[i];
    }
    return sum;
  }
  @if(!quads && !spans) {
    let sum = (sums4[0] + sums4[1]) + (sums4[2] + sums4[3]);
    workgroupBarrier();
    return sum;
  }
}
