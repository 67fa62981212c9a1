// A decode step's attention is split over workgroups of PART positions each. A part leaves, per head,
// its maximum score m, its sum of exponentials l, and Σ exp(score − m)·v; the next kernel combines them
// while it reads its input (Flash-Decoding's combine, without a dispatch of its own).
//
// Buffer (f32): acc[MAX_PARTS, D_MODEL], then (m, l)[MAX_PARTS, D_MODEL / HEAD].
// With SEVERAL there is one such buffer per text, TEXT_PARTS vec4<f32> apart.
// Needs: PART, MAX_PARTS, D_MODEL, HEAD, and for combined() the buffer as `x`, array<vec4<f32>>; FEW_PARTS if a weight
// for each head and part fits into workgroup memory.

const STATS = MAX_PARTS * D_MODEL;
const HEADS = D_MODEL / HEAD;
#if SEVERAL
const TEXT_PARTS = (STATS + 2u * MAX_PARTS * HEADS + 3u) / 4u;
#if COMBINE
var<private> parts_row: u32; // set by main
#endif
#endif

fn part_count(length: u32) -> u32 {
    return (length + PART - 1u) / PART;
}
#if COMBINE
#if FEW_PARTS

// The weight of each part, per head.
var<workgroup> part_weights: array<f32, HEADS * MAX_PARTS>;
var<workgroup> part_sums: array<f32, HEADS * MAX_PARTS>;

// Every thread of the workgroup must call this before combined().
fn weigh_parts(local: u32, parts: u32) {
    for (var i = local; i < HEADS * parts; i += WG) {
        part_weights[i] = stat(i * 2u);
        part_sums[i] = stat(i * 2u + 1u);
    }
    workgroupBarrier();
    for (var head = local; head < HEADS; head += WG) {
        var highest = part_weights[head];
        for (var p = 1u; p < parts; p++) {
            highest = max(highest, part_weights[p * HEADS + head]);
        }
        var sum = 0.0;
        for (var p = 0u; p < parts; p++) {
            sum += exp(part_weights[p * HEADS + head] - highest) * part_sums[p * HEADS + head];
        }
        for (var p = 0u; p < parts; p++) {
            part_weights[p * HEADS + head] = exp(part_weights[p * HEADS + head] - highest) / sum;
        }
    }
    workgroupBarrier();
}

// Attention outputs 4·i … 4·i + 3, combined from `parts` parts.
fn combined(i: u32, parts: u32) -> vec4<f32> {
    let head = i * 4u / HEAD;
    var acc = vec4<f32>();
    for (var p = 0u; p < parts; p++) {
        acc += part_weights[p * HEADS + head] * x[p * (D_MODEL / 4u) + i];
    }
    return acc;
}
#else

fn weigh_parts(local: u32, parts: u32) {}

// The same if the weights do not fit into workgroup memory, or a thread computes only a few outputs.
fn combined(i: u32, parts: u32) -> vec4<f32> {
    let head = i * 4u / HEAD;
    var highest = stat(head * 2u);
    for (var p = 1u; p < parts; p++) {
        highest = max(highest, stat((p * HEADS + head) * 2u));
    }
    var sum = 0.0;
    var acc = vec4<f32>();
    for (var p = 0u; p < parts; p++) {
        let weight = exp(stat((p * HEADS + head) * 2u) - highest);
        sum += weight * stat((p * HEADS + head) * 2u + 1u);
        acc += weight * x[first_part() + p * (D_MODEL / 4u) + i];
    }
    return acc / sum;
}
#endif

// Where the text's parts begin.
fn first_part() -> u32 {
#if SEVERAL
    return parts_row;
#else
    return 0u;
#endif
}

// Value i of the statistics.
fn stat(i: u32) -> f32 {
    return x[first_part() + (STATS + i) / 4u][(STATS + i) % 4u];
}
#endif
