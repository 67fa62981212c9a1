// A decode step's attention is split over workgroups of PART positions each. A part leaves, per head,
// its maximum score m, its sum of exponentials l, and Σ exp(score − m)·v; the next kernel joins them
// while it reads its input (Flash-Decoding's combine, without a dispatch of its own).
//
// Buffer (f32): acc[MAX_PARTS, D_MODEL], then (m, l)[MAX_PARTS, D_MODEL / HEAD].
// Needs: PART, MAX_PARTS, D_MODEL, HEAD, and the buffer as `x` for combined().

const STATS = MAX_PARTS * D_MODEL;
const HEADS = D_MODEL / HEAD;

fn part_count(length: u32) -> u32 {
    return (length + PART - 1u) / PART;
}
#if COMBINE

// Attention output i, joined from `parts` parts.
fn combined(i: u32, parts: u32) -> f32 {
    let head = i / HEAD;
    var highest = x[STATS + head * 2u];
    for (var p = 1u; p < parts; p++) {
        highest = max(highest, x[STATS + (p * HEADS + head) * 2u]);
    }
    var sum = 0.0;
    var acc = 0.0;
    for (var p = 0u; p < parts; p++) {
        let stats = STATS + (p * HEADS + head) * 2u;
        let weight = exp(x[stats] - highest);
        sum += weight * x[stats + 1u];
        acc += weight * x[p * D_MODEL + i];
    }
    return acc / sum;
}
#endif
