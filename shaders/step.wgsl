// What changes from step to step.
struct Step {
    // Tokens in the KV cache before this step.
    past: u32,
    // Tokens of this step, T.
    count: u32,
    // Row of h whose logits are needed (keys.wgsl with the final LayerNorm).
    row: u32,
    // First row of h whose logits (layernorm.wgsl with the final LayerNorm) or scores (score.wgsl) are needed; or which
    // of several texts the token is for (sample_pick.wgsl).
    first_row: u32,
    // Number of the token that is chosen after this step, from 0 (sample_*.wgsl).
    index: u32,
    // Ids below this are real tokens (score.wgsl).
    real_ids: u32,
    // The token that no longer counts for penalties once the next is chosen: an id, with LEFT_OUTPUT if it is in the
    // output, LEFT_CHOSEN for one that only the GPU knows, or LEFT_NONE (sample_pick.wgsl).
    leaving: u32,
    // 1: XTC is on at this token (sample_pick.wgsl).
    xtc: u32,
    // With several texts, how many tokens all have in common, and the first row of the tails for this one (append.wgsl,
    // attention_decode.wgsl).
    in_common: u32,
    tail: u32,
}
#if SEVERAL

// Several texts at once: a step for each.
struct TextStep {
    @size(256) step: Step,
}
#endif
