// Causal attention of one token over the KV cache, one workgroup per head and part of PART positions:
// softmax(q·kᵀ/√HEAD)·v, left in parts that the output projection's kernel joins (attention_parts.wgsl).
//
// Bindings
//   0  step     uniform Step
//   1  q        f32 [D_MODEL], paired order
//   2  keys     f16 octets [context, D_MODEL / 8] as vec4<u32>, paired order
//   3  values   f16 pairs [context, D_MODEL / 2]
//   4  parts    f32, see attention_parts.wgsl
// Grid: (heads, part_count(past + 1)); the scan ends at the true length.
// Constants: WG = PART threads, one per position for the scores; HEAD, D_MODEL, MAX_PARTS.

#include "reduce.wgsl"
#include "step.wgsl"
#include "attention_parts.wgsl"

@group(0) @binding(0) var<uniform> step: Step;
@group(0) @binding(1) var<storage, read> q: array<f32>;
@group(0) @binding(2) var<storage, read> keys: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> values: array<u32>;
@group(0) @binding(4) var<storage, read_write> parts: array<f32>;

const PAIRS = HEAD / 2u;
// Teams share the positions of the weighted sum; a team has a thread per pair of dimensions.
const TEAMS = WG / PAIRS;
var<workgroup> query: array<f32, HEAD>;
var<workgroup> weights: array<f32, WG>;
var<workgroup> sums: array<vec2<f32>, TEAMS * PAIRS>;

@compute @workgroup_size(WG)
fn main(@builtin(local_invocation_index) local: u32, @builtin(workgroup_id) group: vec3<u32>) {
    let head = group.x;
    let first = group.y * PART;
    let count = min(PART, step.past + 1u - first);
    for (var i = local; i < HEAD; i += WG) {
        query[i] = q[head * HEAD + i] * inverseSqrt(f32(HEAD));
    }
    workgroupBarrier();

    var score = -3.4e38;
    if local < count {
        score = 0.0;
        let row = ((first + local) * D_MODEL + head * HEAD) / 8u;
        for (var i = 0u; i < HEAD / 8u; i++) {
            let octet = keys[row + i];
            for (var c = 0u; c < 4u; c++) {
                let k = unpack2x16float(octet[c]);
                score += k.x * query[i * 8u + c * 2u] + k.y * query[i * 8u + c * 2u + 1u];
            }
        }
    }
    let highest = workgroup_max(local, score);
    let weight = select(0.0, exp(score - highest), local < count);
    weights[local] = weight;
    let sum = workgroup_sum(local, weight); // its barriers also publish `weights`

    let team = local / PAIRS;
    let pair = local % PAIRS;
    if team < TEAMS {
        var acc = vec2<f32>();
        for (var p = team; p < count; p += TEAMS) {
            acc += weights[p] * unpack2x16float(values[(first + p) * (D_MODEL / 2u) + head * PAIRS + pair]);
        }
        sums[local] = acc;
    }
    workgroupBarrier();
    if local < PAIRS {
        var acc = sums[local];
        for (var t = 1u; t < TEAMS; t++) {
            acc += sums[t * PAIRS + local];
        }
        let at = group.y * D_MODEL + head * HEAD + local * 2u;
        parts[at] = acc.x;
        parts[at + 1u] = acc.y;
    }
    if local == 0u {
        let stats = STATS + (group.y * HEADS + head) * 2u;
        parts[stats] = highest;
        parts[stats + 1u] = sum;
    }
}
