// Rows of X as factors of products of bytes (in_bytes.wgsl).
//   Q4   for such a table
//
// Bindings
//   0  x            f32 [T, 32·GROUPS] as vec4<f32>
//   1  bytes_of_x   u32 [T, GROUPS, 16] as vec2<u32>
//   2  scales_of_x  f32 [T, GROUPS]
// Grid: (ceil(4·GROUPS / WG), T) workgroups of WG threads, each with eight columns. Constants: GROUPS, WG.

#include "in_bytes.wgsl"

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> bytes_of_x: array<vec2<u32>>;
@group(0) @binding(2) var<storage, read_write> scales_of_x: array<f32>;

@compute @workgroup_size(WG)
fn main(@builtin(local_invocation_index) local: u32, @builtin(workgroup_id) workgroup: vec3<u32>) {
    let i = workgroup.x * WG + local;
    let row = workgroup.y * 4u * GROUPS;
    let at = (row + min(i, 4u * GROUPS - 1u)) * 2u;
    store_in_bytes(local, row + i, i < 4u * GROUPS, x[at], x[at + 1u]);
}
