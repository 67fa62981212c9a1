// ‖v_j‖₂ of the value tokens of a table, which is transposed: of its columns. Beside each norm a 1, the factor of its
// activation (inspect.wgsl), until the host writes another one.
//
// Bindings
//   0, 1  table W[segments · D, 32·GROUPS] (table.wgsl)
//   2     tokens  vec2<f32> [segments, 32·GROUPS]
// Grid: (ceil(GROUPS · 4 / OCTETS), segments) workgroups of 128 threads. Constants: D, GROUPS.
//
// A thread takes eight neighbouring columns of every LANES-th row.

#include "table_octet.wgsl"

const OCTETS = 16u;
const LANES = 8u;

@group(0) @binding(2) var<storage, read_write> tokens: array<vec2<f32>>;

// [lane][octet].
var<workgroup> lows: array<vec4<f32>, 128>;
var<workgroup> highs: array<vec4<f32>, 128>;

@compute @workgroup_size(128)
fn main(@builtin(local_invocation_index) local: u32, @builtin(workgroup_id) group: vec3<u32>) {
    let octet = group.x * OCTETS + local % OCTETS;
    // Octets past the end are copies of the last and are never stored.
    let at = min(octet, GROUPS * 4u - 1u);
    var low = vec4<f32>();
    var high = vec4<f32>();
    for (var row = local / OCTETS; row < D; row += LANES) {
        let w = table_octet((group.y * D + row) * GROUPS + at / 4u, at % 4u);
        low += w.low * w.low;
        high += w.high * w.high;
    }
    lows[local] = low;
    highs[local] = high;
    workgroupBarrier();
    if local >= OCTETS || octet >= GROUPS * 4u {
        return;
    }
    for (var lane = 1u; lane < LANES; lane++) {
        low += lows[lane * OCTETS + local];
        high += highs[lane * OCTETS + local];
    }
    let first = (group.y * GROUPS * 4u + octet) * 8u;
    for (var i = 0u; i < 4u; i++) {
        tokens[first + i] = vec2<f32>(sqrt(low[i]), 1.0);
        tokens[first + 4u + i] = vec2<f32>(sqrt(high[i]), 1.0);
    }
}
