// Backward pass of the weights of l2_norm_gelu, a = gelu(z), z = c·s, c = √SLOTS / ‖s‖₂: with e = ∂a ∘ gelu′(z)
//   ∂L/∂s = c · (e − z · (Σ z·e + Σ z_p·e_p) / SLOTS)
// where the second sum, over packs' tokens, exists because ‖s‖ is in their z_p = c·q as well; ‖s‖ does not depend on q:
//   ∂L/∂q = c · e_p, e_p = strength · ∂a_p ∘ gelu′(z_p)
// If all scores of a row are 0, c = 0, and it gets zeros.
//   PACKS   there are packs' tokens
//
// Bindings
//   0  s          f32 [T, SEGMENTS, COLS]; columns SLOTS … COLS − 1 are padding
//   1  da         f32 [T, SEGMENTS, COLS]: ∂L/∂a, then ∂L/∂s
//   2  packs      uniform PackShape (from here on PACKS only)
//   3  strengths  f32 [tokens]
//   4  q          f32 [T, tokens]
//   5  da_parts   f32 [parts, T, tokens]: ∂L/∂a_p by strength
//   6  dq         f32 [T, tokens]: ∂L/∂q
//   7  a_p        f32 [T, tokens]: the weights again
//   8  step       uniform Step
// Grid: (SEGMENTS, T) workgroups of WG threads. Constants: WG, SEGMENTS, COLS, SLOTS.

#include "reduce.wgsl"
#include "theta.wgsl"
#include "step.wgsl"
#include "pack_shape.wgsl"

@group(0) @binding(0) var<storage, read> s: array<f32>;
@group(0) @binding(1) var<storage, read_write> da: array<f32>;
#if PACKS
@group(0) @binding(2) var<uniform> packs: PackShape;
@group(0) @binding(3) var<storage, read> strengths: array<f32>;
@group(0) @binding(4) var<storage, read> q: array<f32>;
@group(0) @binding(5) var<storage, read> da_parts: array<f32>;
@group(0) @binding(6) var<storage, read_write> dq: array<f32>;
@group(0) @binding(7) var<storage, read_write> a_p: array<f32>;
@group(0) @binding(8) var<uniform> step: Step;
#endif

// Φ(x) + x·φ(x).
fn gelu_derivative(x: f32) -> f32 {
    return 0.5 * (1.0 + erf(x * 0.70710678118)) + x * 0.39894228040 * exp(-0.5 * x * x);
}

@compute @workgroup_size(WG)
fn main(@builtin(local_invocation_index) local: u32, @builtin(workgroup_id) group: vec3<u32>) {
    let row = (group.y * SEGMENTS + group.x) * COLS;
    var sum = 0.0;
    for (var i = local; i < SLOTS; i += WG) {
        sum += statistic(s[row + i], 0.0);
    }
    let scale = theta_scale(SLOTS, workgroup_sum(local, sum));
    // A thread rereads only what it wrote itself.
    sum = 0.0;
    for (var i = local; i < SLOTS; i += WG) {
        let z = s[row + i] * scale;
        let e = da[row + i] * gelu_derivative(z);
        da[row + i] = e;
        sum += z * e;
    }
#if PACKS
    for (var j = packs.starts[group.x] + local; j < packs.starts[group.x + 1u]; j += WG) {
        let at = group.y * packs.tokens + j;
        var own = 0.0;
        for (var part = 0u; part < packs.parts; part++) {
            own += da_parts[part * step.count * packs.tokens + at];
        }
        let z = q[at] * scale;
        let e = strengths[j] * own * gelu_derivative(z);
        sum += z * e;
        dq[at] = scale * e;
        a_p[at] = strengths[j] * gelu(z);
    }
#endif
    let projection = workgroup_sum(local, sum) / f32(SLOTS);
    for (var i = local; i < COLS; i += WG) {
        da[row + i] = select(0.0, scale * (da[row + i] - s[row + i] * scale * projection), i < SLOTS);
    }
}
