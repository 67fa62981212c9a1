// Second half of a Pattention for one token: y = Pᵀ·Θ(s).
//   RESIDUAL   h += y                      output projection, feed-forward part
//   QKV        three Pattentions fused (SEGMENTS = 3, ROWS = 3·d): the query is rotated and written to y, key
//              and value are rotated (key), rounded to f16 and appended to the KV cache
//   PACKS      y += gelu(z·√n/‖s‖₂)·Pp of packs' tokens, whose scores z follow the base's
//
// Bindings
//   0, 1  table Pᵀ[ROWS, 32·GROUPS] (table.wgsl)
//   2     step     uniform Step
//   3     s        f32 [ROWS / SEGMENT_ROWS, 32·GROUPS]: scores; with PACKS then [ROWS / SEGMENT_ROWS, PACK_TOKENS]
//   4     y        f32 [SEGMENT_ROWS]: h (RESIDUAL) or the query (QKV)
//   5     keys     f16 pairs [context, d/2] (QKV only)
//   6     values   f16 pairs [context, d/2] (QKV only)
//   7     angles   vec2<f32> [context, r/2]: cos and sin (QKV only)
//   8     pack_values  f32 [ROWS, PACK_COLS] as vec4<f32> (PACKS only)
// Grid: ROWS / ROWS_PER_WG workgroups; a workgroup's rows belong to one segment (both are multiples of 32).
// Constants: ROWS, SEGMENT_ROWS, SLOTS, HEAD (QKV), ROTARY (QKV); PACK_TOKENS (a multiple of 4) and
// PACK_COLS (PACKS).

#include "matvec.wgsl"
#include "theta.wgsl"
#include "step.wgsl"

@group(0) @binding(2) var<uniform> step: Step;
@group(0) @binding(3) var<storage, read> s: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;
#if QKV
@group(0) @binding(5) var<storage, read_write> keys: array<u32>;
@group(0) @binding(6) var<storage, read_write> values: array<u32>;
@group(0) @binding(7) var<storage, read> angles: array<vec2<f32>>;
#include "rotary.wgsl"
#endif
#if PACKS
@group(0) @binding(8) var<storage, read> pack_values: array<vec4<f32>>;
#endif

@compute @workgroup_size(WG)
fn main(
    @builtin(local_invocation_index) local: u32,
    @builtin(workgroup_id) group: vec3<u32>,
#if SUBGROUPS
    @builtin(subgroup_size) width: u32,
#endif
) {
#if SUBGROUPS
    subgroup_width = width;
#endif
    let first_row = group.x * ROWS_PER_WG + local / LANES * 4u;
    let segment = group.x * ROWS_PER_WG / SEGMENT_ROWS;
    let s_row = segment * GROUPS * 8u;
    let lane = local % LANES;
    let in_segment = first_row - segment * SEGMENT_ROWS;
#if QKV
    // Query and key keep the two halves of a rotary pair side by side; the value keeps its order.
    var rows = vec4<u32>(first_row) + vec4<u32>(0u, 1u, 2u, 3u);
    if segment < 2u {
        for (var r = 0u; r < 4u; r++) {
            rows[r] = segment * SEGMENT_ROWS + unpaired(in_segment + r);
        }
    }
#else
    let rows = vec4<u32>(first_row) + vec4<u32>(0u, 1u, 2u, 3u);
#endif
    let ahead = load_ahead(rows, lane);

    var a: array<vec4<f32>, ITEMS>;
    var b: array<vec4<f32>, ITEMS>;
    for (var i = 0u; i < ITEMS; i++) {
        let item = min(local + i * WG, GROUPS * 4u - 1u);
        a[i] = s[s_row + item * 2u];
        b[i] = s[s_row + item * 2u + 1u];
    }
    var row_max = 0.0;
#if SOFTMAX
    row_max = -3.4e38;
    for (var i = 0u; i < ITEMS; i++) {
        let column = (local + i * WG) * 8u;
        for (var c = 0u; c < 4u; c++) {
            row_max = select(row_max, max(row_max, a[i][c]), column + c < SLOTS);
            row_max = select(row_max, max(row_max, b[i][c]), column + 4u + c < SLOTS);
        }
    }
    row_max = workgroup_max(local, row_max);
#endif
    var sum = 0.0;
    for (var i = 0u; i < ITEMS; i++) {
        let column = (local + i * WG) * 8u;
        for (var c = 0u; c < 4u; c++) {
            sum += select(0.0, statistic(a[i][c], row_max), column + c < SLOTS);
            sum += select(0.0, statistic(b[i][c], row_max), column + 4u + c < SLOTS);
        }
    }
    let scale = theta_scale(SLOTS, workgroup_sum(local, sum));
    for (var i = 0u; i < ITEMS; i++) {
        let column = (local + i * WG) * 8u;
        for (var c = 0u; c < 4u; c++) {
            a[i][c] = select(0.0, theta(a[i][c], scale, row_max), column + c < SLOTS);
            b[i][c] = select(0.0, theta(b[i][c], scale, row_max), column + 4u + c < SLOTS);
        }
    }

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
#if PACKS
    let scores_of_packs = ROWS / SEGMENT_ROWS * GROUPS * 8u + segment * (PACK_TOKENS / 4u);
    for (var i = lane; i < PACK_TOKENS / 4u; i += LANES) {
        let z = s[scores_of_packs + i] * scale;
        let weights = vec4<f32>(gelu(z.x), gelu(z.y), gelu(z.z), gelu(z.w));
        for (var r = 0u; r < 4u; r++) {
            total[r] += dot(weights, pack_values[rows[r] * (PACK_COLS / 4u) + i]);
        }
    }
#endif
    total = sum_lanes(local, total);
    if lane != 0u {
        return;
    }
#if QKV
    if segment < 2u {
        total = vec4<f32>(rotated(step.past, in_segment, total.xy), rotated(step.past, in_segment + 2u, total.zw));
    }
    if segment == 0u {
        for (var r = 0u; r < 4u; r++) {
            y[in_segment + r] = total[r];
        }
    } else {
        let packed = vec2<u32>(pack2x16float(total.xy), pack2x16float(total.zw));
        let at = (step.past * SEGMENT_ROWS + in_segment) / 2u;
        if segment == 1u {
            keys[at] = packed.x;
            keys[at + 1u] = packed.y;
        } else {
            values[at] = packed.x;
            values[at + 1u] = packed.y;
        }
    }
#else
    for (var r = 0u; r < 4u; r++) {
        y[first_row + r] += total[r];
    }
#endif
}
