// What choosing a token needs to know. `Sampling` has `real_ids`, the number of ids that are drawn, `keeps_all`, which is 0
// where a filter may drop some of them, `prompt`, the number of the prompt's tokens, and the options of the completion by their
// names in Rust, as `top_k` and `repetition_penalty`: every number of those that www/lib/api/generate-options.js gives to
// `sampling`. build.rs writes the struct.

#include "sampling_options.wgsl"

// Below this temperature nothing is drawn (src/sampling/options.rs).
const COLDEST = 1e-30;

// `seen` has for each token how often the part of prompt and output that is counted holds it, and how often that of the output
// does. A bit of the former: the token number `begin` may not be it.
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

// Extreme options may make values infinite, and damaged weights make NaN: such a token is the last to be chosen.
// (By its bits: a compiler may take it that NaN never occurs.)
fn finite(x: f32) -> f32 {
    return select(clamp(x, LOWEST, HIGHEST), LOWEST, (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u);
}

// True if a has the higher score, or the lower id at the same: an order without ties.
fn is_better(a_score: f32, a_id: u32, b_score: f32, b_id: u32) -> bool {
    return a_score > b_score || (a_score == b_score && a_id < b_id);
}

// By how many tokens a match may be longer than DRY allows until its penalty grows no more: it is finite up to this exponent
// of e (src/sampling/dry.rs).
const LARGEST_EXPONENT = 88.0;
fn dry_most(s: Sampling) -> f32 {
    return ceil(LARGEST_EXPONENT / max(log(s.dry_base), 1e-3));
}

// What is subtracted from the logit of a token that would continue a match of this length.
fn dry_penalty(s: Sampling, length: u32) -> f32 {
    return s.dry_multiplier * exp(min(f32(length - s.dry_allowed_length) * log(s.dry_base), LARGEST_EXPONENT));
}

// True if the best token is always chosen.
fn is_greedy(s: Sampling) -> bool {
    return s.temperature < COLDEST || s.top_k == 1u;
}
