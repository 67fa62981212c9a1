// dX = dY·W, the backward pass of a product Y = X·Wᵀ; the table is dequantized once per tile into workgroup memory. The
// rows of W may be divided into equal segments; segment z has its own columns of dX, as matmul.wgsl reads its own
// columns of X. The sum over rows may be split into parts, so that there are enough workgroups; add_parts.wgsl adds
// them.
//
// Bindings
//   0, 1  table W[segments · segment_rows, 32·groups] (table.wgsl)
//   2     step   uniform Step
//   3     dy     f32 [T, y_stride]; row r of W meets column y_start + r
//   4     dx     f32 [T, segments · 32·groups] as vec4<f32>; with parts [parts, T, …]
//   5     shape  uniform Shape, that of Y = X·Wᵀ; parts are those of the sum over rows
// Grid: (ceil(32·groups / TILE_N), ceil(T / TILE_T), segments · parts) workgroups of 128 threads.
//
// A thread computes 8 tokens × 8 columns. Both tiles are in workgroup memory in the order of multiplication: for each
// row of W four vectors are read for 64 multiplications. Tables yield runs of columns, so only dY is transposed, of
// which a thread reads four tokens at a row. 32 threads multiply 16 tokens with 32 columns at a time. Indices that
// differ between a thread's reads are constants, not variables: otherwise every read has a bounds check.

#include "table_octet.wgsl"
#include "step.wgsl"
#include "shape.wgsl"

const TILE_T = 64u;
const TILE_N = 128u;
// Rows of W that are multiplied at a time.
const ROUND = 16u;

@group(0) @binding(2) var<uniform> step: Step;
@group(0) @binding(3) var<storage, read> dy: array<f32>;
@group(0) @binding(4) var<storage, read_write> dx: array<vec4<f32>>;
@group(0) @binding(5) var<uniform> shape: Shape;

// [r][i] holds tokens 4·i … 4·i + 3 at row r, and [r][i / 16][i % 16] columns 4·i … 4·i + 3 of row r. There is one
// padding vector of tokens, so that neighbouring threads write to different banks.
var<workgroup> xs: array<array<vec4<f32>, 17>, 16>;
var<workgroup> ws: array<array<array<vec4<f32>, 16>, 2>, 16>;

@compute @workgroup_size(128)
fn main(@builtin(local_invocation_index) local: u32, @builtin(workgroup_id) group: vec3<u32>) {
    let segment = group.z % shape.segments;
    let part = group.z / shape.segments;
    let c0 = group.x * TILE_N;
    let t0 = group.y * TILE_T;
    let tq = local / 32u % 2u * 4u + local % 32u / 8u; // results of tokens t0 + 4·tq … + 3, and 32 further on
    let nq = local / 64u * 8u + local % 8u; // and columns c0 + 4·nq … + 3, and 64 further on
    let load = local / 16u; // loads what belongs to these tokens and columns, or rows
    let rq = local % 16u; // and to this row, or octet of columns
    let first_row = segment * shape.segment_rows;
    let last = step.count - 1u;
    // Tokens past the end are copies of the last, columns past the end of those before, and neither is stored.
    #unroll I 2
    #unroll K 4
    let dy$I_$K = min(t0 + $Iu * 32u + load * 4u + $Ku, last) * shape.y_stride + shape.y_start + first_row;
    #end
    #end
    let octet = min(c0 / 8u + rq, shape.groups * 4u - 1u);
    #unroll I 8
    #unroll J 2
    var c$I_$J = vec4<f32>();
    #end
    #end

    let rounds = (shape.segment_rows + ROUND - 1u) / ROUND;
    let end = (part + 1u) * rounds / shape.parts;
    for (var round = part * rounds / shape.parts; round < end; round++) {
        let r = round * ROUND + rq;
        #unroll I 2
        var v$I = vec4<f32>();
        if r < shape.segment_rows {
            v$I = vec4<f32>(dy[dy$I_0 + r], dy[dy$I_1 + r], dy[dy$I_2 + r], dy[dy$I_3 + r]);
        }
        let row$I = first_row + min(round * ROUND + $Iu * 8u + load, shape.segment_rows - 1u);
        let octet$I = table_octet(row$I * shape.groups + octet / 4u, octet % 4u);
        #end
        workgroupBarrier();
        #unroll I 2
        xs[rq][$Iu * 8u + load] = v$I;
        ws[$Iu * 8u + load][rq / 8u][rq % 8u * 2u] = octet$I.low;
        ws[$Iu * 8u + load][rq / 8u][rq % 8u * 2u + 1u] = octet$I.high;
        #end
        workgroupBarrier();
        #unroll K 16
        let a$K_0 = xs[$K][tq];
        let a$K_1 = xs[$K][tq + 8u];
        #unroll J 2
        let w$K_$J = ws[$K][$J][nq];
        c0_$J = fma(vec4<f32>(a$K_0.x), w$K_$J, c0_$J);
        c1_$J = fma(vec4<f32>(a$K_0.y), w$K_$J, c1_$J);
        c2_$J = fma(vec4<f32>(a$K_0.z), w$K_$J, c2_$J);
        c3_$J = fma(vec4<f32>(a$K_0.w), w$K_$J, c3_$J);
        c4_$J = fma(vec4<f32>(a$K_1.x), w$K_$J, c4_$J);
        c5_$J = fma(vec4<f32>(a$K_1.y), w$K_$J, c5_$J);
        c6_$J = fma(vec4<f32>(a$K_1.z), w$K_$J, c6_$J);
        c7_$J = fma(vec4<f32>(a$K_1.w), w$K_$J, c7_$J);
        #end
        #end
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
