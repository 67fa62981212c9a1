// Core of a matrix–vector product y = W·x for one token, four rows of W per lane group.
//
// A workgroup of WG threads is WG / LANES lane groups; the LANES threads of one share the groups of 32
// columns of its four rows. What a thread needs of the activations it reads once, into registers. x lies in workgroup
// memory, CHUNK_GROUPS groups at a time, since a whole row of activations may not fit into 16 KiB:
//   xs[j · CHUNK_GROUPS + g] = the j-th vec4 of group g, so that neighbouring lanes (neighbouring g)
//   read neighbouring addresses. For Q4 the j-th vec4 holds the even (j even) or odd (j odd) elements
//   of word j/2, which is the order in which nibbles fall out of a word.
// Constants: WG, LANES, CHUNK_GROUPS and those of table.wgsl.

#include "table.wgsl"
#include "reduce.wgsl"

const ROWS_PER_WG = WG / LANES * 4u;
const XS_STRIDE = CHUNK_GROUPS;
var<workgroup> xs: array<vec4<f32>, CHUNK_GROUPS * 8u>;

// An *item* is eight consecutive columns: word w (0 … 3) of a group of 32. A thread holds ITEMS of them.
const ITEMS = (GROUPS * 4u + WG - 1u) / WG;

// Puts eight columns, item `item` of those from group `first` on, into workgroup memory.
fn stage(item: u32, first: u32, a: vec4<f32>, b: vec4<f32>) {
    let at = (item & 3u) * 2u * XS_STRIDE + (item >> 2u) - first;
#if Q4
    xs[at] = vec4<f32>(a.xz, b.xz);
    xs[at + XS_STRIDE] = vec4<f32>(a.yw, b.yw);
#else
    xs[at] = a;
    xs[at + XS_STRIDE] = b;
#endif
}

// Adds the part of the product that groups `first` … `first + count − 1` give, for rows
// rows.x … rows.w; their x is in `xs`.
fn accumulate(rows: vec4<u32>, first: u32, count: u32, lane: u32, sum: vec4<f32>) -> vec4<f32> {
    var total = sum;
    for (var g = lane; g < count; g += LANES) {
        let x0 = xs[g];
        let x1 = xs[XS_STRIDE + g];
        let x2 = xs[2u * XS_STRIDE + g];
        let x3 = xs[3u * XS_STRIDE + g];
        let x4 = xs[4u * XS_STRIDE + g];
        let x5 = xs[5u * XS_STRIDE + g];
        let x6 = xs[6u * XS_STRIDE + g];
        let x7 = xs[7u * XS_STRIDE + g];
#if !F16
        // Σ (q − OFFSET)·x = Σ q·x − OFFSET·Σ x: the second sum is shared by the four rows.
        let offset = OFFSET * dot(x0 + x1 + x2 + x3 + x4 + x5 + x6 + x7, vec4<f32>(1.0));
#endif
        for (var r = 0u; r < 4u; r++) {
            let index = rows[r] * GROUPS + first + g;
#if Q4
            let w = table_quants[index];
            let products = even_nibbles(w.x) * x0 + odd_nibbles(w.x) * x1 + even_nibbles(w.y) * x2 + odd_nibbles(w.y) * x3
                + even_nibbles(w.z) * x4 + odd_nibbles(w.z) * x5 + even_nibbles(w.w) * x6 + odd_nibbles(w.w) * x7;
            total[r] += table_scale(index) * (dot(products, vec4<f32>(1.0)) - offset);
#endif
#if Q8
            let a = table_quants[index * 2u];
            let b = table_quants[index * 2u + 1u];
            let products = bytes(a.x) * x0 + bytes(a.y) * x1 + bytes(a.z) * x2 + bytes(a.w) * x3
                + bytes(b.x) * x4 + bytes(b.y) * x5 + bytes(b.z) * x6 + bytes(b.w) * x7;
            total[r] += table_scale(index) * (dot(products, vec4<f32>(1.0)) - offset);
#endif
#if F16
            let a = table_quants[index * 4u];
            let b = table_quants[index * 4u + 1u];
            let c = table_quants[index * 4u + 2u];
            let d = table_quants[index * 4u + 3u];
            total[r] += dot(halves(a.x, a.y), x0) + dot(halves(a.z, a.w), x1) + dot(halves(b.x, b.y), x2)
                + dot(halves(b.z, b.w), x3) + dot(halves(c.x, c.y), x4) + dot(halves(c.z, c.w), x5)
                + dot(halves(d.x, d.y), x6) + dot(halves(d.z, d.w), x7);
#endif
        }
    }
    return total;
}

var<workgroup> lane_sums: array<vec4<f32>, WG>;

// Sum over the lanes of each lane group; valid in lane 0. Every thread of the workgroup must call it.
fn sum_lanes(local: u32, value: vec4<f32>) -> vec4<f32> {
#if SUBGROUPS
    var own = value;
    let width = min(LANES, subgroup_width);
    // The bound must be uniform to the compiler, which does not know that the width is.
    for (var step = 1u; step < LANES; step <<= 1u) {
        own += select(vec4<f32>(), subgroupShuffleXor(own, step), step < width);
    }
    if local % width == 0u {
        lane_sums[local / width] = own;
    }
    workgroupBarrier();
    var sum = vec4<f32>();
    for (var i = 0u; i < LANES / width; i++) {
        sum += lane_sums[local / LANES * (LANES / width) + i];
    }
    return sum;
#else
    lane_sums[local] = value;
    for (var half = LANES / 2u; half > 0u; half >>= 1u) {
        workgroupBarrier();
        if (local % LANES) < half {
            lane_sums[local] += lane_sums[local + half];
        }
    }
    return lane_sums[local];
#endif
}
