// Backward pass of the attention's softmax: ∂L/∂s = p ∘ (∂p − Σ p·∂p) in place of ∂p; zeros where softmax.wgsl writes
// them.
//
// Bindings
//   0  batch  uniform Batch
//   1  p      f32 [T, HEADS, length]: probabilities
//   2  dp     f32 [T, HEADS, length]: ∂L/∂p, then ∂L/∂s
// Grid: (HEADS, T) workgroups of WG threads. Constants: WG, HEADS, TILE.

#include "reduce.wgsl"
#include "batch.wgsl"

@group(0) @binding(0) var<uniform> batch: Batch;
@group(0) @binding(1) var<storage, read> p: array<f32>;
@group(0) @binding(2) var<storage, read_write> dp: array<f32>;

@compute @workgroup_size(WG)
fn main(@builtin(local_invocation_index) local: u32, @builtin(workgroup_id) group: vec3<u32>) {
    let row = (group.y * HEADS + group.x) * batch.length;
    let seen = group.y % batch.length + 1u;
    let end = min((seen + TILE - 1u) / TILE * TILE, batch.length);
    var sum = 0.0;
    for (var i = local; i < seen; i += WG) {
        sum += p[row + i] * dp[row + i];
    }
    sum = workgroup_sum(local, sum);
    for (var i = local; i < end; i += WG) {
        dp[row + i] = select(0.0, p[row + i] * (dp[row + i] - sum), i < seen);
    }
}
