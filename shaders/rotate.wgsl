// Rotates queries and keys of sequences in place, in published order (RoFormer in GPT-NeoX's half-split form): dimension i
// of a head with i + ROTARY/2, by position · base^(−2i/ROTARY).
//   BACKWARD   rotates back: gradients with respect to rotated values become those with respect to unrotated ones
//
// Bindings
//   0  step    uniform Step: T rows
//   1  batch   uniform Batch
//   2  qkv     f32 [T, 3, D_MODEL]
//   3  angles  vec2<f32> [length, ROTARY/2]: cos and sin
// Grid: (ceil(heads · ROTARY/2 / WG), T, 2); one thread per pair. Constants: WG, D_MODEL, HEAD, ROTARY.

#include "step.wgsl"
#include "batch.wgsl"

@group(0) @binding(0) var<uniform> step: Step;
@group(0) @binding(1) var<uniform> batch: Batch;
@group(0) @binding(2) var<storage, read_write> qkv: array<f32>;
@group(0) @binding(3) var<storage, read> angles: array<vec2<f32>>;

const HALF_ROTARY = ROTARY / 2u;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) thread: vec3<u32>) {
    let t = thread.y;
    if thread.x >= D_MODEL / HEAD * HALF_ROTARY || t >= step.count {
        return;
    }
    let i = thread.x % HALF_ROTARY;
    let at = (t * 3u + thread.z) * D_MODEL + thread.x / HALF_ROTARY * HEAD + i;
    let angle = angles[t % batch.length * HALF_ROTARY + i];
    let pair = vec2<f32>(qkv[at], qkv[at + HALF_ROTARY]);
#if BACKWARD
    qkv[at] = pair.x * angle.x + pair.y * angle.y;
    qkv[at + HALF_ROTARY] = pair.y * angle.x - pair.x * angle.y;
#else
    qkv[at] = pair.x * angle.x - pair.y * angle.y;
    qkv[at + HALF_ROTARY] = pair.y * angle.x + pair.x * angle.y;
#endif
}
