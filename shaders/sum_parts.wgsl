// Adds the parts that matmul.wgsl left: y = Σ parts.
//   RESIDUAL   y += Σ parts
//
// Bindings
//   0  step   uniform Step
//   1  parts  f32 [PARTS, T, COLS] as vec4<f32>
//   2  y      f32 [T, COLS] as vec4<f32>
// Grid: (ceil(COLS / (4·WG)), T) workgroups. Constants: WG, COLS, PARTS.

#include "step.wgsl"

@group(0) @binding(0) var<uniform> step: Step;
@group(0) @binding(1) var<storage, read> parts: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) thread: vec3<u32>) {
    if thread.x >= COLS / 4u {
        return;
    }
    let at = thread.y * (COLS / 4u) + thread.x;
    var sum = parts[at];
    for (var p = 1u; p < PARTS; p++) {
        sum += parts[p * step.count * (COLS / 4u) + at];
    }
#if RESIDUAL
    y[at] += sum;
#else
    y[at] = sum;
#endif
}
