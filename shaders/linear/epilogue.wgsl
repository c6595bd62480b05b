// What follows a finished sum y = W·x: the end of every linear kernel. `strip` counts within this part of the matrix;
// `n4` counts over the whole matrix. Padding outputs have zero weights and zero bias and come out as 0.
//
// store       y = acc + b
// activation  y = act(acc + b)
// residual    y = r + (acc + b); the output is another buffer than r
// gated       even strips are gates, odd strips ups: y = act(gate + b) · (up + b), half as wide
// qkv         linear/qkv.wgsl
//
// Each `site` is the point where that value exists and nothing has used it yet. `staged`: stages of single elements act at those for
// which `edits_<name>` is set, once, on the complete sum; the rest is left out, since software devices keep less of a
// kernel's main loop in registers the more code follows it. `sourced`: mlp_out is kept as a source of an edge mask.
import package::lib::activation::act;
import package::lib::tap::tap;
import package::linear::operands::{args, output, output_width4, params, strip_count};
import package::linear::qkv::finish_qkv;
@if(staged) import package::stages::neuron_scale::neuron_scale;
@if(sourced) import package::stages::table::NONE;

@if(residual) @group(1) @binding(5) var<storage, read> residual: array<vec4f>; // [rows][OUT4]

@if(sourced) @group(1) @binding(10) var<storage, read_write> sources: array<vec4f>; // [slots][rows][OUT4]

@if(staged) fn edited(list: vec4u, row: u32, n4: u32, v: vec4f) -> vec4f {
  return neuron_scale(list, row * args.record_stride, n4, v);
}

fn biased(n4: u32, acc: vec4f) -> vec4f {
  @if(bias) return acc + params[args.bias + n4];
  @else return acc;
}

// One strip of one row.
@if(!gated) fn finish(row: u32, strip: u32, acc: vec4f) {
  let n4 = args.first_strip + strip;
  @if(!qkv) let width4 = output_width4();
  var v = biased(n4, acc);
  @if(edits_out) v = edited(args.list_out, row, n4, v);
  @if(store) output[row * width4 + n4] = v;
  @if(activation) {
    @if(edits_pre) v = edited(args.list_pre, row, n4, v);
    // site: mlp_pre
    @if(tap_pre) tap(args.tap_pre, row, width4, n4, v);
    var post = act(v);
    @if(edits_post) post = edited(args.list_post, row, n4, post);
    // site: mlp_post
    @if(tap_post) tap(args.tap_post, row, width4, n4, post);
    output[row * width4 + n4] = post;
  }
  @if(residual) {
    // site: attn_out, mlp_out
    @if(tap_out) tap(args.tap_out, row, width4, n4, v);
    @if(sourced) { if (args.source != NONE) { sources[args.source + row * width4 + n4] = v; } }
    output[row * width4 + n4] = residual[row * width4 + n4] + v;
  }
  @if(qkv) finish_qkv(row, n4, v);
}

// Two neighbouring strips of one row, the first one even; the second may lie beyond the end. A loop, because kernels
// compile in half the time when they contain `finish` once.
@if(!gated) fn finish_pair(row: u32, strip: u32, acc0: vec4f, acc1: vec4f) {
  for (var i = 0u; i < 2u && strip + i < strip_count(); i++) {
    finish(row, strip + i, select(acc0, acc1, i == 1u));
  }
}

@if(gated) fn finish_pair(row: u32, strip: u32, acc0: vec4f, acc1: vec4f) {
  let n4 = args.first_strip + strip;
  var gate = biased(n4, acc0);
  var up = biased(n4 + 1u, acc1);
  let width4 = output_width4();
  let out4 = n4 / 2u;
  @if(edits_gate) gate = edited(args.list_gate, row, out4, gate);
  @if(edits_up) up = edited(args.list_up, row, out4, up);
  // site: gate_pre
  @if(tap_gate) tap(args.tap_gate, row, width4, out4, gate);
  // site: up
  @if(tap_up) tap(args.tap_up, row, width4, out4, up);
  var post = act(gate) * up;
  @if(edits_post) post = edited(args.list_post, row, out4, post);
  // site: mlp_post
  @if(tap_post) tap(args.tap_post, row, width4, out4, post);
  output[row * width4 + out4] = post;
}
