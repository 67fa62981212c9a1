// A group of 32 elements of a table, and its product with 32 activations.
//
// The activations lie in workgroup memory, `xs`, which the kernel declares: xs[k · stride + g] is *slot* k (0 … 7) of
// group g, so that neighbouring lanes (neighbouring g) read neighbouring addresses. A slot is four columns: for Q4 the
// even (k even) or odd (k odd) elements of word k/2, which is the order in which nibbles fall out of a word; else four
// neighbours.

#include "table.wgsl"

// As it is stored.
struct Group {
    a: vec4<u32>,
#if !Q4
    b: vec4<u32>,
#endif
#if F16
    c: vec4<u32>,
    d: vec4<u32>,
#else
    scales: u32,
#endif
}

// Group `index` = row · groups + group of a table whose elements begin at group `elements` of the binding, and whose
// scales begin at word `scales`.
fn load_group(index: u32, elements: u32, scales: u32) -> Group {
    var w: Group;
    let at = (elements + index) * VECS;
    w.a = table_quants[at];
#if !Q4
    w.b = table_quants[at + 1u];
#endif
#if F16
    w.c = table_quants[at + 2u];
    w.d = table_quants[at + 3u];
#else
    w.scales = table_scales[scales + (index >> 1u)];
#endif
    return w;
}

// 32 activations.
struct Activations {
    #unroll K 8
    x$K: vec4<f32>,
    #end
#if !F16
    // Σ (q − OFFSET)·x = Σ q·x − OFFSET·Σ x: the second sum is shared by all rows.
    offset: f32,
#endif
}

// Those of group `at` of `xs`.
fn load_activations(at: u32, stride: u32) -> Activations {
    var x: Activations;
    #unroll K 8
    x.x$K = xs[$Ku * stride + at];
    #end
#if !F16
    x.offset = OFFSET * dot(x.x0 + x.x1 + x.x2 + x.x3 + x.x4 + x.x5 + x.x6 + x.x7, vec4<f32>(1.0));
#endif
    return x;
}

// Σ w·x over the group; `index` is that of load_group().
fn group_product(w: Group, index: u32, x: Activations) -> f32 {
#if Q4
    let products = even_nibbles(w.a.x) * x.x0 + odd_nibbles(w.a.x) * x.x1 + even_nibbles(w.a.y) * x.x2
        + odd_nibbles(w.a.y) * x.x3 + even_nibbles(w.a.z) * x.x4 + odd_nibbles(w.a.z) * x.x5
        + even_nibbles(w.a.w) * x.x6 + odd_nibbles(w.a.w) * x.x7;
#endif
#if Q8
    let products = bytes(w.a.x) * x.x0 + bytes(w.a.y) * x.x1 + bytes(w.a.z) * x.x2 + bytes(w.a.w) * x.x3
        + bytes(w.b.x) * x.x4 + bytes(w.b.y) * x.x5 + bytes(w.b.z) * x.x6 + bytes(w.b.w) * x.x7;
#endif
#if F16
    return dot(halves(w.a.x, w.a.y), x.x0) + dot(halves(w.a.z, w.a.w), x.x1) + dot(halves(w.b.x, w.b.y), x.x2)
        + dot(halves(w.b.z, w.b.w), x.x3) + dot(halves(w.c.x, w.c.y), x.x4) + dot(halves(w.c.z, w.c.w), x.x5)
        + dot(halves(w.d.x, w.d.y), x.x6) + dot(halves(w.d.z, w.d.w), x.x7);
#else
    return scale_of(w.scales, index) * (dot(products, vec4<f32>(1.0)) - x.offset);
#endif
}

// The order of columns in `xs`: column c = 32·g + i lies in component slot_component(i) of slot slot_of(i) of group g.
fn slot_of(i: u32) -> u32 {
#if Q4
    return (i >> 3u) * 2u + (i & 1u);
#else
    return i >> 2u;
#endif
}
fn slot_component(i: u32) -> u32 {
#if Q4
    return (i >> 1u) & 3u;
#else
    return i & 3u;
#endif
}

// The column of component j of slot k, within its group.
fn column_in_slot(k: u32, j: u32) -> u32 {
#if Q4
    return (k >> 1u) * 8u + (k & 1u) + j * 2u;
#else
    return k * 4u + j;
#endif
}
