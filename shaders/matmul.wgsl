// Y = X·Wᵀ for the tokens of a chunk; the table is dequantized once per tile into workgroup memory.
//   RESIDUAL   Y += X·Wᵀ
// The rows of W may be divided into equal segments; segment z reads its own columns of X (the value tables of
// query, key and value, each with its own weights). If a table has few rows, the sum over columns is split into
// parts, so that there are enough workgroups; sum_parts.wgsl adds them.
//
// Bindings
//   0, 1  table W[segments · segment_rows, 32·groups] (table.wgsl)
//   2     step   uniform Step
//   3     x      f32 [T, segments · 32·groups] as vec4<f32>
//   4     y      f32 [T, y_stride], written from column y_start on; with parts [parts, T, y_stride]
//   5     shape  uniform Shape: not constants, so that one pipeline serves every table of a model
// Grid: (ceil(segment_rows / TILE_N), ceil(T / TILE_T), segments · parts) workgroups of 128 threads.
//
// A thread computes 8 × 8 results, so that for four columns 16 reads of workgroup memory feed 256 multiplications. Its
// tokens and rows are 8 and 16 apart: neighbouring threads read neighbouring addresses. Indices that differ between a
// thread's reads are constants, not variables: otherwise every read has a bounds check.

#include "table_octet.wgsl"
#include "step.wgsl"
#include "shape.wgsl"

const TILE_T = 64u;
const TILE_N = 128u;

@group(0) @binding(2) var<uniform> step: Step;
@group(0) @binding(3) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;
@group(0) @binding(5) var<uniform> shape: Shape;

// 16 columns of both tiles: [k][i / 8][i % 8] of token i, and [k][i / 16][i % 16] of row i, hold columns 4·k … 4·k + 3.
var<workgroup> xs: array<array<array<vec4<f32>, 8>, 8>, 4>;
var<workgroup> ws: array<array<array<vec4<f32>, 16>, 8>, 4>;

@compute @workgroup_size(128)
fn main(@builtin(local_invocation_index) local: u32, @builtin(workgroup_id) group: vec3<u32>) {
    let segment = group.z % shape.segments;
    let part = group.z / shape.segments;
    let n0 = group.x * TILE_N;
    let t0 = group.y * TILE_T;
    let tq = local / 16u; // tokens t0 + tq, + 8, …
    let nq = local % 16u; // rows n0 + nq, + 16, …
    // Tokens and rows past the end are copies of the last and are never stored.
    let row = (segment * shape.segment_rows + min(n0 + local, shape.segment_rows - 1u)) * shape.groups;
    #unroll I 2
    let token$I = min(t0 + (local + $Iu * 128u) / 4u, step.count - 1u);
    let from$I = (token$I * shape.segments + segment) * shape.groups * 8u + local % 4u;
    #end
    #unroll I 8
    #unroll J 8
    var c$I_$J = 0.0;
    #end
    #end

    // A round is half a group of 32 columns.
    let rounds = shape.groups * 2u;
    let end = (part + 1u) * rounds / shape.parts;
    for (var round = part * rounds / shape.parts; round < end; round++) {
        #unroll I 2
        let v$I = x[from$I + round * 4u];
        let octet$I = table_octet(row + round / 2u, round % 2u * 2u + $Iu);
        #end
        workgroupBarrier();
        #unroll I 2
        xs[local % 4u][local / 32u + $Iu * 4u][local / 4u % 8u] = v$I;
        ws[$Iu * 2u][local / 16u][local % 16u] = octet$I.low;
        ws[$Iu * 2u + 1u][local / 16u][local % 16u] = octet$I.high;
        #end
        workgroupBarrier();
        #unroll K 4
        #unroll I 8
        let a$K_$I = xs[$K][$I][tq];
        #end
        #unroll J 8
        let w$K_$J = ws[$K][$J][nq];
        #unroll I 8
        c$I_$J = fma(a$K_$I.w, w$K_$J.w, fma(a$K_$I.z, w$K_$J.z, fma(a$K_$I.y, w$K_$J.y, fma(a$K_$I.x, w$K_$J.x, c$I_$J))));
        #end
        #end
        #end
    }

    #unroll I 8
    if t0 + tq + $Iu * 8u < step.count {
        let at = (part * step.count + t0 + tq + $Iu * 8u) * shape.y_stride + shape.y_start + segment * shape.segment_rows;
        #unroll J 8
        if n0 + nq + $Ju * 16u < shape.segment_rows {
#if RESIDUAL
            y[at + n0 + nq + $Ju * 16u] += c$I_$J;
#else
            y[at + n0 + nq + $Ju * 16u] = c$I_$J;
#endif
        }
        #end
    }
    #end
}
