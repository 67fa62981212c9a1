// The tokens that packs add to the Pattentions of a product (one, or query, key and value side by side).
struct PackShape {
    // The first token of each segment, and finally where the tokens of the last segment end.
    starts: vec4<u32>,
    // Number of all of them.
    tokens: u32,
    // Number of parts of the products with them.
    parts: u32,
}
