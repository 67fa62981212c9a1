// Elements of a quantized table as factors of dot4I8Packed: minus OFFSET, as signed bytes, four to a word, in the order
// of slots (group.wgsl).

#include "table.wgsl"

#if Q4
// A nibble is the upper half of a byte.
const WEIGHT_UNIT = 16.0;
fn signed_bytes(words: vec2<u32>) -> vec4<u32> {
    let even = ((words << vec2<u32>(4u)) & vec2<u32>(0xf0f0f0f0u)) ^ vec2<u32>(0x80808080u);
    let odd = (words & vec2<u32>(0xf0f0f0f0u)) ^ vec2<u32>(0x80808080u);
    return vec4<u32>(even.x, odd.x, even.y, odd.y);
}
#endif
#if Q8
const WEIGHT_UNIT = 1.0;
fn signed_bytes(words: vec4<u32>) -> vec4<u32> {
    return words ^ vec4<u32>(0x80808080u);
}
#endif
