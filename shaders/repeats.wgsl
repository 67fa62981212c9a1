// DRY: which tokens would continue a repeat, and how long that is (src/sampling/dry.rs). A thread for each place of the text:
// it compares, backwards, what stands before its place with the end of the text.
//   SEVERAL   for each of T texts, whose buffers are one after the other; those without DRY, or too long, find nothing
//
// Bindings
//   0  step      uniform Step; with SEVERAL steps, TextStep [T]
//   1  sampling  uniform Sampling; with SEVERAL samplings, TextSampling [T]
//   2  text      u32 [TEXT]: ids of prompt and output, with BREAKS where a token ends a match
//   3  lengths   u32 [V]: of each token the longest match that it would continue, if it is long enough to count; 0 before
// Grid: (1, ceil(tokens of the longest text / WG), T) workgroups. Constants: WG, TEXT; V and MOST_TEXTS with SEVERAL.

#include "sampling.wgsl"
#include "step.wgsl"

#if SEVERAL
@group(0) @binding(0) var<uniform> steps: array<TextStep, MOST_TEXTS>;
@group(0) @binding(1) var<uniform> samplings: array<TextSampling, MOST_TEXTS>;
#else
const V = 0u;
@group(0) @binding(0) var<uniform> step: Step;
@group(0) @binding(1) var<uniform> sampling: Sampling;
#endif
@group(0) @binding(2) var<storage, read> text: array<u32>;
@group(0) @binding(3) var<storage, read_write> lengths: array<atomic<u32>>;

@compute @workgroup_size(WG)
fn main(@builtin(local_invocation_index) local: u32, @builtin(workgroup_id) group: vec3<u32>) {
    let row = group.z;
#if SEVERAL
    let step = steps[row].step;
    let sampling = samplings[row].sampling;
    if step.count == 0u || sampling.dry_multiplier <= 0.0 || sampling.prompt + step.index > TEXT {
        return; // nobody's, or the host looks for repeats
    }
#endif
    let end = min(sampling.prompt + step.index, TEXT);
    let begin = select(end - min(sampling.dry_range, end), 0u, sampling.dry_range == 0u);
    let place = begin + group.y * WG + local;
    if place >= end || (text[row * TEXT + place] & BREAKS) != 0u {
        return;
    }
    // A longer match does not lower its token any further.
    let longest = min(sampling.dry_allowed_length, TEXT) + u32(dry_most(sampling));
    var length = 0u;
    while length < min(place - begin, longest) {
        let token = text[row * TEXT + end - 1u - length];
        if (token & BREAKS) != 0u || token != text[row * TEXT + place - 1u - length] {
            break;
        }
        length++;
    }
    if length >= sampling.dry_allowed_length {
        atomicMax(&lengths[row * V + text[row * TEXT + place]], length);
    }
}
