// Causal attention of a chunk over the KV cache, without ever materializing the score matrix (the online
// softmax of FlashAttention): out = softmax(q·kᵀ/√HEAD, causal)·v.
//   TOGETHER   texts one after another, each of which sees only itself
//
// Bindings
//   0  step     uniform Step
//   1  q        f32 [T, D_MODEL] as vec4<f32>, paired order
//   2  keys     f16 [context, D_MODEL], four to an element, paired order
//   3  values   f16 [context, D_MODEL], four to an element
//   4  out      f32 [T, D_MODEL] as vec4<f32>
//   5  starts   u32 [T]: the first token of each one's text (TOGETHER only)
// Grid: (heads, ceil(T / QUERIES)) workgroups of QUERIES · KEYS / 8 threads.
// Constants: D_MODEL, HEAD, QUERIES, KEYS: the sizes of a tile; PADDING: elements; OWN = ceil(HEAD / KEYS).
//
// A thread computes 2 × 4 scores of a tile: the queries `group` and `group` + QUERIES / 2, and four neighbouring keys.
// The LANES threads of a group share these queries' softmax, and each adds up OWN vectors of four dimensions of their
// outputs. Neighbouring threads read neighbouring vectors of workgroup memory, or the same one.

#include "step.wgsl"

const VECTORS = HEAD / 4u;
const LANES = KEYS / 4u;
const GROUPS = QUERIES / 2u;
const THREADS = GROUPS * LANES;
const MASKED = -3.4e38;

@group(0) @binding(0) var<uniform> step: Step;
@group(0) @binding(1) var<storage, read> q: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> keys: array<vec2<u32>>;
@group(0) @binding(3) var<storage, read> values: array<vec2<u32>>;
@group(0) @binding(4) var<storage, read_write> out: array<vec4<f32>>;
#if TOGETHER
@group(0) @binding(5) var<storage, read> starts: array<u32>;
#endif

// [vector][query], [vector][key] for keys and [key][vector] for values, [key / 4][query]. Where neighbouring threads
// write to neighbouring rows, a row has one padding element, so that they write to different banks.
const QUERY_STRIDE = QUERIES + 1u;
const KEY_STRIDE = KEYS + PADDING;
var<workgroup> queries: array<vec4<f32>, VECTORS * QUERY_STRIDE>;
var<workgroup> tile: array<vec4<f32>, VECTORS * KEY_STRIDE>;
var<workgroup> weights: array<vec4<f32>, LANES * QUERY_STRIDE>;
// [query][lane]: each thread's greatest score, in the end its sum of weights.
var<workgroup> of_lanes: array<f32, QUERIES * LANES>;

fn widened(halves: vec2<u32>) -> vec4<f32> {
    return vec4<f32>(unpack2x16float(halves.x), unpack2x16float(halves.y));
}

