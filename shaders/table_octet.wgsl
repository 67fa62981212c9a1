// Dequantizes eight consecutive elements of a table.

#include "table.wgsl"

struct Octet {
    low: vec4<f32>,
    high: vec4<f32>,
}

// Elements 8·octet … 8·octet + 7 of group `index` = row · GROUPS + group, in order.
fn table_octet(index: u32, octet: u32) -> Octet {
#if F16
    let w = table_quants[index * 4u + octet];
    return Octet(halves(w.x, w.y), halves(w.z, w.w));
#endif
#if F32
    let at = index * 8u + octet * 2u;
    return Octet(bitcast<vec4<f32>>(table_quants[at]), bitcast<vec4<f32>>(table_quants[at + 1u]));
#endif
#if Q8
    let scale = table_scale(index);
    let w = table_quants[index * 2u + octet / 2u];
    let at = octet % 2u * 2u;
    return Octet((bytes(w[at]) - OFFSET) * scale, (bytes(w[at + 1u]) - OFFSET) * scale);
#endif
#if Q4
    let scale = table_scale(index);
    let w = table_quants[index][octet];
    let even = (even_nibbles(w) - OFFSET) * scale;
    let odd = (odd_nibbles(w) - OFFSET) * scale;
    return Octet(vec4<f32>(even.x, odd.x, even.y, odd.y), vec4<f32>(even.z, odd.z, even.w, odd.w));
#endif
}
