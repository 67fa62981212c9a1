// Causal attention of one token over the KV cache, one workgroup per head and part of PART positions:
// softmax(q·kᵀ/√HEAD)·v, left as parts that the output projection's kernel combines (attention_parts.wgsl).
//   SEVERAL   one token of each of several texts: the first positions are in the KV cache, the others in the text's tail
//
// Bindings
//   0  step     uniform Step
//   1  q        f32 [D_MODEL], paired order
//   2  keys     f16 octets [context, D_MODEL / 8] as vec4<u32>, paired order
//   3  values   f16 octets [context, D_MODEL / 8] as vec4<u32>
//   4  parts    f32, see attention_parts.wgsl; with SEVERAL one after the other
//   5  steps    uniform TextStep [T]: of each text (SEVERAL only)
//   6  tail_keys, 7 tail_values   like keys and values (SEVERAL only)
// Grid: (heads, part_count(past + 1)), with SEVERAL (heads, part_count(longest + 1), T); the scan ends at the true length.
// Constants: WG = PART threads, one per position for the scores; HEAD, D_MODEL, MAX_PARTS; MOST_TEXTS.

#include "reduce.wgsl"
#include "step.wgsl"
#include "attention_parts.wgsl"

@group(0) @binding(0) var<uniform> step: Step;
@group(0) @binding(1) var<storage, read> q: array<f32>;
@group(0) @binding(2) var<storage, read> keys: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> values: array<vec4<u32>>;
@group(0) @binding(4) var<storage, read_write> parts: array<f32>;
#if SEVERAL
@group(0) @binding(5) var<uniform> steps: array<TextStep, MOST_TEXTS>;
@group(0) @binding(6) var<storage, read> tail_keys: array<vec4<u32>>;
@group(0) @binding(7) var<storage, read> tail_values: array<vec4<u32>>;
#endif

const OCTETS = HEAD / 8u;
// Teams share the positions of the weighted sum; a team has a thread per eight dimensions.
const TEAMS = WG / OCTETS;
var<workgroup> query: array<f32, HEAD>;
var<workgroup> weights: array<f32, WG>;
var<workgroup> sums: array<f32, TEAMS * HEAD>;
var<workgroup> weight_sums: array<f32, TEAMS>;

// Eight numbers of a position's key or value; `own` is the step of its text.
fn key_octet(own: Step, position: u32, column: u32) -> vec4<u32> {
#if SEVERAL
    if position >= own.in_common {
        return tail_keys[(own.tail + position - own.in_common) * (D_MODEL / 8u) + column];
    }
#endif
    return keys[position * (D_MODEL / 8u) + column];
}

fn value_octet(own: Step, position: u32, column: u32) -> vec4<u32> {
#if SEVERAL
    if position >= own.in_common {
        return tail_values[(own.tail + position - own.in_common) * (D_MODEL / 8u) + column];
    }
#endif
    return values[position * (D_MODEL / 8u) + column];
}

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
    let head = group.x;
    let first = group.y * PART;
#if SEVERAL
    let own = steps[group.z].step;
    let q_row = group.z * D_MODEL;
    let parts_row = group.z * TEXT_PARTS * 4u;
    if first > own.past {
        return; // another text is longer
    }
#else
    let own = step;
    let q_row = 0u;
    let parts_row = 0u;
#endif
    let count = min(PART, own.past + 1u - first);
    for (var i = local; i < HEAD; i += WG) {
        query[i] = q[q_row + head * HEAD + i] * inverseSqrt(f32(HEAD));
    }
    workgroupBarrier();

    var score = -3.4e38;
    if local < count {
        score = 0.0;
        for (var i = 0u; i < HEAD / 8u; i++) {
            let octet = key_octet(own, first + local, head * OCTETS + i);
            for (var c = 0u; c < 4u; c++) {
                let k = unpack2x16float(octet[c]);
                score += k.x * query[i * 8u + c * 2u] + k.y * query[i * 8u + c * 2u + 1u];
            }
        }
    }
    let highest = workgroup_max(local, score);
    weights[local] = select(0.0, exp(score - highest), local < count);
    workgroupBarrier();

    let team = local / OCTETS;
    let octet = local % OCTETS;
    if team < TEAMS {
        var low = vec4<f32>();
        var high = vec4<f32>();
        var weight_sum = 0.0;
        let column = head * OCTETS + octet;
        // Four positions at a time, so that their loads are in flight together. Past the end the weight is 0.
        for (var p = team; p < count; p += TEAMS * 4u) {
            var words: array<vec4<u32>, 4>;
            for (var i = 0u; i < 4u; i++) {
                words[i] = value_octet(own, first + min(p + i * TEAMS, count - 1u), column);
            }
            for (var i = 0u; i < 4u; i++) {
                let at = p + i * TEAMS;
                let w = select(0.0, weights[min(at, WG - 1u)], at < count);
                weight_sum += w;
                let v = words[i];
                low += w * vec4<f32>(unpack2x16float(v.x), unpack2x16float(v.y));
                high += w * vec4<f32>(unpack2x16float(v.z), unpack2x16float(v.w));
            }
        }
        for (var c = 0u; c < 4u; c++) {
            sums[team * HEAD + octet * 8u + c] = low[c];
            sums[team * HEAD + octet * 8u + 4u + c] = high[c];
        }
        if octet == 0u {
            weight_sums[team] = weight_sum;
        }
    }
    workgroupBarrier();
    if local < HEAD {
        var acc = 0.0;
        for (var t = 0u; t < TEAMS; t++) {
            acc += sums[t * HEAD + local];
        }
        parts[parts_row + group.y * D_MODEL + head * HEAD + local] = acc;
    }
    if local == 0u {
        var sum = 0.0;
        for (var t = 0u; t < TEAMS; t++) {
            sum += weight_sums[t];
        }
        let stats = parts_row + STATS + (group.y * HEADS + head) * 2u;
        parts[stats] = highest;
        parts[stats + 1u] = sum;
    }
}
