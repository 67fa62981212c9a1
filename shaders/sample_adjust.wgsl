// First half of choosing a token: logits → penalties, bias, temperature, and the best of every 4·WG tokens.
//   SEVERAL   a token for each of T texts, whose buffers are one after the other
//
// Bindings
//   0  step       uniform Step; with SEVERAL steps, TextStep [T]
//   1  sampling   uniform Sampling; with SEVERAL samplings, TextSampling [T]
//   2  logits     f32 [V]; of several texts LOGITS apart
//   3  seen       vec2<u32> [V]: see sampling.wgsl
//   4  bias       f32 [V]
//   5  adjusted   f32 [4·ceil(V / 4)] as vec4<f32>; lowest where nothing is to be drawn
//   6  partials   vec4<f32> [2·grid]: of each workgroup the highest adjusted value, the best score, its id (bits), nothing; then for
//                 top-n-sigma how many values there are, their mean, the sum of their squared distances from it, nothing
//   7  lengths    u32 [V]: of each token the longest match that it would continue (repeats.wgsl), 0 afterwards
// Grid: (ceil(V / (4·WG)), T) workgroups. Constants: WG, V; LOGITS and MOST_TEXTS with SEVERAL.

#include "philox.wgsl"
#include "reduce.wgsl"
#include "sampling.wgsl"
#include "step.wgsl"

#if SEVERAL
@group(0) @binding(0) var<uniform> steps: array<TextStep, MOST_TEXTS>;
@group(0) @binding(1) var<uniform> samplings: array<TextSampling, MOST_TEXTS>;
#else
const LOGITS = V;
@group(0) @binding(0) var<uniform> step: Step;
@group(0) @binding(1) var<uniform> sampling: Sampling;
#endif
@group(0) @binding(2) var<storage, read> logits: array<f32>;
@group(0) @binding(3) var<storage, read> seen: array<vec2<u32>>;
@group(0) @binding(4) var<storage, read> bias: array<f32>;
@group(0) @binding(5) var<storage, read_write> adjusted: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> partials: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> lengths: array<u32>;

const BLOCKS = (V + 3u) / 4u;
const PARTIALS = (BLOCKS + WG - 1u) / WG;
var<workgroup> best_score: array<f32, WG>;
var<workgroup> best_id: array<u32, WG>;

@compute @workgroup_size(WG)
fn main(@builtin(local_invocation_index) local: u32, @builtin(workgroup_id) group: vec3<u32>) {
    let row = group.y;
#if SEVERAL
    let step = steps[row].step;
    let sampling = samplings[row].sampling;
#endif
    let block = group.x * WG + local;
    // The second half draws anew if a filter drops the token that is drawn here.
    let draws = !is_greedy(sampling);
    var noise = vec4<f32>();
    if draws {
        noise = gumbel(sampling.seed, step.index, block);
    }
    var top = LOWEST;
    var score = LOWEST;
    var winner = 0xffffffffu;
    var values = vec4<f32>(LOWEST);
    for (var i = 0u; i < 4u; i++) {
        let id = block * 4u + i;
        if id >= V {
            break;
        }
        var x = logits[row * LOGITS + id];
        let counts = seen[row * V + id];
        if (counts.x & ~BARRED) != 0u {
            x = select(x * sampling.repetition_penalty, x / sampling.repetition_penalty, x > 0.0);
        }
        let written = counts.y & ~BREAKS;
        if written > 0u {
            x -= sampling.presence_penalty + sampling.frequency_penalty * f32(written);
        }
        let length = lengths[row * V + id];
        if length > 0u {
            x -= dry_penalty(sampling, length);
            lengths[row * V + id] = 0u;
        }
        x += bias[row * V + id];
        x = finite(x);
        if !is_greedy(sampling) && x > LOWEST {
            x = finite(x / sampling.temperature);
        }
        let is_barred = step.index == sampling.begin && (counts.x & BARRED) != 0u;
        let is_early = id == END_OF_TEXT && step.index < sampling.min_tokens;
        let may_be_drawn = id < sampling.real_ids && !is_barred && !is_early;
        x = select(LOWEST, x, may_be_drawn);
        values[i] = x;
        top = max(top, x);
        if may_be_drawn && is_better(x + noise[i], id, score, winner) {
            score = x + noise[i];
            winner = id;
        }
    }
    if block < BLOCKS {
        adjusted[row * BLOCKS + block] = values;
    }
    tree[local] = top;
    best_score[local] = score;
    best_id[local] = winner;
    for (var half = WG / 2u; half > 0u; half >>= 1u) {
        workgroupBarrier();
        if local < half {
            let other = local + half;
            tree[local] = max(tree[local], tree[other]);
            if is_better(best_score[other], best_id[other], best_score[local], best_id[local]) {
                best_score[local] = best_score[other];
                best_id[local] = best_id[other];
            }
        }
    }
    let at = row * PARTIALS + group.x;
    if local == 0u {
        partials[2u * at] = vec4<f32>(tree[0], best_score[0], bitcast<f32>(best_id[0]), 0.0);
    }
    // This condition is the same for all threads: it comes from a uniform buffer.
    if sampling.top_n_sigma > 0.0 && !is_greedy(sampling) {
        let counted = vec4<f32>(values > vec4<f32>(LOWEST));
        let count = workgroup_sum(local, dot(counted, vec4<f32>(1.0)));
        let mean = workgroup_sum(local, dot(counted, select(vec4<f32>(), values, values > vec4<f32>(LOWEST)))) / max(count, 1.0);
        let distances = (values - mean) * counted;
        let squares = workgroup_sum(local, dot(distances, distances));
        if local == 0u {
            partials[2u * at + 1u] = vec4<f32>(count, mean, squares, 0.0);
        }
    }
}
