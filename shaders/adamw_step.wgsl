// A step of AdamW on a layer's tokens, after the norm of all layers' gradients together is known.
//
// Bindings
//   0  update   uniform Update
//   1  shape    uniform Shape: segment_rows: tokens, each twice, as key and as value; y_stride: columns of a token
//   2  squares  f32 [LAYERS, SUMS]
//   3  trained  u32 [tokens]: 1 or 0
//   4  grads    f32 [2, tokens, columns]
//   5  moments  f32 [2, 2, tokens, columns]: the first, then the second
//   6  tokens   f32 [2, tokens, columns]
// Grid: (ceil(2 · tokens · columns / WG)), folded, workgroups. Constants: WG, LAYERS.

#include "reduce.wgsl"
#include "shape.wgsl"
#include "adamw.wgsl"

@group(0) @binding(0) var<uniform> update: Update;
@group(0) @binding(1) var<uniform> shape: Shape;
@group(0) @binding(2) var<storage, read> squares: array<f32>;
@group(0) @binding(3) var<storage, read> trained: array<u32>;
@group(0) @binding(4) var<storage, read> grads: array<f32>;
@group(0) @binding(5) var<storage, read_write> moments: array<f32>;
@group(0) @binding(6) var<storage, read_write> tokens: array<f32>;

@compute @workgroup_size(WG)
fn main(
    @builtin(local_invocation_index) local: u32,
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
) {
    var sum = 0.0;
    for (var i = local; i < LAYERS * SUMS; i += WG) {
        sum += squares[i];
    }
    let norm = sqrt(workgroup_sum(local, sum));
    let factor = select(1.0, update.clip_norm / norm, update.clip_norm > 0.0 && norm > update.clip_norm);
    let n = 2u * shape.segment_rows * shape.y_stride;
    let i = (group.y * grid.x + group.x) * WG + local;
    if i >= n || trained[i / shape.y_stride % shape.segment_rows] == 0u {
        return;
    }
    let g = grads[i] * factor;
    let first = update.beta1 * moments[i] + (1.0 - update.beta1) * g;
    let second = update.beta2 * moments[n + i] + (1.0 - update.beta2) * g * g;
    moments[i] = first;
    moments[n + i] = second;
    let old = tokens[i];
    let change = first * update.correction1 / (sqrt(second * update.correction2) + update.epsilon);
    tokens[i] = old - update.rate * (change + update.weight_decay * old);
}
