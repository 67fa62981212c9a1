// Single parameter tokens of a table, in f32: rows of a table of keys, or columns of a table of values, which is transposed.
//   COLUMN   columns
//
// Bindings
//   0, 1  table W (table.wgsl)
//   2     places  vec4<u32> [tokens]: row and column of the token's first element, and its position in `out`
//   3     out     f32: D words for each token
// Grid: (ceil(D / WG), tokens) workgroups of WG threads. Constants: WG, D, GROUPS.

#include "table_octet.wgsl"

@group(0) @binding(2) var<storage, read> places: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) thread: vec3<u32>, @builtin(workgroup_id) group: vec3<u32>) {
    if thread.x >= D {
        return;
    }
    let place = places[group.y];
#if COLUMN
    let row = place.x + thread.x;
    let column = place.y;
#else
    let row = place.x;
    let column = place.y + thread.x;
#endif
    let octet = table_octet(row * GROUPS + column / 32u, column % 32u / 8u);
    out[place.z + thread.x] = select(octet.low[column % 4u], octet.high[column % 4u], column % 8u >= 4u);
}
