// Second half of choosing a token: top-n-sigma, top-k, top-p, min-p, XTC and the draw; the token goes into the next step's ids.
//
// Drawing is taking the highest of x + Gumbel noise. Usually the filters keep the token that was drawn from all: one look
// at the better ones tells. Otherwise it is drawn from those that they keep. What top-k and top-p keep is found without
// sorting: a token's *key* is its distance from the best one in steps of 2⁻¹⁹; three rounds of 256 bins (one per byte
// of the key, highest first) find the last key that stays, by count or by probability. Probabilities are summed in
// 64-bit fixed point, so that the order in which threads add does not matter.
//
//   SEVERAL   a token for each of T texts, whose buffers are one after the other
//
// Bindings
//   0  step       uniform Step; with SEVERAL steps, TextStep [T]
//   1  sampling   uniform Sampling; with SEVERAL samplings, TextSampling [T]
//   2  adjusted   f32 [4·ceil(V / 4)] as vec4<f32>
//   3  partials   vec4<f32> [2·PARTIALS], from sample_adjust.wgsl
//   4  seen       vec2<u32> [V]: counts the token, and no longer the one that leaves the range of penalties
//   5  ids        u32: the token, at step.first_row
//   6  tokens     u32 [RING]: the token, at step.index modulo RING
//   7  text       u32 [TEXT]: the token, behind prompt and output
// Grid: (1, T) workgroups. Constants: WG (256 or more, a power of two), V, PARTIALS, RING, TEXT; MOST_TEXTS with SEVERAL.

#include "philox.wgsl"
#include "reduce.wgsl"
#include "sampling.wgsl"
#include "step.wgsl"

#if SEVERAL
@group(0) @binding(0) var<uniform> steps: array<TextStep, MOST_TEXTS>;
@group(0) @binding(1) var<uniform> samplings: array<TextSampling, MOST_TEXTS>;
#else
@group(0) @binding(0) var<uniform> step: Step;
@group(0) @binding(1) var<uniform> sampling: Sampling;
#endif
@group(0) @binding(2) var<storage, read> adjusted: array<vec4<f32>>;

const BLOCKS = (V + 3u) / 4u;
@group(0) @binding(3) var<storage, read> partials: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> seen: array<vec2<u32>>;
@group(0) @binding(5) var<storage, read_write> ids: array<u32>;
@group(0) @binding(6) var<storage, read_write> tokens: array<u32>;
@group(0) @binding(7) var<storage, read_write> text: array<u32>;

const KEY_STEPS = 524288.0;
const LAST_KEY = 0xffffffu;
const FIXED = 1073741824.0; // 2³⁰

var<workgroup> best_score: array<f32, WG>;
var<workgroup> best_id: array<u32, WG>;
var<workgroup> bins_low: array<atomic<u32>, 256>;
var<workgroup> bins_high: array<atomic<u32>, 256>;
var<workgroup> sums: array<f32, 256>;
var<workgroup> chosen_bin: u32;
var<workgroup> before: f32;
var<workgroup> is_settled: u32;

// Which text the token is for.
var<private> row: u32;

fn adjusted_at(block: u32) -> vec4<f32> {
    return adjusted[row * BLOCKS + block];
}

fn partial_at(i: u32) -> vec4<f32> {
    return partials[row * 2u * PARTIALS + i];
}

fn key_of(x: f32, top: f32) -> u32 {
    return u32(min((top - x) * KEY_STEPS, f32(LAST_KEY)));
}
fn keys_of(values: vec4<f32>, top: f32) -> vec4<u32> {
    return vec4<u32>(min((top - values) * KEY_STEPS, vec4<f32>(f32(LAST_KEY))));
}

// The last key that stays when, of the keys up to `limit`, the first ones stay whose weights sum up to `share` of all
// (BY_MASS) or to `share` itself. Every thread must call it.
fn last_key(local: u32, top: f32, limit: u32, by_mass: bool, share: f32) -> u32 {
    var prefix = 0u;
    var wanted = share;
    if local == 0u {
        before = 0.0;
    }
    for (var round = 0u; round < 3u; round++) {
        let shift = 16u - 8u * round;
        if local < 256u {
            atomicStore(&bins_low[local], 0u);
            atomicStore(&bins_high[local], 0u);
        }
        if local == 0u {
            chosen_bin = 255u;
        }
        workgroupBarrier();
        // Tokens that are not real have the last key and weigh nothing, or are more than are kept by count.
        for (var block = local; block < BLOCKS; block += 2u * WG) {
            let next = min(block + WG, BLOCKS - 1u);
            let values = array<vec4<f32>, 2>(adjusted_at(block), adjusted_at(next));
            for (var i = 0u; i < 8u; i++) {
                let x = values[i >> 2u][i & 3u];
                let key = key_of(x, top);
                let is_new = i < 4u || block + WG < BLOCKS;
                if is_new && key <= limit && (round == 0u || (key >> (shift + 8u)) == prefix) {
                    let bin = (key >> shift) & 0xffu;
                    let weight = select(1u, u32(exp(x - top) * FIXED), by_mass);
                    let old = atomicAdd(&bins_low[bin], weight);
                    if old + weight < old {
                        atomicAdd(&bins_high[bin], 1u);
                    }
                }
            }
        }
        workgroupBarrier();
        // Threads past the bins do the same as the last one, and write nothing.
        let bin = min(local, 255u);
        let own = f32(atomicLoad(&bins_high[bin])) * 4294967296.0 + f32(atomicLoad(&bins_low[bin]));
        if local < 256u {
            sums[local] = own;
        }
        for (var offset = 1u; offset < 256u; offset <<= 1u) {
            workgroupBarrier();
            var sum = sums[bin];
            if bin >= offset {
                sum += sums[bin - offset];
            }
            workgroupBarrier();
            if local < 256u {
                sums[local] = sum;
            }
        }
        workgroupBarrier();
        if round == 0u && by_mass {
            wanted = share * sums[255];
        }
        let start = before;
        let end = start + sums[bin];
        workgroupBarrier();
        if local < 256u && end >= wanted && (end - own < wanted || local == 0u) && own > 0.0 {
            chosen_bin = local;
            before = end - own;
        }
        workgroupBarrier();
        prefix = (prefix << 8u) | chosen_bin;
        workgroupBarrier();
    }
    return prefix;
}

