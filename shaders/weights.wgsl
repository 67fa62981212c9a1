// a = Θ(s) (theta.wgsl), for every row and segment of a chunk's scores; in place without BYTES.
//   PACKS   also leaves √n / ‖s‖₂, for the scores of packs' tokens (pack_weights.wgsl)
//   BYTES   leaves a in bytes (in_bytes.wgsl), with Q4 for such a table; s stays as it is
//
// Bindings
//   0  step    uniform Step
//   1  s       f32 [T, SEGMENTS, COLS]; columns SLOTS … COLS − 1 are padding, and their weights are 0
//   2  scales  f32 [T, SEGMENTS] (PACKS only)
//   3  bytes_of_x   u32 [T, SEGMENTS, COLS / 32, 16] as vec2<u32> (BYTES only)
//   4  scales_of_x  f32 [T, SEGMENTS, COLS / 32] (BYTES only)
// Grid: (SEGMENTS, T) workgroups of WG threads. Constants: SEGMENTS, COLS, SLOTS.

#include "reduce.wgsl"
#include "theta.wgsl"
#include "step.wgsl"

@group(0) @binding(0) var<uniform> step: Step;
#if BYTES
#include "row_in_bytes.wgsl"
@group(0) @binding(1) var<storage, read> s: array<f32>;
@group(0) @binding(3) var<storage, read_write> bytes_of_x: array<vec2<u32>>;
@group(0) @binding(4) var<storage, read_write> scales_of_x: array<f32>;
#else
@group(0) @binding(1) var<storage, read_write> s: array<f32>;
#endif
#if PACKS
@group(0) @binding(2) var<storage, read_write> scales: array<f32>;
#endif

fn column(row: u32, i: u32, scale: f32, row_max: f32) -> f32 {
    return select(0.0, theta(s[row + i], scale, row_max), i < SLOTS);
}

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
#if BYTES
    store_row_in_bytes(local, row, row, scale, row_max);
#else
    for (var i = local; i < COLS; i += WG) {
        s[row + i] = column(row, i, scale, row_max);
    }
#endif
}