@compute @workgroup_size(THREADS)
fn main(
    @builtin(local_invocation_index) local: u32,
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
) {
    let head = workgroup.x * VECTORS;
    // The last queries see the most keys, so they begin first.
    let t0 = (grid.y - 1u - workgroup.y) * QUERIES;
    let lane = local % LANES;
    let group = local / LANES;
    let last = min(step.past + t0 + QUERIES, step.past + step.count);
    for (var i = local; i < QUERIES * VECTORS; i += THREADS) {
        let t = min(t0 + i / VECTORS, step.count - 1u);
        let vector = q[t * (D_MODEL / 4u) + head + i % VECTORS];
        queries[i % VECTORS * QUERY_STRIDE + i / VECTORS] = vector * inverseSqrt(f32(HEAD));
    }

    #unroll I 2
    let query$I = group + $Iu * GROUPS;
    let sees$I = min(step.past + t0 + query$I, last - 1u);
#if TOGETHER
    let from$I = starts[min(t0 + query$I, step.count - 1u)];
#endif
    var highest$I = MASKED;
    var sum$I = 0.0;
    #unroll O OWN
    var out$I_$O = vec4<f32>();
    #end
    #end
#if TOGETHER
    let begin = starts[t0];
#else
    const begin = 0u;
#endif
    for (var first = begin; first < last; first += KEYS) {
        workgroupBarrier();
        for (var i = local; i < KEYS * VECTORS; i += THREADS) {
            let k = i / VECTORS;
            let p = min(first + k, last - 1u);
            // A thread's four keys are LANES apart.
            let at = i % VECTORS * KEY_STRIDE + k % 4u * LANES + k / 4u;
            tile[at] = widened(keys[p * (D_MODEL / 4u) + head + i % VECTORS]);
        }
        workgroupBarrier();
        var scores0 = vec4<f32>();
        var scores1 = vec4<f32>();
        for (var v = 0u; v < VECTORS; v++) {
            let at = v * KEY_STRIDE + lane;
            let key0 = tile[at];
            let key1 = tile[at + LANES];
            let key2 = tile[at + 2u * LANES];
            let key3 = tile[at + 3u * LANES];
            #unroll I 2
            let q$I = queries[v * QUERY_STRIDE + query$I];
            scores$I += vec4<f32>(dot(q$I, key0), dot(q$I, key1), dot(q$I, key2), dot(q$I, key3));
            #end
        }
        let positions = first + lane * 4u + vec4<u32>(0u, 1u, 2u, 3u);
#if TOGETHER
        #unroll I 2
        scores$I = select(vec4<f32>(MASKED), scores$I, positions >= vec4<u32>(from$I));
        #end
#endif
        if first + KEYS > step.past + t0 {
            #unroll I 2
            scores$I = select(vec4<f32>(MASKED), scores$I, positions <= vec4<u32>(sees$I));
            #end
        }
        #unroll I 2
        of_lanes[query$I * LANES + lane] = max(max(scores$I.x, scores$I.y), max(scores$I.z, scores$I.w));
        #end
        workgroupBarrier();
        for (var i = local; i < KEYS * VECTORS; i += THREADS) {
            let p = min(first + i / VECTORS, last - 1u);
            tile[i] = widened(values[p * (D_MODEL / 4u) + head + i % VECTORS]);
        }
        #unroll I 2
        var higher$I = highest$I;
        for (var l = 0u; l < LANES; l++) {
            higher$I = max(higher$I, of_lanes[query$I * LANES + l]);
        }
        let shrink$I = exp(highest$I - higher$I);
        highest$I = higher$I;
        // A masked score is far below the highest, or else no key was seen yet: then the first that is seen shrinks what
        // was added up to nothing.
        let weight$I = exp(scores$I - higher$I);
        sum$I = sum$I * shrink$I + dot(weight$I, vec4<f32>(1.0));
        weights[lane * QUERY_STRIDE + query$I] = weight$I;
        #unroll O OWN
        out$I_$O *= shrink$I;
        #end
        #end
        workgroupBarrier();
        for (var k = 0u; k < LANES; k++) {
            #unroll I 2
            let w$I = weights[k * QUERY_STRIDE + query$I];
            #end
            #unroll J 4
            #unroll O OWN
            let value$J_$O = tile[(k * 4u + $Ju) * VECTORS + min(lane + $Ou * LANES, VECTORS - 1u)];
            #unroll I 2
            out$I_$O += w$I[$J] * value$J_$O;
            #end
            #end
            #end
        }
    }
    workgroupBarrier();
    #unroll I 2
    of_lanes[query$I * LANES + lane] = sum$I;
    #end
    workgroupBarrier();
    #unroll I 2
    if t0 + query$I < step.count {
        var sum = 0.0;
        for (var l = 0u; l < LANES; l++) {
            sum += of_lanes[query$I * LANES + l];
        }
        #unroll O OWN
        if lane + $Ou * LANES < VECTORS {
            out[(t0 + query$I) * (D_MODEL / 4u) + head + lane + $Ou * LANES] = out$I_$O / sum;
        }
        #end
    }
    #end
}
