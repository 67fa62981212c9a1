// What choosing a token needs to know: options of the completion (src/sampling/options.rs) and of the vocabulary.
struct Sampling {
    // Divides the logits; 0 is greedy.
    temperature: f32,
    // Keep the best that hold this probability; 1 is off.
    top_p: f32,
    // ln(min_p), or −∞ where it is off.
    min_p_floor: f32,
    // Keep the k best; 0 is off.
    top_k: u32,
    repetition: f32,
    presence: f32,
    frequency: f32,
    // Ids below this are drawn.
    real_ids: u32,
    seed: vec2<u32>,
}

// Bits of `seen`: prompt or output hold the token; the output's first token may not be it. The other bits count how
// often the output holds it.
const SEEN = 0x80000000u;
const NOT_FIRST = 0x40000000u;
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

// True if every real token stays in the draw.
fn keeps_all(s: Sampling) -> bool {
    return s.top_k == 0u && s.top_p >= 1.0 && s.min_p_floor < LOWEST;
}