// The standard deviation of all values that may be drawn. Every thread must call it.
fn deviation(local: u32) -> f32 {
    var count = 0.0;
    var sum = 0.0;
    for (var i = local; i < PARTIALS; i += WG) {
        let p = partial_at(2u * i + 1u);
        count += p.x;
        sum += p.x * p.y;
    }
    count = max(workgroup_sum(local, count), 1.0);
    let mean = workgroup_sum(local, sum) / count;
    var squares = 0.0;
    for (var i = local; i < PARTIALS; i += WG) {
        let p = partial_at(2u * i + 1u);
        squares += p.z + p.x * (p.y - mean) * (p.y - mean);
    }
    return sqrt(workgroup_sum(local, squares) / count);
}

// Leaves the best of the threads' tokens in best_score[0] and best_id[0]. Every thread must call it.
fn find_best(local: u32, score: f32, id: u32) {
    best_score[local] = score;
    best_id[local] = id;
    for (var half = WG / 2u; half > 0u; half >>= 1u) {
        workgroupBarrier();
        if local < half {
            let other = local + half;
            if is_better(best_score[other], best_id[other], best_score[local], best_id[local]) {
                best_score[local] = best_score[other];
                best_id[local] = best_id[other];
            }
        }
    }
    workgroupBarrier();
}

// Two sums over the workgroup; best_id stays. Every thread must call it.
fn two_sums(local: u32, first: f32, second: f32) -> vec2<f32> {
    workgroupBarrier();
    tree[local] = first;
    best_score[local] = second;
    for (var half = WG / 2u; half > 0u; half >>= 1u) {
        workgroupBarrier();
        if local < half {
            tree[local] += tree[local + half];
            best_score[local] += best_score[local + half];
        }
    }
    workgroupBarrier();
    return vec2<f32>(tree[0], best_score[0]);
}

// Whether the filters keep a token, if top-k and top-p are not both used: the tokens with smaller keys are fewer than k,
// or have less than this share of the probability. Every thread must call it.
fn is_kept(local: u32, id: u32, s: Sampling, top: f32, floor: f32, limit: u32) -> bool {
    let at = min(id, V - 1u);
    let value = select(LOWEST, adjusted_at(at / 4u)[at % 4u], id < V);
    let key = key_of(value, top);
    let is_near = value > LOWEST && value - top >= floor && key <= limit;
    if !is_by_count(s) && s.top_p >= 1.0 {
        return is_near;
    }
    var better = 0.0;
    var all = 0.0;
    for (var block = local; block < BLOCKS; block += WG) {
        let values = adjusted_at(block);
        let keys = keys_of(values, top);
        // What is not real weighs nothing, or has the last key.
        let weights = select(vec4<f32>(1.0), exp(values - top), s.top_p < 1.0) * vec4<f32>(keys <= vec4<u32>(limit));
        all += dot(weights, vec4<f32>(1.0));
        better += dot(weights, vec4<f32>(keys < vec4<u32>(key)));
    }
    let sums = two_sums(local, better, all);
    return is_near && sums.x < select(f32(s.top_k), s.top_p * sums.y, s.top_p < 1.0);
}

// 1 for each of four values that the filters keep: by its distance from the best one, and by its key.
fn kept_of(values: vec4<f32>, top: f32, floor: f32, limit: u32) -> vec4<f32> {
    let keys = keys_of(values, top);
    let is_near = vec4<f32>(values - top >= vec4<f32>(floor));
    return vec4<f32>(values > vec4<f32>(LOWEST)) * is_near * vec4<f32>(keys <= vec4<u32>(limit));
}

fn is_by_count(s: Sampling) -> bool {
    return s.top_k > 0u && s.top_k < s.real_ids;
}

// What the filters keep (kept_of).
struct Filters {
    top: f32,
    floor: f32,
    limit: u32,
}

