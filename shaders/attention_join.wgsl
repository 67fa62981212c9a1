// Combines the parts that attention_decode.wgsl left for one token of each of several texts: u = softmax(q·kᵀ/√HEAD)·v.
//
// Bindings
//   0  steps   uniform TextStep [T]: of each text
//   1  x       f32, see attention_parts.wgsl
//   2  u       f32 [T, D_MODEL]
// Grid: (ceil(D_MODEL / 4 / WG), T); four per thread. Constants: WG, MOST_TEXTS and those of attention_decode.wgsl.

#include "step.wgsl"
#include "attention_parts.wgsl"

@group(0) @binding(0) var<uniform> steps: array<TextStep, MOST_TEXTS>;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> u: array<vec4<f32>>;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) thread: vec3<u32>) {
    let i = thread.x;
    if i >= D_MODEL / 4u {
        return;
    }
    parts_row = thread.y * TEXT_PARTS;
    u[thread.y * (D_MODEL / 4u) + i] = combined(i, part_count(steps[thread.y].step.past + 1u));
}
