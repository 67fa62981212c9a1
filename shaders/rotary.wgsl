// Rotary position embedding of the first ROTARY of HEAD dimensions (GPT-NeoX's half-split form: i is
// rotated with i + ROTARY/2, by position · base^(−2i/ROTARY)).
//
// The engine stores queries and keys in *paired* order: 0, r/2, 1, r/2+1, … and then the dimensions that
// are not rotated. q·k does not change when both are permuted alike, and so the two halves of a pair
// share one f16 word of the cache. The angles come from a table that the host computes in f64: WGSL
// only guarantees sin and cos near [−π, π].
//   ANGLES_WITH_PACKS   the table is at the start of the buffer with packs' tokens, `packs`, array<vec4<f32>>
// Needs: angles or packs, ROTARY, HEAD.

// Index in the published order of index `i` (over all heads) in paired order.
fn unpaired(i: u32) -> u32 {
    let dim = i % HEAD;
    return i - dim + select(dim, (dim >> 1u) + (dim & 1u) * (ROTARY / 2u), dim < ROTARY);
}

// Rotates the pair that begins at the even index `i` in paired order.
fn rotated(position: u32, i: u32, pair: vec2<f32>) -> vec2<f32> {
    let dim = i % HEAD;
    if dim >= ROTARY {
        return pair;
    }
    let at = position * (ROTARY / 2u) + (dim >> 1u);
#if ANGLES_WITH_PACKS
    let two = packs[at >> 1u];
    let angle = select(two.xy, two.zw, (at & 1u) == 1u);
#else
    let angle = angles[at];
#endif
    return vec2<f32>(pair.x * angle.x - pair.y * angle.y, pair.y * angle.x + pair.x * angle.y);
}
