// Parameters for choosing a token. `Sampling` has `real_ids`, the number of ids that can be sampled, `keeps_all`, which
// is 0 if a filter may drop some of them, `prompt`, the number of prompt tokens, and the options of the completion by
// their names in Rust, such as `top_k` and `repetition_penalty`: every number that www/lib/api/generate-options.js
// assigns to `sampling`. build.rs writes the struct.

#include "sampling_options.wgsl"
#if SEVERAL

// Several texts at once: the options of each.
struct TextSampling {
    @size(256) sampling: Sampling,
}
#endif

// Below this temperature there is no random sampling (src/sampling/options.rs).
const COLDEST = 1e-30;

// `seen` has two counts per token: how often it occurs in the counted part of prompt and output, and how often in that
// of the output. A bit of the former: this token is not allowed as token number `begin`.
const BARRED = 0x80000000u;
// A bit of the latter, and of the ids of a text: DRY's matches end at this token.
const BREAKS = 0x80000000u;
// Values of Step.leaving (src/model/kernels/step.rs).
const LEFT_OUTPUT = 0x80000000u;
const LEFT_CHOSEN = 0xfffffffeu;
const LEFT_NONE = 0xffffffffu;
const END_OF_TEXT = 0u;
const LOWEST = -3.4e38;
const HIGHEST = 3.4e38;

// Extreme options may make values infinite, and damaged weights produce NaN: such a token is the last choice.
// (Tested by its bits: a compiler may assume that NaN never occurs.)
fn finite(x: f32) -> f32 {
    return select(clamp(x, LOWEST, HIGHEST), LOWEST, (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u);
}

// True if a has the higher score, or at the same score the lower id: an order without ties.
fn is_better(a_score: f32, a_id: u32, b_score: f32, b_id: u32) -> bool {
    return a_score > b_score || (a_score == b_score && a_id < b_id);
}

// By how many tokens a match may exceed the length that DRY allows until its penalty stops growing: the penalty is
// finite up to this exponent of e (src/sampling/dry.rs).
const LARGEST_EXPONENT = 88.0;
fn dry_most(s: Sampling) -> f32 {
    return ceil(LARGEST_EXPONENT / max(log(s.dry_base), 1e-3));
}

// Subtracted from the logit of a token that would continue a match of this length.
fn dry_penalty(s: Sampling, length: u32) -> f32 {
    return s.dry_multiplier * exp(min(f32(length - s.dry_allowed_length) * log(s.dry_base), LARGEST_EXPONENT));
}

// True if the best token is always chosen.
fn is_greedy(s: Sampling) -> bool {
    return s.temperature < COLDEST || s.top_k == 1u;
}