// Draws from the tokens that the filters keep; leaves the one that is drawn in best_id[0]. Every thread must call it.
fn draw(local: u32, f: Filters, s: Sampling, step: Step) {
    // The last token that XTC looks at: all better ones are dropped. None is better than this initial one.
    var last_value = HIGHEST;
    var last_id = 0u;
    if step.xtc != 0u {
        var mass = 0.0;
        for (var block = local; block < BLOCKS; block += WG) {
            let values = adjusted_at(block);
            mass += dot(kept_of(values, f.top, f.floor, f.limit), exp(max(values - f.top, vec4<f32>(-100.0))));
        }
        let least = log(max(s.xtc_threshold * workgroup_sum(local, mass), 1e-37));
        for (var block = local; block < BLOCKS; block += WG) {
            let values = adjusted_at(block);
            let kept = kept_of(values, f.top, max(f.floor, least), f.limit);
            for (var i = 0u; i < 4u; i++) {
                if kept[i] > 0.0 && is_better(last_value, last_id, values[i], block * 4u + i) {
                    last_value = values[i];
                    last_id = block * 4u + i;
                }
            }
        }
        // The worst of the threads' tokens: in this order it is the best.
        find_best(local, -last_value, ~last_id);
        last_value = -best_score[0];
        last_id = ~best_id[0];
        workgroupBarrier();
    }
    var score = LOWEST;
    var winner = 0xffffffffu;
    for (var block = local; block < BLOCKS; block += WG) {
        let values = adjusted_at(block);
        let kept = kept_of(values, f.top, f.floor, f.limit);
        if dot(kept, vec4<f32>(1.0)) == 0.0 {
            continue;
        }
        let noise = gumbel(s.seed, step.index, block);
        for (var i = 0u; i < 4u; i++) {
            let noisy = values[i] + noise[i];
            let stays = kept[i] > 0.0 && !is_better(values[i], block * 4u + i, last_value, last_id);
            if stays && is_better(noisy, block * 4u + i, score, winner) {
                score = noisy;
                winner = block * 4u + i;
            }
        }
    }
    find_best(local, score, winner);
}

@compute @workgroup_size(WG)
fn main(@builtin(local_invocation_index) local: u32, @builtin(workgroup_id) group: vec3<u32>) {
    row = group.y;
#if SEVERAL
    // Not by `row`: what these say is the same for all threads of a workgroup, which nobody knows of a variable.
    let step = steps[group.y].step;
    let sampling = samplings[group.y].sampling;
#endif
    var top = LOWEST;
    var score = LOWEST;
    var winner = 0xffffffffu;
    for (var i = local; i < PARTIALS; i += WG) {
        let p = partial_at(2u * i);
        top = max(top, p.x);
        let id = bitcast<u32>(p.z);
        if is_better(p.y, id, score, winner) {
            score = p.y;
            winner = id;
        }
    }
    top = workgroup_max(local, top);
    find_best(local, score, winner);

    // These conditions are the same for all threads: they come from a uniform buffer, or are loaded for all of them.
    if !is_greedy(sampling) && sampling.keeps_all == 0u {
        let by_mass = sampling.top_p < 1.0;
        var limit = LAST_KEY;
        var floor = select(LOWEST, log(sampling.min_p), sampling.min_p > 0.0);
        if sampling.top_n_sigma > 0.0 {
            let sigma_floor = finite(-sampling.top_n_sigma * deviation(local));
            limit = key_of(top + sigma_floor, top);
            floor = max(floor, sigma_floor);
        }
        var settles = false;
        if step.xtc == 0u && !(is_by_count(sampling) && by_mass) {
            settles = is_kept(local, best_id[0], sampling, top, floor, limit);
        }
        if local == 0u {
            is_settled = u32(settles);
        }
        if workgroupUniformLoad(&is_settled) == 0u {
            // By count, then by mass. A loop, and one whose length no compiler knows: in two copies of last_key, drivers
            // compile half as long again.
            let last = select(1u, 2u, by_mass);
            for (var i = select(1u, 0u, is_by_count(sampling)); i < last; i++) {
                let share = select(f32(sampling.top_k), sampling.top_p, i == 1u);
                limit = min(limit, last_key(local, top, limit, i == 1u, share));
            }
            draw(local, Filters(top, floor, limit), sampling, step);
        }
    }
    if local == 0u {
        // If no token may be chosen, the text ends.
        let id = select(best_id[0], END_OF_TEXT, best_id[0] >= sampling.real_ids);
        var leaving = step.leaving;
        if leaving == LEFT_CHOSEN {
            leaving = tokens[row * RING + (step.index - sampling.penalty_range) % RING] | LEFT_OUTPUT;
        }
        if leaving != LEFT_NONE {
            let old = min(leaving & ~LEFT_OUTPUT, V - 1u);
            seen[row * V + old] -= vec2<u32>(1u, leaving >> 31u);
        }
        ids[step.first_row] = id;
        tokens[row * RING + step.index % RING] = id;
        if sampling.prompt + step.index < TEXT {
            text[row * TEXT + sampling.prompt + step.index] = id | (seen[row * V + id].y & BREAKS);
        }
        seen[row * V + id] += vec2<u32>(1u);
    }
}
