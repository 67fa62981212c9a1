// Causal attention of a chunk over the KV cache, without ever materializing the score matrix (the online
// softmax of FlashAttention): out = softmax(q·kᵀ/√HEAD, causal)·v.
//
// Bindings
//   0  step     uniform Step
//   1  q        f32 [T, D_MODEL], paired order
//   2  keys     f16 pairs [context, D_MODEL / 2], paired order
//   3  values   f16 pairs [context, D_MODEL / 2]
//   4  out      f32 [T, D_MODEL]
// Grid: (heads, ceil(T / 16)) workgroups of 256 threads: 16 queries × 16 keys of a tile.
// Constants: D_MODEL, HEAD (at most 112, for 16 KiB of workgroup memory).

#include "step.wgsl"

const TILE = 16u;
const PAIRS = HEAD / 2u;
// Pairs of output dimensions that one thread accumulates.
const OWN = (PAIRS + TILE - 1u) / TILE;

@group(0) @binding(0) var<uniform> step: Step;
@group(0) @binding(1) var<storage, read> q: array<f32>;
@group(0) @binding(2) var<storage, read> keys: array<u32>;
@group(0) @binding(3) var<storage, read> values: array<u32>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;

// One column more than needed, so that the 16 keys that threads read side by side lie in different banks.
var<workgroup> queries: array<vec2<f32>, TILE * PAIRS>;
var<workgroup> tile: array<vec2<f32>, TILE * (PAIRS + 1u)>;
var<workgroup> scores: array<f32, TILE * TILE>;

@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) local: u32, @builtin(workgroup_id) group: vec3<u32>) {
    let head = group.x;
    let row = local / TILE; // query of the tile
    let column = local % TILE; // key of the tile, or first own pair of dimensions
    let t0 = group.y * TILE;
    let position = step.past + t0 + row;
    let last = min(step.past + t0 + TILE, step.past + step.count);
    for (var i = local; i < TILE * PAIRS; i += 256u) {
        let t = min(t0 + i / PAIRS, step.count - 1u);
        let at = t * D_MODEL + head * HEAD + i % PAIRS * 2u;
        queries[i] = vec2<f32>(q[at], q[at + 1u]) * inverseSqrt(f32(HEAD));
    }

    var highest = -3.4e38;
    var sum = 0.0;
    var acc: array<vec2<f32>, OWN>;
    for (var first = 0u; first < last; first += TILE) {
        workgroupBarrier();
        for (var i = local; i < TILE * PAIRS; i += 256u) {
            let p = min(first + i / PAIRS, last - 1u);
            tile[i / PAIRS * (PAIRS + 1u) + i % PAIRS] = unpack2x16float(keys[p * (D_MODEL / 2u) + head * PAIRS + i % PAIRS]);
        }
        workgroupBarrier();
        var dots = vec2<f32>();
        for (var i = 0u; i < PAIRS; i++) {
            dots += queries[row * PAIRS + i] * tile[column * (PAIRS + 1u) + i];
        }
        let seen = first + column < last && first + column <= position;
        scores[local] = select(-3.4e38, dots.x + dots.y, seen);
        workgroupBarrier();
        for (var i = local; i < TILE * PAIRS; i += 256u) {
            let p = min(first + i / PAIRS, last - 1u);
            tile[i / PAIRS * (PAIRS + 1u) + i % PAIRS] = unpack2x16float(values[p * (D_MODEL / 2u) + head * PAIRS + i % PAIRS]);
        }
        workgroupBarrier();
        // Every thread of a row computes the row's statistics itself: 16 reads, and no barrier.
        var higher = highest;
        for (var k = 0u; k < TILE; k++) {
            higher = max(higher, scores[row * TILE + k]);
        }
        let shrink = exp(highest - higher);
        highest = higher;
        sum *= shrink;
        for (var o = 0u; o < OWN; o++) {
            acc[o] *= shrink;
        }
        for (var k = 0u; k < TILE; k++) {
            // A masked score stays masked even while a row has seen no key yet.
            let s = scores[row * TILE + k];
            let weight = select(0.0, exp(s - highest), s > -3.0e38);
            sum += weight;
            for (var o = 0u; o < OWN; o++) {
                let pair = min(column + o * TILE, PAIRS - 1u);
                acc[o] += weight * tile[k * (PAIRS + 1u) + pair];
            }
        }
    }
    if t0 + row < step.count {
        for (var o = 0u; o < OWN; o++) {
            let pair = column + o * TILE;
            if pair < PAIRS {
                let at = (t0 + row) * D_MODEL + head * HEAD + pair * 2u;
                out[at] = acc[o].x / sum;
                out[at + 1u] = acc[o].y / sum;
            }
        }
    }
}
