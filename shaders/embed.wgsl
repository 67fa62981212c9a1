// h[t] = E[ids[t]], for the part of the embedding in one buffer.
//
// Bindings
//   0, 1  table E[PART_ROWS, 32·GROUPS] (table.wgsl), rows FIRST_ROW … FIRST_ROW + PART_ROWS − 1
//   2     step   uniform Step
//   3     ids    u32 [T]
//   4     h      f32 [T, 32·GROUPS]
// Grid: (ceil(GROUPS / WG), T); a thread dequantizes one group of 32 elements. Tokens of other parts are skipped.
// Constants: FIRST_ROW, PART_ROWS.

#include "table_octet.wgsl"
#include "step.wgsl"

@group(0) @binding(2) var<uniform> step: Step;
@group(0) @binding(3) var<storage, read> ids: array<u32>;
@group(0) @binding(4) var<storage, read_write> h: array<vec4<f32>>;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) thread: vec3<u32>) {
    let g = thread.x;
    let t = thread.y;
    let row = ids[t] - FIRST_ROW; // wraps around for rows of earlier parts
    if g >= GROUPS || t >= step.count || row >= PART_ROWS {
        return;
    }
    for (var i = 0u; i < 4u; i++) {
        let octet = table_octet(row * GROUPS + g, i);
        let at = (t * GROUPS + g) * 8u + i * 2u;
        h[at] = octet.low;
        h[at + 1u] = octet.high;
    }
}
