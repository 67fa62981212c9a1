// DRY: which tokens would continue a repetition, and how long that is (src/sampling/dry.rs). One thread per position of
// the text: it compares, backwards, the text before its position with the end of the text.
//
// Bindings
//   0  step      uniform Step
//   1  sampling  uniform Sampling
//   2  text      u32 [TEXT]: ids of prompt and output, with BREAKS where a token ends a match
//   3  lengths   u32 [V]: for each token, the longest match that it would continue, if long enough to count; initially 0
// Grid: (1, ceil(tokens of the text / WG)) workgroups. Constants: WG, TEXT.

#include "sampling.wgsl"
#include "step.wgsl"

@group(0) @binding(0) var<uniform> step: Step;
@group(0) @binding(1) var<uniform> sampling: Sampling;
@group(0) @binding(2) var<storage, read> text: array<u32>;
@group(0) @binding(3) var<storage, read_write> lengths: array<atomic<u32>>;

@compute @workgroup_size(WG)
fn main(@builtin(local_invocation_index) local: u32, @builtin(workgroup_id) group: vec3<u32>) {
    let end = min(sampling.prompt + step.index, TEXT);
    let begin = select(end - min(sampling.dry_range, end), 0u, sampling.dry_range == 0u);
    let place = begin + group.y * WG + local;
    if place >= end || (text[place] & BREAKS) != 0u {
        return;
    }
    // A longer match does not lower its token any further.
    let longest = min(sampling.dry_allowed_length, TEXT) + u32(dry_most(sampling));
    var length = 0u;
    while length < min(place - begin, longest) {
        let token = text[end - 1u - length];
        if (token & BREAKS) != 0u || token != text[place - 1u - length] {
            break;
        }
        length++;
    }
    if length >= sampling.dry_allowed_length {
        atomicMax(&lengths[text[place]], length);
    }
}
