// Weights of l2_norm_gelu in training, which keeps the scores: a = gelu(z), z = s / ‖s‖₂ · √SLOTS.
//   PACKS   and those of packs' tokens: a_p = strength · gelu(z_p), z_p = q / ‖s‖₂ · √SLOTS, q = u·k_p
//
// Bindings
//   0  s          f32 [T, SEGMENTS, COLS]; columns SLOTS … COLS − 1 are padding
//   1  a          f32 [T, SEGMENTS, COLS]; 0 for padding
//   2  packs      uniform PackShape (from here on PACKS only)
//   3  strengths  f32 [tokens]
//   4  q_parts    f32 [parts, T, tokens]
//   5  q          f32 [T, tokens]: Σ of the parts
//   6  a_p        f32 [T, tokens]
//   7  step       uniform Step
// Grid: (SEGMENTS, T) workgroups of WG threads. Constants: WG, SEGMENTS, COLS, SLOTS.

#include "reduce.wgsl"
#include "theta.wgsl"
#include "step.wgsl"
#include "pack_shape.wgsl"

@group(0) @binding(0) var<storage, read> s: array<f32>;
@group(0) @binding(1) var<storage, read_write> a: array<f32>;
#if PACKS
@group(0) @binding(2) var<uniform> packs: PackShape;
@group(0) @binding(3) var<storage, read> strengths: array<f32>;
@group(0) @binding(4) var<storage, read> q_parts: array<f32>;
@group(0) @binding(5) var<storage, read_write> q: array<f32>;
@group(0) @binding(6) var<storage, read_write> a_p: array<f32>;
@group(0) @binding(7) var<uniform> step: Step;
#endif

@compute @workgroup_size(WG)
fn main(@builtin(local_invocation_index) local: u32, @builtin(workgroup_id) group: vec3<u32>) {
    let row = (group.y * SEGMENTS + group.x) * COLS;
    var sum = 0.0;
    for (var i = local; i < SLOTS; i += WG) {
        sum += statistic(s[row + i], 0.0);
    }
    let scale = theta_scale(SLOTS, workgroup_sum(local, sum));
    for (var i = local; i < COLS; i += WG) {
        a[row + i] = select(0.0, theta(s[row + i], scale, 0.0), i < SLOTS);
    }
#if PACKS
    for (var j = packs.starts[group.x] + local; j < packs.starts[group.x + 1u]; j += WG) {
        let at = group.y * packs.tokens + j;
        var own = 0.0;
        for (var part = 0u; part < packs.parts; part++) {
            own += q_parts[part * step.count * packs.tokens + at];
        }
        q[at] = own;
        a_p[at] = strengths[j] * gelu(own * scale);
    }
#endif
}
