// The parameter tokens that contribute most to the output of a Pattention, |a_j|·‖v_j‖₂, for some rows of a chunk.
//   PACKS   packs' tokens, whose scores z are normalized with the base's norm; their strengths are in ‖v_j‖₂
//
// Bindings
//   0  step     uniform Step
//   1  s        f32 [T, SEGMENTS, COLS]: the base's scores, before weights.wgsl has processed them;
//               PACKS: z, f32 [PARTS, T, SEGMENTS · TOKENS], in parts that are summed up here
//   2  tokens   vec2<f32> [SEGMENTS, COLS]: ‖v_j‖₂, and what a_j is multiplied by (value_norms.wgsl)
//   3  which    uniform Which
//   4  request  Request
//   5  fired    Fired [rows, places, sources, top]
//   6  scales   f32 [T, SEGMENTS]: √n / ‖s‖₂ (weights.wgsl), 0 where ‖s‖ is (PACKS only)
// Grid: (SEGMENTS, rows) workgroups of WG threads. Constants: WG, SEGMENTS, COLS, and SLOTS, or with PACKS TOKENS and PARTS.
//
// Every round finds the strongest token after the one that was found last; of equal ones, the lower number comes first.

#include "reduce.wgsl"
#include "theta.wgsl"
#include "step.wgsl"

const NONE = 0xffffffffu;
// Token numbers are below this, and f32 represents them exactly.
const MANY = 16777216.0;

struct Which {
    // The first of this Pattention's places, in the numbering of `Request.places`.
    place: u32,
    // Tokens considered, of each segment.
    tokens_0: u32,
    tokens_1: u32,
    tokens_2: u32,
}

struct Request {
    // Number of tokens per place.
    top: u32,
    // Places requested.
    count: u32,
    // 2 with packs, else 1.
    sources: u32,
    // Where in `words` the requested rows are: before them, for each layer and kind, its number among the requested
    // places, or NONE.
    rows_at: u32,
    words: array<u32>,
}

struct Fired {
    // The token's number + 1; 0: no more tokens.
    number: u32,
    score: f32,
    activation: f32,
    contribution: f32,
}

@group(0) @binding(0) var<uniform> step: Step;
@group(0) @binding(1) var<storage, read> s: array<f32>;
@group(0) @binding(2) var<storage, read> tokens: array<vec2<f32>>;
@group(0) @binding(3) var<uniform> which: Which;
@group(0) @binding(4) var<storage, read> request: Request;
@group(0) @binding(5) var<storage, read_write> fired: array<Fired>;
#if PACKS
@group(0) @binding(6) var<storage, read> scales: array<f32>;
#endif

fn score(row: u32, segment: u32, token: u32) -> f32 {
#if PACKS
    var sum = 0.0;
    for (var p = 0u; p < PARTS; p++) {
        sum += s[((p * step.count + row) * SEGMENTS + segment) * TOKENS + token];
    }
    return sum;
#else
    return s[(row * SEGMENTS + segment) * COLS + token];
#endif
}

@compute @workgroup_size(WG)
fn main(@builtin(local_invocation_index) local: u32, @builtin(workgroup_id) group: vec3<u32>) {
    let segment = group.x;
    let place = request.words[which.place + segment];
    if place == NONE {
        return;
    }
    let row = request.words[request.rows_at + group.y];
    let count = select(select(which.tokens_2, which.tokens_1, segment == 1u), which.tokens_0, segment == 0u);
    var row_max = 0.0;
#if PACKS
    let scale = scales[row * SEGMENTS + segment];
    let source = 1u;
#else
#if SOFTMAX
    row_max = score(row, segment, 0u);
    for (var i = local; i < SLOTS; i += WG) {
        row_max = max(row_max, score(row, segment, i));
    }
    row_max = workgroup_max(local, row_max);
#endif
    var sum = 0.0;
    for (var i = local; i < SLOTS; i += WG) {
        sum += statistic(score(row, segment, i), row_max);
    }
    let scale = theta_scale(SLOTS, workgroup_sum(local, sum));
    let source = 0u;
#endif
    let first = ((group.y * request.count + place) * request.sources + source) * request.top;
    var bound = 3.4e38;
    var last = NONE;
    for (var rank = 0u; rank < request.top; rank++) {
        var best = -1.0;
        var number = NONE;
        for (var i = local; i < count; i += WG) {
            let token = tokens[segment * COLS + i];
            let contribution = abs(theta(score(row, segment, i), scale, row_max) * token.y) * token.x;
            let is_next = contribution < bound || (contribution == bound && i > last);
            if is_next && contribution > best {
                best = contribution;
                number = i;
            }
        }
        let strongest = workgroup_max(local, best);
        let is_it = number != NONE && best == strongest;
        let lowest = MANY - workgroup_max(local, select(0.0, MANY - f32(number), is_it));
        // If none is left, nothing comes after it either.
        bound = strongest;
        last = select(NONE, u32(lowest), strongest >= 0.0);
        if local == 0u {
            var found = Fired();
            if strongest >= 0.0 {
                let z = score(row, segment, last);
                found.number = last + 1u;
                found.activation = theta(z, scale, row_max) * tokens[segment * COLS + last].y;
                found.contribution = strongest;
#if L2_NORM_GELU
                found.score = z * scale;
#else
                found.score = z;
#endif
            }
            fired[first + rank] = found;
        }
    }
}
