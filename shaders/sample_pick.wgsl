// Second half of choosing a token: top-k, top-p, min-p and the draw; the token goes into the next step's ids.
//
// Drawing is taking the highest of x + Gumbel noise. What top-k and top-p keep is found without sorting: a token's *key*
// is its distance from the best one in steps of 2⁻¹⁹; three rounds of 256 bins (one per byte of the key, highest
// first) find the last key that stays, by count or by probability. Probabilities are summed in 64-bit fixed point,
// so that the order in which threads add does not matter.
//
// Bindings
//   0  step       uniform Step
//   1  sampling   uniform Sampling
//   2  adjusted   f32 [4·ceil(V / 4)] as vec4<f32>
//   3  partials   vec4<f32> [PARTIALS], from sample_adjust.wgsl
//   4  seen       u32 [V]: the token is counted
//   5  ids        u32: the token
//   6  tokens     u32 [RING]: the token, at step.index modulo RING
// Grid: one workgroup. Constants: WG (256 or more, a power of two), V, PARTIALS, RING.

#include "philox.wgsl"
#include "sampling.wgsl"
#include "step.wgsl"

@group(0) @binding(0) var<uniform> step: Step;
@group(0) @binding(1) var<uniform> sampling: Sampling;
@group(0) @binding(2) var<storage, read> adjusted: array<vec4<f32>>;

const BLOCKS = (V + 3u) / 4u;
@group(0) @binding(3) var<storage, read> partials: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> seen: array<u32>;
@group(0) @binding(5) var<storage, read_write> ids: array<u32>;
@group(0) @binding(6) var<storage, read_write> tokens: array<u32>;

const KEY_STEPS = 524288.0;
const LAST_KEY = 0xffffffu;
const FIXED = 1073741824.0; // 2³⁰

var<workgroup> highest: array<f32, WG>;
var<workgroup> best_score: array<f32, WG>;
var<workgroup> best_id: array<u32, WG>;
var<workgroup> bins_low: array<atomic<u32>, 256>;
var<workgroup> bins_high: array<atomic<u32>, 256>;
var<workgroup> sums: array<f32, 256>;
var<workgroup> chosen_bin: u32;
var<workgroup> before: f32;

fn key_of(x: f32, top: f32) -> u32 {
    return u32(min((top - x) * KEY_STEPS, f32(LAST_KEY)));
}

// The last key that stays if of the keys up to `limit` the first stay whose weights sum up to `share` of all
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
            let values = array<vec4<f32>, 2>(adjusted[block], adjusted[next]);
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
        // Threads past the bins do as the last one does, and leave nothing.
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

@compute @workgroup_size(WG)
fn main(@builtin(local_invocation_index) local: u32) {
    var top = LOWEST;
    var score = LOWEST;
    var winner = 0xffffffffu;
    for (var i = local; i < PARTIALS; i += WG) {
        let p = partials[i];
        top = max(top, p.x);
        let id = bitcast<u32>(p.z);
        if is_better(p.y, id, score, winner) {
            score = p.y;
            winner = id;
        }
    }
    highest[local] = top;
    for (var half = WG / 2u; half > 0u; half >>= 1u) {
        workgroupBarrier();
        if local < half {
            highest[local] = max(highest[local], highest[local + half]);
        }
    }
    workgroupBarrier();
    top = highest[0];

    // These conditions are the same for all threads: they come from a uniform buffer.
    if !is_greedy(sampling) && sampling.keeps_all == 0u {
        var limit = LAST_KEY;
        if sampling.top_k > 0u && sampling.top_k < sampling.real_ids {
            limit = last_key(local, top, limit, false, f32(sampling.top_k));
        }
        if sampling.top_p < 1.0 {
            limit = min(limit, last_key(local, top, limit, true, sampling.top_p));
        }
        let floor = select(LOWEST, log(sampling.min_p), sampling.min_p > 0.0);
        score = LOWEST;
        winner = 0xffffffffu;
        for (var block = local; block < BLOCKS; block += WG) {
            let values = adjusted[block];
            let kept = vec4<f32>(values > vec4<f32>(LOWEST)) * vec4<f32>(values - top >= vec4<f32>(floor));
            if dot(kept, vec4<f32>(1.0)) == 0.0 || key_of(max(max(values.x, values.y), max(values.z, values.w)), top) > limit {
                continue;
            }
            let noise = gumbel(sampling.seed, step.index, block);
            for (var i = 0u; i < 4u; i++) {
                let noisy = values[i] + noise[i];
                let stays = kept[i] > 0.0 && key_of(values[i], top) <= limit;
                if stays && is_better(noisy, block * 4u + i, score, winner) {
                    score = noisy;
                    winner = block * 4u + i;
                }
            }
        }
    }
    best_score[local] = score;
    best_id[local] = winner;
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
    if local == 0u {
        let id = min(best_id[0], sampling.real_ids - 1u);
        ids[0] = id;
        tokens[step.index % RING] = id;
        seen[id] = (seen[id] | SEEN) + 1u;
    }
}
