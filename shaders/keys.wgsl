// First half of a Pattention for one token, and the LM head: y = W·f(x).
//   LAYERNORM   f = LN                       scores of query, key, value (fused) or of the feed-forward part
//   COMBINE     f combines the parts of a split attention: scores of the output projection
//   FINAL_NORM  f = LN(·)·w + b              logits, W = E
//   PACKS       rows of a second table, of f32, follow those of W: packs' tokens
//
// Bindings
//   0, 1  table W[ROWS, 32·GROUPS] (table.wgsl)
//   2     step      uniform Step
//   3     x         f32 [T, 32·GROUPS]: the residual stream h, of which row step.row is read (row 0
//                   unless FINAL_NORM); for COMBINE the parts that attention_decode.wgsl left
//   4     y         f32 [ROWS], from Y_START on; with PACKS [ROWS + PACK_ROWS]
//   5     norm      f32 [2, 32·GROUPS]: w, then b (FINAL_NORM only)
//   6     pack_keys  f32 [PACK_ROWS, 32·GROUPS] as vec4<f32> (PACKS only)
// Grid: ceil(ROWS / ROWS_PER_WG) workgroups, with PACKS one more for each of their rows; in x and y if there are more than 65,535.
// Constants: ROWS, Y_START, EPSILON (LayerNorm), for COMBINE those of attention_decode.wgsl, and for PACKS PACK_ROWS and
// TABLE_WORKGROUPS, those for the rows of W.

#include "matvec.wgsl"
#include "step.wgsl"

const COLS = GROUPS * 32u;
@group(0) @binding(2) var<uniform> step: Step;
@group(0) @binding(3) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;
#if FINAL_NORM
@group(0) @binding(5) var<storage, read> norm: array<vec4<f32>>;
#endif
#if PACKS
@group(0) @binding(6) var<storage, read> pack_keys: array<vec4<f32>>;
#endif
#if COMBINE
#include "attention_parts.wgsl"
#endif

@compute @workgroup_size(WG)
fn main(
    @builtin(local_invocation_index) local: u32,
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
#if SUBGROUPS
    @builtin(subgroup_size) width: u32,
#endif
) {
#if SUBGROUPS
    subgroup_width = width;
#endif
    let lane = local % LANES;
    let wg_index = group.y * grid.x + group.x;
    let first_row = wg_index * ROWS_PER_WG + local / LANES * 4u;
    // Rows past the end are computed as copies of the last one and dropped at the end.
    let rows = min(vec4<u32>(first_row) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(ROWS - 1u));
    let ahead = load_ahead(rows, lane);

    var a: array<vec4<f32>, ITEMS>;
    var b: array<vec4<f32>, ITEMS>;
#if COMBINE
    let parts = part_count(step.past + 1u);
    weigh_parts(local, parts);
    for (var i = 0u; i < ITEMS; i++) {
        let item = min(local + i * WG, GROUPS * 4u - 1u);
        a[i] = combined(item * 2u, parts);
        b[i] = combined(item * 2u + 1u, parts);
    }
#else
#if FINAL_NORM
    let x_row = step.row * (COLS / 4u);
#else
    let x_row = 0u;
#endif
    // Mean and variance in one pass: of x minus its first element, so that a common offset costs no precision.
    let pivot = x[x_row].x;
    var sums = vec2<f32>();
    for (var i = 0u; i < ITEMS; i++) {
        let item = local + i * WG;
        if item < GROUPS * 4u {
            a[i] = x[x_row + item * 2u] - pivot;
            b[i] = x[x_row + item * 2u + 1u] - pivot;
            sums += vec2<f32>(dot(a[i] + b[i], vec4<f32>(1.0)), dot(a[i], a[i]) + dot(b[i], b[i]));
        }
    }
    sums = workgroup_sum2(local, sums) / f32(COLS);
    let mean = sums.x;
    let scale = inverseSqrt(max(sums.y - mean * mean, 0.0) + EPSILON);
    for (var i = 0u; i < ITEMS; i++) {
        a[i] = (a[i] - mean) * scale;
        b[i] = (b[i] - mean) * scale;
#if FINAL_NORM
        let item = min(local + i * WG, GROUPS * 4u - 1u);
        a[i] = a[i] * norm[item * 2u] + norm[COLS / 4u + item * 2u];
        b[i] = b[i] * norm[item * 2u + 1u] + norm[COLS / 4u + item * 2u + 1u];
#endif
    }
#endif
#if PACKS
    if wg_index >= TABLE_WORKGROUPS {
        let row = wg_index - TABLE_WORKGROUPS;
        if row < PACK_ROWS {
            var sum = 0.0;
            for (var i = 0u; i < ITEMS; i++) {
                let item = local + i * WG;
                if item < GROUPS * 4u {
                    let at = row * (COLS / 4u) + item * 2u;
                    sum += dot(a[i], pack_keys[at]) + dot(b[i], pack_keys[at + 1u]);
                }
            }
            sum = workgroup_sum(local, sum);
            if local == 0u {
                y[ROWS + row] = sum;
            }
        }
        return;
    }
#endif

    var total = vec4<f32>();
    for (var first = 0u; first < GROUPS; first += CHUNK_GROUPS) {
        let count = min(CHUNK_GROUPS, GROUPS - first);
        workgroupBarrier();
        for (var i = 0u; i < ITEMS; i++) {
            let item = local + i * WG;
            if item >= first * 4u && item < (first + count) * 4u {
                stage(item, first, a[i], b[i]);
            }
        }
        workgroupBarrier();
        total = accumulate(rows, first, count, lane, total, ahead);
    }
    total = sum_lanes(local, total);
    if lane == 0u {
        for (var r = 0u; r < 4u; r++) {
            if first_row + r < ROWS {
                y[Y_START + first_row + r] = total[r];
            }
        }
    }
}
