// Rotates the queries and keys of a chunk and appends keys and values to the f16 KV cache.
//   SEVERAL   tokens of several texts, at the positions in their own steps; keys and values go into their tails
//   TOGETHER  texts one after another, each at positions from 0 on
//
// Bindings
//   0  step     uniform Step
//   1  qkv      f32 [T, 3, D_MODEL], published order
//   2  q        f32 [T, D_MODEL], paired order (rotary.wgsl)
//   3  keys     f16 pairs [context, D_MODEL / 2], paired order
//   4  values   f16 pairs [context, D_MODEL / 2]
//   5  angles   vec2<f32> [context, r/2]
//   6  steps    uniform TextStep [T] (SEVERAL), or starts u32 [T]: the first token of each one's text (TOGETHER)
// Grid: (ceil(D_MODEL / 2 / WG), T, 3); one thread per pair. Constants: D_MODEL, HEAD, ROTARY; MOST_TEXTS.

#include "step.wgsl"

@group(0) @binding(0) var<uniform> step: Step;
@group(0) @binding(1) var<storage, read> qkv: array<f32>;
@group(0) @binding(2) var<storage, read_write> q: array<f32>;
@group(0) @binding(3) var<storage, read_write> keys: array<u32>;
@group(0) @binding(4) var<storage, read_write> values: array<u32>;
@group(0) @binding(5) var<storage, read> angles: array<vec2<f32>>;
#include "rotary.wgsl"
#if SEVERAL
@group(0) @binding(6) var<uniform> steps: array<TextStep, MOST_TEXTS>;
#endif
#if TOGETHER
@group(0) @binding(6) var<storage, read> starts: array<u32>;
#endif

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) thread: vec3<u32>) {
    let i = thread.x * 2u;
    let t = thread.y;
    if i >= D_MODEL || t >= step.count {
        return;
    }
    let row = (t * 3u + thread.z) * D_MODEL;
#if SEVERAL
    let own = steps[t].step;
    let position = own.past;
    let slot = own.tail + own.past - own.in_common;
#else
    let slot = step.past + t;
#if TOGETHER
    let position = slot - starts[t];
#else
    let position = slot;
#endif
#endif
    let at = (slot * D_MODEL + i) / 2u;
    if thread.z == 2u {
        values[at] = pack2x16float(vec2<f32>(qkv[row + i], qkv[row + i + 1u]));
        return;
    }
    let pair = rotated(position, i, vec2<f32>(qkv[row + unpaired(i)], qkv[row + unpaired(i + 1u)]));
    if thread.z == 0u {
        q[t * D_MODEL + i] = pair.x;
        q[t * D_MODEL + i + 1u] = pair.y;
    } else {
        keys[at] = pack2x16float(pair);
    }
}
