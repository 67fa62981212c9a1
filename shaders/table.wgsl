// A weight table W[rows, COLS], COLS = 32·GROUPS, in one of four formats.
//
// Bindings
//   0  table_quants   array<vec4<u32>>   rows × GROUPS × VECS: the elements, row-major
//   1  table_scales   array<u32>         f16 pairs, rows × GROUPS: one scale per 32 elements (not for f16 and f32)
// Constants: GROUPS; one flag of Q4, Q8, F16, F32. VECS is 1, 2, 4 or 8 vec4<u32> per group of 32 elements.
//
// Quantized elements are stored offset-binary: value = (q − OFFSET) · scale (compressed-tensors
// `pack-quantized`: element i of a row at bit i·b of its words).

@group(0) @binding(0) var<storage, read> table_quants: array<vec4<u32>>;
#if Q4
const VECS = 1u;
const OFFSET = 8.0;
#endif
#if Q8
const VECS = 2u;
const OFFSET = 128.0;
#endif
#if F16
const VECS = 4u;
#endif
#if F32
const VECS = 8u;
#endif
#if !F16
#if !F32
@group(0) @binding(1) var<storage, read> table_scales: array<u32>;

// Scale of group `index` = row · GROUPS + group.
fn table_scale(index: u32) -> f32 {
    return scale_of(table_scales[index >> 1u], index);
}

// The same from the word that contains it.
fn scale_of(word: u32, index: u32) -> f32 {
    let pair = unpack2x16float(word);
    return select(pair.x, pair.y, (index & 1u) == 1u);
}
#endif
#endif

// The four bytes of a word, lowest first.
fn bytes(word: u32) -> vec4<f32> {
    return vec4<f32>((vec4<u32>(word) >> vec4<u32>(0u, 8u, 16u, 24u)) & vec4<u32>(0xffu));
}

#if Q4
// Elements 0, 2, 4, 6 and 1, 3, 5, 7 of a word of 4-bit elements.
fn even_nibbles(word: u32) -> vec4<f32> {
    return bytes(word & 0x0f0f0f0fu);
}
fn odd_nibbles(word: u32) -> vec4<f32> {
    return bytes((word >> 4u) & 0x0f0f0f0fu);
}
#endif

#if F16
// Four elements spread over two words.
fn halves(a: u32, b: u32) -> vec4<f32> {
    return vec4<f32>(unpack2x16float(a), unpack2x16float(b));
}
#endif
