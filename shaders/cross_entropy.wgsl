// Cross-entropy of rows of logits with the tokens that follow: loss = log Σ exp(x) − x[target].
//   GRADIENT   the logits become ∂L/∂x = (softmax(x) − [i = target]) · share, L being the mean over a step's predictions
//
// Bindings
//   0  step     uniform Step: the logits are those of rows first_row … first_row + T − 1
//   1  batch    uniform Batch
//   2  targets  u32 [rows], below V
//   3  logits   f32 [T, V]
//   4  losses   f32 [rows]
// Grid: (1, T) workgroups of WG threads. Constants: WG, V.

#include "reduce.wgsl"
#include "step.wgsl"
#include "batch.wgsl"

@group(0) @binding(0) var<uniform> step: Step;
@group(0) @binding(1) var<uniform> batch: Batch;
@group(0) @binding(2) var<storage, read> targets: array<u32>;
@group(0) @binding(3) var<storage, read_write> logits: array<f32>;
@group(0) @binding(4) var<storage, read_write> losses: array<f32>;

@compute @workgroup_size(WG)
fn main(@builtin(local_invocation_index) local: u32, @builtin(workgroup_id) group: vec3<u32>) {
    let row = group.y * V;
    let target_id = targets[step.first_row + group.y];
    let value = logits[row + target_id];
    var highest = value;
    for (var id = local; id < V; id += WG) {
        highest = max(highest, logits[row + id]);
    }
    highest = workgroup_max(local, highest);
    var sum = 0.0;
    for (var id = local; id < V; id += WG) {
        sum += exp(logits[row + id] - highest);
    }
    sum = workgroup_sum(local, sum);
    if local == 0u {
        losses[step.first_row + group.y] = log(sum) - (value - highest);
    }
#if GRADIENT
    for (var id = local; id < V; id += WG) {
        let p = exp(logits[row + id] - highest) / sum;
        logits[row + id] = (p - select(0.0, 1.0, id == target_id)) * batch.share;
    }
#endif
}
