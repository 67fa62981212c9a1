// What changes from step to step.
struct Step {
    // Tokens in the KV cache before this step.
    past: u32,
    // Tokens of this step, T.
    count: u32,
    // Row of h whose logits are wanted (keys.wgsl with the final LayerNorm).
    row: u32,
    // First row of h whose logits are wanted (layernorm.wgsl with the final LayerNorm), or scores (score.wgsl); which of several
    // texts the token is for (sample_pick.wgsl).
    first_row: u32,
    // Number of the token that is chosen after this step, from 0 (sample_*.wgsl).
    index: u32,
    // Ids below this stand for something (score.wgsl).
    real_ids: u32,
    // The token that penalties count no more once the next is chosen: an id, with LEFT_OUTPUT if the output holds it, LEFT_CHOSEN
    // for one that only the GPU knows, or LEFT_NONE (sample_pick.wgsl).
    leaving: u32,
    // 1: XTC is on at this token (sample_pick.wgsl).
    xtc: u32,
    // Of several texts, how many tokens all have in common, and which row of the tails is the first of this one's
    // (append.wgsl, attention_decode.wgsl).
    in_common: u32,
    tail: u32,
}
#if SEVERAL

// Several texts at once: a step for each, where bindings may begin.
struct TextStep {
    @size(256) step: Step,
}
#endif
