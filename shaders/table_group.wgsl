// Dequantizes a whole group of 32 elements of a table.

#include "table.wgsl"

// Elements of group `index` = row · GROUPS + group, four to a vec4, in order.
fn table_group(index: u32) -> array<vec4<f32>, 8> {
    var out: array<vec4<f32>, 8>;
#if F16
    for (var i = 0u; i < 4u; i++) {
        let w = table_quants[index * 4u + i];
        out[2u * i] = halves(w.x, w.y);
        out[2u * i + 1u] = halves(w.z, w.w);
    }
#else
    let scale = table_scale(index);
#endif
#if Q8
    for (var i = 0u; i < 8u; i++) {
        out[i] = (bytes(table_quants[index * 2u + i / 4u][i % 4u]) - OFFSET) * scale;
    }
#endif
#if Q4
    let w = table_quants[index];
    for (var i = 0u; i < 4u; i++) {
        let even = (even_nibbles(w[i]) - OFFSET) * scale;
        let odd = (odd_nibbles(w[i]) - OFFSET) * scale;
        out[2u * i] = vec4<f32>(even.x, odd.x, even.y, odd.y);
        out[2u * i + 1u] = vec4<f32>(even.z, odd.z, even.w, odd.w);
    }
#endif
    return out;
}
