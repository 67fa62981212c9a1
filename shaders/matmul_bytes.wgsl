// Y = X·Wᵀ like matmul.wgsl, for a quantized table (Q4, Q8), by products of bytes: dot4I8Packed multiplies and adds four
// at a time. An activation is two bytes (rows_in_bytes.wgsl), an element of the table one. Their sums over 32 columns,
// which share both scales, are exact.
//   RESIDUAL   Y += X·Wᵀ
//
// Bindings
//   0, 1  table W[segments · segment_rows, 32·groups] (table.wgsl)
//   2     step      uniform Step
//   3     x         u32 [T, segments · groups, 16] as vec4<u32>
//   4     y         f32 [T, y_stride], written from column y_start on; with parts [parts, T, y_stride]
//   5     shape     uniform Shape
//   6     x_scales  f32 [T, segments · groups]
// Grid: (ceil(segment_rows / TILE_N), ceil(T / TILE_T), segments · parts) workgroups of 128 threads.
//
// A thread computes 8 × 4 results, for tokens 8 apart and rows 16 apart, as in matmul.wgsl.

#include "signed_bytes.wgsl"
#include "step.wgsl"
#include "shape.wgsl"

const TILE_T = 64u;
const TILE_N = 64u;

@group(0) @binding(2) var<uniform> step: Step;
@group(0) @binding(3) var<storage, read> x: array<vec4<u32>>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;
@group(0) @binding(5) var<uniform> shape: Shape;
@group(0) @binding(6) var<storage, read> x_scales: array<f32>;

// A group of 32 columns of both tiles: [k][i / 8][i % 8] of token i has four of its words, first the coarse ones; and
// [k][i / 16][i % 16] of row i.
var<workgroup> xs: array<array<array<vec4<u32>, 8>, 8>, 4>;
var<workgroup> ws: array<array<array<vec4<u32>, 16>, 4>, 2>;
var<workgroup> scales_of_x: array<f32, TILE_T>;
var<workgroup> scales_of_w: array<f32, TILE_N>;

// Sixteen products.
fn sixteen(w: vec4<u32>, x: vec4<u32>) -> i32 {
    return dot4I8Packed(w.x, x.x) + dot4I8Packed(w.y, x.y) + dot4I8Packed(w.z, x.z) + dot4I8Packed(w.w, x.w);
}

@compute @workgroup_size(128)
fn main(@builtin(local_invocation_index) local: u32, @builtin(workgroup_id) group: vec3<u32>) {
    let segment = group.z % shape.segments;
    let part = group.z / shape.segments;
    let n0 = group.x * TILE_N;
    let t0 = group.y * TILE_T;
    let tq = local / 16u; // tokens t0 + tq, + 8, …
    let nq = local % 16u; // rows n0 + nq, + 16, …
    // Tokens and rows past the end are copies of the last and are never stored.
    let own = local % 64u;
    let half = local / 64u;
    let row = (segment * shape.segment_rows + min(n0 + own, shape.segment_rows - 1u)) * shape.groups;
    let token = (min(t0 + own, step.count - 1u) * shape.segments + segment) * shape.groups;
    #unroll I 2
    let token$I = min(t0 + (local + $Iu * 128u) / 4u, step.count - 1u);
    let from$I = (token$I * shape.segments + segment) * shape.groups * 4u + local % 4u;
    #end
    #unroll I 8
    #unroll J 4
    var c$I_$J = 0.0;
    #end
    #end

    let end = (part + 1u) * shape.groups / shape.parts;
    for (var g = part * shape.groups / shape.parts; g < end; g++) {
        #unroll I 2
        let v$I = x[from$I + g * 4u];
        #end
#if Q4
        let words = table_quants[row + g];
        let w = signed_bytes(select(words.xy, words.zw, half == 1u));
#else
        let w = signed_bytes(table_quants[(row + g) * 2u + half]);
#endif
        // Half of the threads load a scale of W, the others one of X.
        var scale = 0.0;
        if half == 0u {
            scale = table_scale(row + g) / WEIGHT_UNIT;
        } else {
            scale = x_scales[token + g];
        }
        workgroupBarrier();
        #unroll I 2
        xs[local % 4u][local / 32u + $Iu * 4u][local / 4u % 8u] = v$I;
        #end
        ws[half][own / 16u][own % 16u] = w;
        if half == 0u {
            scales_of_w[own] = scale;
        } else {
            scales_of_x[own] = scale;
        }
        workgroupBarrier();
        #unroll J 4
        let w$J = ws[0][$J][nq];
        let ww$J = ws[1][$J][nq];
        let scale$J = scales_of_w[$Ju * 16u + nq];
        #end
        #unroll I 8
        let x$I = xs[0][$I][tq];
        let xx$I = xs[1][$I][tq];
        let f$I = xs[2][$I][tq];
        let ff$I = xs[3][$I][tq];
        let unit$I = scales_of_x[$Iu * 8u + tq];
        #unroll J 4
        let sum$I_$J = ((sixteen(w$J, x$I) + sixteen(ww$J, xx$I)) << 8u) + sixteen(w$J, f$I) + sixteen(ww$J, ff$I);
        c$I_$J = fma(f32(sum$I_$J), unit$I * scale$J, c$I_$J);
        #end
        #end
    }

    #unroll I 8
    if t0 + tq + $Iu * 8u < step.count {
        let at = (part * step.count + t0 + tq + $Iu * 8u) * shape.y_stride + shape.y_start + segment * shape.segment_rows;
        #unroll J 4
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
