// Y = X·Wᵀ for a few tokens, one of each of several texts: each element of the table is read once and multiplied with all.
//   RESIDUAL   Y += X·Wᵀ
// The rows of W may be divided into equal segments, as in matmul.wgsl.
//
// Bindings
//   0, 1  table W[segments · segment_rows, 32·groups] (table.wgsl)
//   2     step   uniform Step
//   3     x      f32 [T, segments · 32·groups] as vec4<f32>
//   4     y      f32 [T, y_stride], written from column y_start on
//   5     shape  uniform Shape
// Grid: ceil(rows of W / ROWS_PER_WG) workgroups, in x and y if there are more than 65,535.
// Constants: TOKENS, the maximum number of tokens.
//
// Neighbouring lanes take neighbouring octets of columns of the same rows of W, so that their reads of table and
// activations are contiguous. A thread computes four rows of all tokens.

#include "table_octet.wgsl"
#include "step.wgsl"
#include "shape.wgsl"

const WG = 64u;
const LANES = 32u;
const ROWS_PER_WG = WG / LANES * 4u;

@group(0) @binding(2) var<uniform> step: Step;
@group(0) @binding(3) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;
@group(0) @binding(5) var<uniform> shape: Shape;

// [4·token + row of W][thread].
var<workgroup> sums: array<f32, 4u * TOKENS * WG>;

@compute @workgroup_size(WG)
fn main(
    @builtin(local_invocation_index) local: u32,
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
) {
    let lane = local % LANES;
    let rows = shape.segments * shape.segment_rows;
    let first = (group.y * grid.x + group.x) * ROWS_PER_WG;
    // Segments are multiples of ROWS_PER_WG rows, so a workgroup has one. Rows past the end are copies of the last.
    let segment = min(first, rows - 1u) / shape.segment_rows;
    #unroll R 4
    let row$R = min(first + local / LANES * 4u + $Ru, rows - 1u) * shape.groups;
    #end
    #unroll T TOKENS
    let x$T = ($Tu * shape.segments + segment) * shape.groups * 8u;
    var c$T = vec4<f32>();
    #end
    for (var octet = lane; octet < shape.groups * 4u; octet += LANES) {
        #unroll R 4
        let w$R = table_octet(row$R + octet / 4u, octet % 4u);
        #end
        #unroll T TOKENS
        let low$T = x[x$T + octet * 2u];
        let high$T = x[x$T + octet * 2u + 1u];
        c$T += vec4<f32>(
            dot(w0.low, low$T) + dot(w0.high, high$T),
            dot(w1.low, low$T) + dot(w1.high, high$T),
            dot(w2.low, low$T) + dot(w2.high, high$T),
            dot(w3.low, low$T) + dot(w3.high, high$T),
        );
        #end
    }
    #unroll T TOKENS
    #unroll R 4
    sums[($Tu * 4u + $Ru) * WG + local] = c$T[$R];
    #end
    #end
    workgroupBarrier();
    // Every thread sums the lanes of some of the results, each starting with another lane.
    for (var i = local; i < TOKENS * ROWS_PER_WG; i += WG) {
        let token = i / ROWS_PER_WG;
        let in_group = i % ROWS_PER_WG;
        let row = first + in_group;
        let begin = (token * 4u + in_group % 4u) * WG + in_group / 4u * LANES;
        var sum = 0.0;
        for (var k = 0u; k < LANES; k++) {
            sum += sums[begin + (k + local) % LANES];
        }
        if token < step.count && row < rows {
            let at = token * shape.y_stride + shape.y_start + row;
#if RESIDUAL
            y[at] += sum;
#else
            y[at] = sum;
#endif
        }
    }
}
