// Backward pass of u = LN(h): g += ∂L/∂h = (∂u − mean(∂u) − û · mean(∂u ∘ û)) / σ, û being LN(h).
//   FINAL_NORM   u = LN(h[first_row + t])·w + b of rows first_row … first_row + T − 1, and g = instead of g +=
//
// Bindings
//   0  step  uniform Step
//   1  h     f32 [rows, COLS]
//   2  du    f32 [T, COLS]: ∂L/∂u
//   3  g     f32 [rows, COLS]
//   4  norm  f32 [2, COLS]: w, then b (FINAL_NORM only)
// Grid: (1, T) workgroups of WG threads. Constants: WG, COLS, EPSILON.

#include "reduce.wgsl"
#include "step.wgsl"

@group(0) @binding(0) var<uniform> step: Step;
@group(0) @binding(1) var<storage, read> h: array<f32>;
@group(0) @binding(2) var<storage, read> du: array<f32>;
@group(0) @binding(3) var<storage, read_write> g: array<f32>;
#if FINAL_NORM
@group(0) @binding(4) var<storage, read> norm: array<f32>;
#endif

// ∂L/∂û of column i of row `at`.
fn upstream(at: u32, i: u32) -> f32 {
#if FINAL_NORM
    return du[at + i] * norm[i];
#else
    return du[at + i];
#endif
}

@compute @workgroup_size(WG)
fn main(@builtin(local_invocation_index) local: u32, @builtin(workgroup_id) group: vec3<u32>) {
#if FINAL_NORM
    let row = (step.first_row + group.y) * COLS;
#else
    let row = group.y * COLS;
#endif
    let at = group.y * COLS;
    var sums = vec2<f32>();
    for (var i = local; i < COLS; i += WG) {
        sums += vec2<f32>(h[row + i], upstream(at, i));
    }
    let means = workgroup_sum2(local, sums) / f32(COLS);
    sums = vec2<f32>();
    for (var i = local; i < COLS; i += WG) {
        let x = h[row + i] - means.x;
        sums += vec2<f32>(x * x, x * upstream(at, i));
    }
    sums = workgroup_sum2(local, sums) / f32(COLS);
    let scale = inverseSqrt(sums.x + EPSILON);
    let projection = sums.y * scale * scale;
    for (var i = local; i < COLS; i += WG) {
        let own = (upstream(at, i) - means.y - (h[row + i] - means.x) * projection) * scale;
#if FINAL_NORM
        g[row + i] = own;
#else
        g[row + i] += own;
#endif
    }
}
