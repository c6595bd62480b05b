// The buffers of norm/edited.wgsl in which a row is worked on, and those that its parts read.
@group(1) @binding(2) var<storage, read> params: array<vec4f>; // gains and biases of the whole model
@group(1) @binding(4) var<storage, read_write> output: array<vec4f>; // [variants][rows][D4]
@group(1) @binding(10) var<storage, read_write> sources: array<vec4f>; // [slots][rows][D4], see stages/edge_mask.wgsl
