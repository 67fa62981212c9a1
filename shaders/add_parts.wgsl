// Joins the parts of a sum, out of place: y = Σ parts.
//   BASE    y = base + Σ parts
//   FURTHER y += Σ parts: for a table that spans several buffers, those after the first
//
// Bindings
//   0  step   uniform Step
//   1  shape  uniform Shape: y_stride columns, parts
//   2  parts  f32 [parts, T, columns] as vec4<f32>
//   3  y      f32 [T, columns] as vec4<f32>
//   4  base   f32 [T, columns] as vec4<f32> (BASE only)
// Grid: (ceil(columns / (4·WG)), T) workgroups. Constants: WG.

#include "step.wgsl"
#include "shape.wgsl"

@group(0) @binding(0) var<uniform> step: Step;
@group(0) @binding(1) var<uniform> shape: Shape;
@group(0) @binding(2) var<storage, read> parts: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>;
#if BASE
@group(0) @binding(4) var<storage, read> base: array<vec4<f32>>;
#endif

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) thread: vec3<u32>) {
    let columns = shape.y_stride / 4u;
    if thread.x >= columns {
        return;
    }
    let at = thread.y * columns + thread.x;
    var sum = parts[at];
    for (var part = 1u; part < shape.parts; part++) {
        sum += parts[part * step.count * columns + at];
    }
#if BASE
    sum += base[at];
#endif
#if FURTHER
    sum += y[at];
#endif
    y[at] = sum;
}
