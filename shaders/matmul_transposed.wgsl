// dX = dY·W, the way back through a product Y = X·Wᵀ; the table is dequantized once per tile into workgroup memory.
// The rows of W may fall into equal segments; segment z has its own columns of dX, as matmul.wgsl reads columns of their
// own of X. The sum over rows may be split into parts, so that there are workgroups enough; add_parts.wgsl joins them.
//
// Bindings
//   0, 1  table W[segments · segment_rows, 32·groups] (table.wgsl)
//   2     step   uniform Step
//   3     dy     f32 [T, y_stride]; row r of W meets column y_start + r
//   4     dx     f32 [T, segments · 32·groups] as vec4<f32>; with parts [parts, T, …]
//   5     shape  uniform Shape, that of Y = X·Wᵀ; parts are those of the sum over rows
// Grid: (ceil(32·groups / TILE_N), ceil(T / TILE_T), segments · parts) workgroups of 128 threads.
//
// A thread makes 8 tokens × 8 columns. Both tiles lie in workgroup memory as they are multiplied: for each row of W four
// vectors are read for 64 multiplications. Elements come out of a table in runs of columns, so nothing is transposed but
// dY, of which a thread reads four tokens at a row.

#include "table_octet.wgsl"
#include "step.wgsl"
#include "shape.wgsl"

const TILE_T = 64u;
const TILE_N = 128u;
// Rows of W that are multiplied at a time.
const ROUND = 16u;
// Vectors from row to row of xs: one more than there are, so that neighbouring threads write to different banks.
const XS_STRIDE = TILE_T / 4u + 1u;
const WS_STRIDE = TILE_N / 4u;

@group(0) @binding(2) var<uniform> step: Step;
@group(0) @binding(3) var<storage, read> dy: array<f32>;
@group(0) @binding(4) var<storage, read_write> dx: array<vec4<f32>>;
@group(0) @binding(5) var<uniform> shape: Shape;

// [r · XS_STRIDE + i] holds tokens 4·i … 4·i + 3 at row r, [r · WS_STRIDE + i] columns 4·i … 4·i + 3 of row r.
var<workgroup> xs: array<vec4<f32>, ROUND * XS_STRIDE>;
var<workgroup> ws: array<vec4<f32>, ROUND * WS_STRIDE>;

@compute @workgroup_size(128)
fn main(@builtin(local_invocation_index) local: u32, @builtin(workgroup_id) group: vec3<u32>) {
    let segment = group.z % shape.segments;
    let part = group.z / shape.segments;
    let c0 = group.x * TILE_N;
    let t0 = group.y * TILE_T;
    let tq = local / 16u; // tokens t0 + 4·tq … + 3, and 32 further on
    let nq = local % 16u; // columns c0 + 4·nq … + 3, and 64 further on
    let first_row = segment * shape.segment_rows;
    let last = step.count - 1u;
    // Tokens past the end are copies of the last, columns past the end of those before, and neither is stored.
    #unroll I 2
    #unroll K 4
    let dy$I_$K = min(t0 + $Iu * 32u + tq * 4u + $Ku, last) * shape.y_stride + shape.y_start + first_row;
    #end
    #end
    let octet = min(c0 / 8u + nq, shape.groups * 4u - 1u);
    #unroll I 8
    #unroll J 2
    var c$I_$J = vec4<f32>();
    #end
    #end

    let rounds = (shape.segment_rows + ROUND - 1u) / ROUND;
    let end = (part + 1u) * rounds / shape.parts;
    for (var round = part * rounds / shape.parts; round < end; round++) {
        let r = round * ROUND + nq;
        #unroll I 2
        var v$I = vec4<f32>();
        if r < shape.segment_rows {
            v$I = vec4<f32>(dy[dy$I_0 + r], dy[dy$I_1 + r], dy[dy$I_2 + r], dy[dy$I_3 + r]);
        }
        let row$I = first_row + min(round * ROUND + $Iu * 8u + tq, shape.segment_rows - 1u);
        let octet$I = table_octet(row$I * shape.groups + octet / 4u, octet % 4u);
        #end
        workgroupBarrier();
        #unroll I 2
        xs[nq * XS_STRIDE + $Iu * 8u + tq] = v$I;
        ws[($Iu * 8u + tq) * WS_STRIDE + nq * 2u] = octet$I.low;
        ws[($Iu * 8u + tq) * WS_STRIDE + nq * 2u + 1u] = octet$I.high;
        #end
        workgroupBarrier();
        for (var k = 0u; k < ROUND; k++) {
            let a0 = xs[k * XS_STRIDE + tq];
            let a1 = xs[k * XS_STRIDE + 8u + tq];
            #unroll J 2
            let w$J = ws[k * WS_STRIDE + $Ju * 16u + nq];
            c0_$J = fma(vec4<f32>(a0.x), w$J, c0_$J);
            c1_$J = fma(vec4<f32>(a0.y), w$J, c1_$J);
            c2_$J = fma(vec4<f32>(a0.z), w$J, c2_$J);
            c3_$J = fma(vec4<f32>(a0.w), w$J, c3_$J);
            c4_$J = fma(vec4<f32>(a1.x), w$J, c4_$J);
            c5_$J = fma(vec4<f32>(a1.y), w$J, c5_$J);
            c6_$J = fma(vec4<f32>(a1.z), w$J, c6_$J);
            c7_$J = fma(vec4<f32>(a1.w), w$J, c7_$J);
            #end
        }
    }

    let columns = shape.groups * 8u; // in vectors
    #unroll I 8
    let token$I = t0 + $Iu / 4u * 32u + tq * 4u + $Iu % 4u;
    if token$I <= last {
        let at = ((part * step.count + token$I) * shape.segments + segment) * columns;
        #unroll J 2
        let column$J = c0 / 4u + $Ju * 16u + nq;
        if column$J < columns {
            dx[at + column$J] = c$I_$J;
        }
        #end
    }
    #end
}
