// u[t] = LN(h[t]) for the rows of a chunk; with FINAL_NORM, u[t] = LN(h[first_row + t])·w + b.
//   BYTES   also leaves u in bytes (in_bytes.wgsl), with Q4 for such a table
//
// Bindings
//   0  step   uniform Step
//   1  h      f32 [T, COLS]
//   2  u      f32 [T, COLS]
//   3  norm   f32 [2, COLS]: w, then b (FINAL_NORM only)
//   4  bytes_of_x   u32 [T, COLS / 32, 16] as vec2<u32> (BYTES only)
//   5  scales_of_x  f32 [T, COLS / 32] (BYTES only)
// Grid: (1, T) workgroups of WG threads. Constants: COLS, EPSILON.

#include "reduce.wgsl"
#include "step.wgsl"

@group(0) @binding(0) var<uniform> step: Step;
@group(0) @binding(1) var<storage, read> h: array<f32>;
@group(0) @binding(2) var<storage, read_write> u: array<f32>;
#if FINAL_NORM
@group(0) @binding(3) var<storage, read> norm: array<f32>;
#endif
#if BYTES
#include "row_in_bytes.wgsl"
@group(0) @binding(4) var<storage, read_write> bytes_of_x: array<vec2<u32>>;
@group(0) @binding(5) var<storage, read_write> scales_of_x: array<f32>;
#endif

fn column(row: u32, i: u32, scale: f32, mean: f32) -> f32 {
    let v = (h[row + i] - mean) * scale;
#if FINAL_NORM
    return v * norm[i] + norm[COLS + i];
#else
    return v;
#endif
}

@compute @workgroup_size(WG)
fn main(@builtin(local_invocation_index) local: u32, @builtin(workgroup_id) group: vec3<u32>) {
#if FINAL_NORM
    let source = (step.first_row + group.y) * COLS;
#else
    let source = group.y * COLS;
#endif
    let dest = group.y * COLS;
    var sum = 0.0;
    for (var i = local; i < COLS; i += WG) {
        sum += h[source + i];
    }
    let mean = workgroup_sum(local, sum) / f32(COLS);
    sum = 0.0;
    for (var i = local; i < COLS; i += WG) {
        let c = h[source + i] - mean;
        sum += c * c;
    }
    let scale = inverseSqrt(workgroup_sum(local, sum) / f32(COLS) + EPSILON);
    for (var i = local; i < COLS; i += WG) {
        u[dest + i] = column(source, i, scale, mean);
    }
#if BYTES
    store_row_in_bytes(local, dest, source, scale, mean);
#endif
}
