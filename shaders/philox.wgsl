// Philox4x32-10 (Salmon et al., 2011) and Gumbel noise, as in src/sampling/rng.rs: one number for every seed, step and
// token id, so that steps can be computed ahead, repeated, or discarded.

// High word of a 32 × 32 bit product, which WGSL lacks.
fn mul_high(a: u32, b: u32) -> u32 {
    let al = a & 0xffffu;
    let ah = a >> 16u;
    let bl = b & 0xffffu;
    let bh = b >> 16u;
    let middle = ah * bl + ((al * bl) >> 16u);
    let rest = al * bh + (middle & 0xffffu);
    return ah * bh + (middle >> 16u) + (rest >> 16u);
}

fn philox(start: vec4<u32>, seed: vec2<u32>) -> vec4<u32> {
    var c = start;
    var k = seed;
    for (var i = 0u; i < 10u; i++) {
        let a = mul_high(c.x, 0xD2511F53u);
        let b = mul_high(c.z, 0xCD9E8D57u);
        c = vec4<u32>(b ^ c.y ^ k.x, c.z * 0xCD9E8D57u, a ^ c.w ^ k.y, c.x * 0xD2511F53u);
        k += vec2<u32>(0x9E3779B9u, 0xBB67AE85u);
    }
    return c;
}

// −ln(−ln u) for the ids 4·block … 4·block + 3 at step `index` of a completion, u uniform in (0, 1).
fn gumbel(seed: vec2<u32>, index: u32, block: u32) -> vec4<f32> {
    let words = philox(vec4<u32>(block, index, 0u, 0u), seed);
    let u = (vec4<f32>(words >> vec4<u32>(9u)) + 0.5) / 8388608.0; // one bit more, and the highest would round to 1
    return -log(-log(u));
}
