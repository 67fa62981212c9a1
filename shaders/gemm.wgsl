// C = scale · A·B of f32 matrices, many products at once: those of attention, and those with a pack's tokens.
//   A_TRANSPOSED     A is stored as [k, m]
//   B_TRANSPOSED     B is stored as [n, k]
//   ADD              C += scale · A·B
//   CAUSAL_C         tiles of C entirely above its diagonal are not needed, and left unwritten
//   CAUSAL_A         A is zero above its diagonal, and undefined beyond the tile that contains it
//
// Bindings
//   0  shape  uniform GemmShape
//   1  a      f32
//   2  b      f32
//   3  c      f32
// Grid: (ceil(n / TILE), ceil(m / TILE), products · parts) workgroups of 256 threads: product z % products, part
// z / products. Constants: none.
//
// A thread computes 4 × 4 results. Its rows and columns are 16 apart: neighbouring threads read neighbouring addresses,
// and 32 of them 4 rows and 8 columns. Indices that differ between a thread's reads are constants, not variables:
// otherwise every read has a bounds check.

#include "gemm_shape.wgsl"

const TILE = 64u;
// How much of k is multiplied at a time, in vectors of four.
const ROUND = 4u;

@group(0) @binding(0) var<uniform> shape: GemmShape;
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>;
@group(0) @binding(3) var<storage, read_write> c: array<f32>;

// [k][i / 16][i % 16] holds 4·k … 4·k + 3 of row i of A, or of column i of B. Each 16 have one padding element, so that
// neighbouring threads write to different banks.
var<workgroup> rows: array<array<array<vec4<f32>, 17>, 4>, 4>;
var<workgroup> columns: array<array<array<vec4<f32>, 17>, 4>, 4>;

fn start(operand: vec4<u32>, product: u32) -> u32 {
    return operand.x + product / shape.inner * operand.z + product % shape.inner * operand.w;
}

@compute @workgroup_size(256)
fn main(
    @builtin(local_invocation_index) local: u32,
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
) {
    let products = grid.z / shape.parts;
    let product = group.z % products;
    let part = group.z / products;
    let i0 = group.y * TILE;
    let j0 = group.x * TILE;
    var first = 0u;
    var end = shape.k;
#if CAUSAL_C
    if j0 > i0 + TILE - 1u {
        return;
    }
#endif
#if CAUSAL_A
#if A_TRANSPOSED
    first = i0;
#else
    end = min(end, i0 + TILE);
#endif
#endif
    let rounds = (end - first + 4u * ROUND - 1u) / (4u * ROUND);
    let last_round = (part + 1u) * rounds / shape.parts;
    let a0 = start(shape.a, product);
    let b0 = start(shape.b, product);

    // Where this thread writes what it loads: row or column i, vector k. Neighbouring threads read contiguous elements.
#if A_TRANSPOSED
    let ai = local % TILE;
    let ak = local / TILE;
    let a_from = a0 + min(i0 + ai, shape.m - 1u);
    let a_step = shape.a.y;
#else
    let ai = local / ROUND;
    let ak = local % ROUND;
    let a_from = a0 + min(i0 + ai, shape.m - 1u) * shape.a.y;
    let a_step = 1u;
#endif
#if B_TRANSPOSED
    let bj = local / ROUND;
    let bk = local % ROUND;
    let b_from = b0 + min(j0 + bj, shape.n - 1u) * shape.b.y;
    let b_step = 1u;
#else
    let bj = local % TILE;
    let bk = local / TILE;
    let b_from = b0 + min(j0 + bj, shape.n - 1u);
    let b_step = shape.b.y;
#endif
    let ti = local / 64u * 4u + local % 32u / 8u;
    let tj = local / 32u % 2u * 8u + local % 8u;
    #unroll I 4
    #unroll J 4
    var c$I_$J = 0.0;
    #end
    #end

    for (var round = part * rounds / shape.parts; round < last_round; round++) {
        let k0 = first + round * 4u * ROUND;
        // Elements past the end are zero in both, since one of them may hold NaN.
        var va = vec4<f32>();
        var vb = vec4<f32>();
        #unroll K 4
        let ka$K = k0 + ak * 4u + $Ku;
        if ka$K < end {
            va[$K] = a[a_from + ka$K * a_step];
        }
        let kb$K = k0 + bk * 4u + $Ku;
        if kb$K < end {
            vb[$K] = b[b_from + kb$K * b_step];
        }
        #end
        workgroupBarrier();
        rows[ak][ai / 16u][ai % 16u] = va;
        columns[bk][bj / 16u][bj % 16u] = vb;
        workgroupBarrier();
        #unroll K 4
        #unroll I 4
        let a$K_$I = rows[$K][$I][ti];
        #end
        #unroll J 4
        let b$K_$J = columns[$K][$J][tj];
        #unroll I 4
        c$I_$J = fma(a$K_$I.w, b$K_$J.w, fma(a$K_$I.z, b$K_$J.z, fma(a$K_$I.y, b$K_$J.y, fma(a$K_$I.x, b$K_$J.x, c$I_$J))));
        #end
        #end
        #end
    }

    let c0 = start(shape.c, product) + part * shape.part_stride;
    #unroll I 4
    if i0 + ti + $Iu * 16u < shape.m {
        let at = c0 + (i0 + ti + $Iu * 16u) * shape.c.y + j0 + tj;
        #unroll J 4
        if j0 + tj + $Ju * 16u < shape.n {
#if ADD
            c[at + $Ju * 16u] += shape.scale * c$I_$J;
#else
            c[at + $Ju * 16u] = shape.scale * c$I_$J;
#endif
        }
        #end
    }
    #end
}
