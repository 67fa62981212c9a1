// a = Θ(s) in place (theta.wgsl), for every row and segment of a chunk's scores.
//   PACKS   also leaves √n / ‖s‖₂, for the scores of packs' tokens (pack_weights.wgsl)
//
// Bindings
//   0  step    uniform Step
//   1  s       f32 [T, SEGMENTS, COLS]; columns SLOTS … COLS − 1 are padding and become 0
//   2  scales  f32 [T, SEGMENTS] (PACKS only)
// Grid: (SEGMENTS, T) workgroups of WG threads. Constants: SEGMENTS, COLS, SLOTS.

#include "reduce.wgsl"
#include "theta.wgsl"
#include "step.wgsl"

@group(0) @binding(0) var<uniform> step: Step;
@group(0) @binding(1) var<storage, read_write> s: array<f32>;
#if PACKS
@group(0) @binding(2) var<storage, read_write> scales: array<f32>;
#endif

@compute @workgroup_size(WG)
fn main(@builtin(local_invocation_index) local: u32, @builtin(workgroup_id) group: vec3<u32>) {
    let row = (group.y * SEGMENTS + group.x) * COLS;
    var row_max = 0.0;
#if SOFTMAX
    row_max = s[row];
    for (var i = local; i < SLOTS; i += WG) {
        row_max = max(row_max, s[row + i]);
    }
    row_max = workgroup_max(local, row_max);
#endif
    var sum = 0.0;
    for (var i = local; i < SLOTS; i += WG) {
        sum += statistic(s[row + i], row_max);
    }
    let scale = theta_scale(SLOTS, workgroup_sum(local, sum));
#if PACKS
    if local == 0u {
        scales[group.y * SEGMENTS + group.x] = scale;
    }
#endif
    for (var i = local; i < COLS; i += WG) {
        s[row + i] = select(0.0, theta(s[row + i], scale, row_max), i < SLOTS);
    }
}
