// Causal softmax of attention scores, in place: row t of a sequence sees columns 0 … t. Later columns that belong to
// the same tile of gemm.wgsl become 0, and the rest is left unwritten.
//
// Bindings
//   0  batch  uniform Batch
//   1  p      f32 [T, HEADS, length]: scores, then probabilities
// Grid: (HEADS, T) workgroups of WG threads. Constants: WG, HEADS, TILE.

#include "reduce.wgsl"
#include "batch.wgsl"

@group(0) @binding(0) var<uniform> batch: Batch;
@group(0) @binding(1) var<storage, read_write> p: array<f32>;

@compute @workgroup_size(WG)
fn main(@builtin(local_invocation_index) local: u32, @builtin(workgroup_id) group: vec3<u32>) {
    let row = (group.y * HEADS + group.x) * batch.length;
    let seen = group.y % batch.length + 1u;
    let end = min((seen + TILE - 1u) / TILE * TILE, batch.length);
    var highest = p[row];
    for (var i = local; i < seen; i += WG) {
        highest = max(highest, p[row + i]);
    }
    highest = workgroup_max(local, highest);
    var sum = 0.0;
    for (var i = local; i < seen; i += WG) {
        let e = exp(p[row + i] - highest);
        p[row + i] = e;
        sum += e;
    }
    let scale = 1.0 / workgroup_sum(local, sum);
    for (var i = local; i < end; i += WG) {
        p[row + i] = select(0.0, p[row + i] * scale, i < seen);
    }
}
