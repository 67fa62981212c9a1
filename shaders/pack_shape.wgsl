// The tokens that packs add to the Pattentions of a product (one, or query, key and value side by side).
struct PackShape {
    // The first token of each segment, and last where the tokens of the last segment end.
    starts: vec4<u32>,
    // All of them.
    tokens: u32,
    // Parts in which products with them come.
    parts: u32,
}
