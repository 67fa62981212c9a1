// The loss of a step: Σ of its rows' losses · share, over all its sequences.
//
// Bindings
//   0  step    uniform Step: T rows
//   1  batch   uniform Batch
//   2  losses  f32 [T]
//   3  sums    f32 [steps]: this step's is set, or added to
// Grid: one workgroup of WG threads. Constants: WG.

#include "reduce.wgsl"
#include "step.wgsl"
#include "batch.wgsl"

@group(0) @binding(0) var<uniform> step: Step;
@group(0) @binding(1) var<uniform> batch: Batch;
@group(0) @binding(2) var<storage, read> losses: array<f32>;
@group(0) @binding(3) var<storage, read_write> sums: array<f32>;

@compute @workgroup_size(WG)
fn main(@builtin(local_invocation_index) local: u32) {
    var sum = 0.0;
    for (var t = local; t < step.count; t += WG) {
        sum += losses[t];
    }
    sum = workgroup_sum(local, sum) * batch.share;
    if local == 0u {
        sums[batch.step] = sum + select(sums[batch.step], 0.0, batch.is_first == 1u);
    }
}
