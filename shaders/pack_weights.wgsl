// Weights of packs' tokens, for every row and segment of a chunk: a = gelu(z · √n / ‖s‖₂), s being the base's scores.
//
// Bindings
//   0  step    uniform Step
//   1  z       f32 [PARTS, T, SEGMENTS · TOKENS]: scores of the packs' tokens, in parts that are summed up here
//   2  scales  f32 [T, SEGMENTS]: √n / ‖s‖₂ (weights.wgsl), 0 where ‖s‖ is
//   3  a       f32 [T, SEGMENTS, COLS]; columns TOKENS … COLS − 1 are padding and become 0
// Grid: (ceil(SEGMENTS · COLS / WG), T) workgroups. Constants: WG, SEGMENTS, TOKENS, COLS, PARTS.

#include "theta.wgsl"
#include "step.wgsl"

@group(0) @binding(0) var<uniform> step: Step;
@group(0) @binding(1) var<storage, read> z: array<f32>;
@group(0) @binding(2) var<storage, read> scales: array<f32>;
@group(0) @binding(3) var<storage, read_write> a: array<f32>;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) thread: vec3<u32>) {
    if thread.x >= SEGMENTS * COLS {
        return;
    }
    let segment = thread.x / COLS;
    let token = thread.x % COLS;
    var weight = 0.0;
    if token < TOKENS {
        var sum = 0.0;
        for (var p = 0u; p < PARTS; p++) {
            sum += z[((p * step.count + thread.y) * SEGMENTS + segment) * TOKENS + token];
        }
        weight = gelu(sum * scales[thread.y * SEGMENTS + segment]);
    }
    a[thread.y * SEGMENTS * COLS + thread.x] = weight;
}
