// Core of a matrix–vector product y = W·x for one token, four rows of W per lane group.
//
// A workgroup of WG threads is WG / LANES lane groups; the LANES threads of one share the groups of 32
// columns of its four rows. A thread reads the activations that it needs once, into registers. x is in workgroup
// memory (group.wgsl), CHUNK_GROUPS groups at a time, since a whole row of activations may not fit into 16 KiB.
// Constants: WG, LANES, CHUNK_GROUPS and those of table.wgsl.

#include "group.wgsl"
#include "reduce.wgsl"

const ROWS_PER_WG = WG / LANES * 4u;
const XS_STRIDE = CHUNK_GROUPS;
const XS = CHUNK_GROUPS * 8u;

// An *item* is eight consecutive columns: word w (0 … 3) of a group of 32. A thread holds ITEMS of them.
const ITEMS = (GROUPS * 4u + WG - 1u) / WG;

// Puts eight columns, item `item` relative to group `first`, into workgroup memory.
fn stage(item: u32, first: u32, a: vec4<f32>, b: vec4<f32>) {
    let slot = (item & 3u) * 2u;
    let group = (item >> 2u) - first;
#if Q4
    stage_slot(Place(slot, group, XS_STRIDE), vec4<f32>(a.xz, b.xz), 0.0);
    stage_slot(Place(slot + 1u, group, XS_STRIDE), vec4<f32>(a.yw, b.yw), 0.0);
#else
    stage_slot(Place(slot, group, XS_STRIDE), a, 0.0);
    stage_slot(Place(slot + 1u, group, XS_STRIDE), b, 0.0);
#endif
}

// One group of each of a thread's four rows.
struct Groups {
    #unroll R 4
    g$R: Group,
    #end
}

fn load_groups(rows: vec4<u32>, g: u32) -> Groups {
    var w: Groups;
    #unroll R 4
    w.g$R = load_group(rows[$R] * GROUPS + g, 0u, 0u);
    #end
    return w;
}

// Adds the contribution of group `g` of the rows; its x is in `xs` as group `at`.
fn add_products(rows: vec4<u32>, g: u32, at: u32, groups: Groups, sum: vec4<f32>) -> vec4<f32> {
    let x = load_activations(0u, at, XS_STRIDE);
    var total = sum;
    #unroll R 4
    total[$R] += group_product(groups.g$R, rows[$R] * GROUPS + g, x);
    #end
    return total;
}

// All that a thread reads of the table, ROUNDS times one group of each row. With AHEAD it is requested before the
// activations are read and normalized, since memory latency is longer than that. (Without, a thread has too many
// groups for its registers, or the activations come in chunks; then nothing is prefetched.)
struct Ahead {
#if AHEAD
    #unroll I ROUNDS
    r$I: Groups,
    #end
#else
    nothing: u32,
#endif
}

fn load_ahead(rows: vec4<u32>, lane: u32) -> Ahead {
    var ahead: Ahead;
#if AHEAD
    #unroll I ROUNDS
    ahead.r$I = load_groups(rows, min(lane + $Iu * LANES, GROUPS - 1u));
    #end
#endif
    return ahead;
}

// Adds the contribution of groups `first` … `first + count − 1` to the product, for rows rows.x … rows.w; their x is
// in `xs`.
fn accumulate(rows: vec4<u32>, first: u32, count: u32, lane: u32, sum: vec4<f32>, ahead: Ahead) -> vec4<f32> {
    var total = sum;
#if AHEAD
    #unroll I ROUNDS
    if lane + $Iu * LANES < GROUPS {
        total = add_products(rows, lane + $Iu * LANES, lane + $Iu * LANES, ahead.r$I, total);
    }
    #end
#else
    for (var g = lane; g < count; g += LANES) {
        total = add_products(rows, first + g, g, load_groups(rows, first + g), total);
    }
#endif
    return total;
}

var<workgroup> lane_sums: array<vec4<f32>, WG>;

// Sum over the lanes of each lane group; valid in lane 0. Every thread of the workgroup must call this.
fn sum_lanes(local: u32, value: vec4<f32>) -> vec4<f32> {
#if SUBGROUPS
    var own = value;
    let width = min(LANES, subgroup_width);
    // The bound must be uniform for the compiler, which does not know that the width is.
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
