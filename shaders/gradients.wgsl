// Gradients of a layer's tokens: sets or accumulates them, and sums the squares of the result so far. Tokens that are
// not trained get zero.
//
// Bindings
//   0  batch    uniform Batch
//   1  shape    uniform Shape: parts; segment_rows: tokens, each twice, as key and as value; y_stride: columns of a token
//   2  parts    f32 [parts, 2, tokens, columns]
//   3  trained  u32 [tokens]: 1 or 0
//   4  grads    f32 [2, tokens, columns]
//   5  squares  f32 [layers, SUMS]
// Grid: (SUMS) workgroups of WG threads. Constants: WG, LAYER.

#include "reduce.wgsl"
#include "batch.wgsl"
#include "shape.wgsl"
#include "adamw.wgsl"

@group(0) @binding(0) var<uniform> batch: Batch;
@group(0) @binding(1) var<uniform> shape: Shape;
@group(0) @binding(2) var<storage, read> parts: array<f32>;
@group(0) @binding(3) var<storage, read> trained: array<u32>;
@group(0) @binding(4) var<storage, read_write> grads: array<f32>;
@group(0) @binding(5) var<storage, read_write> squares: array<f32>;

@compute @workgroup_size(WG)
fn main(@builtin(local_invocation_index) local: u32, @builtin(workgroup_id) group: vec3<u32>) {
    let n = 2u * shape.segment_rows * shape.y_stride;
    var sum = 0.0;
    for (var i = group.x * WG + local; i < n; i += SUMS * WG) {
        var own = select(grads[i], 0.0, batch.is_first == 1u);
        for (var part = 0u; part < shape.parts; part++) {
            own += parts[part * n + i];
        }
        own = select(0.0, own, trained[i / shape.y_stride % shape.segment_rows] == 1u);
        grads[i] = own;
        sum += own * own;
    }
    sum = workgroup_sum(local, sum);
    if local == 0u {
        squares[LAYER * SUMS + group.x] = sum;
    }
}
