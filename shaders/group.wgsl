// A group of 32 elements of a table, and its product with 32 activations.
//
// The activations are in workgroup memory: *slot* k (0 … 7) of group g at k · stride + g, so that neighbouring lanes
// (neighbouring g) read neighbouring addresses. More rows follow, with eight slots each. A slot is four columns: for Q4
// the even (k even) or odd (k odd) elements of word k/2, which is the order in which nibbles are unpacked from a word;
// otherwise four neighbours.
//   PACKED   (Q4, Q8) four slots, a quad, share a scale, and a value is two signed bytes, the second in 254ths of the
//            first; dot4I8Packed multiplies four at a time. That is a third of the instructions, and the error of an
//            activation is at most 1/60,000 of the quad's largest.
//   HALF     (Q4, Q8) products and the sums of eight of them are f16
// Constants: XS, the number of slots of the longest row, or of all rows that are in workgroup memory at a time.

#include "table.wgsl"
#if PACKED
#include "signed_bytes.wgsl"
#endif

// Position of a slot in workgroup memory.
struct Place {
    slot: u32,
    group: u32,
    stride: u32,
}

// A group in its storage format.
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

#if PACKED
const FINER = 254;
var<workgroup> xs: array<vec2<u32>, XS>;
var<workgroup> x_scales: array<f32, XS / 4u>;

// `largest` is the largest magnitude in the slot's quad: slots 0 … 3 or 4 … 7 of a group.
fn stage_slot(at: Place, x: vec4<f32>, largest: f32) {
    let scaled = x * select(0.0, 127.0 / largest, largest > 0.0);
    let coarse = round(scaled);
    let fine = round((scaled - coarse) * f32(FINER));
    xs[at.slot * at.stride + at.group] = vec2<u32>(pack4xI8(vec4<i32>(coarse)), pack4xI8(vec4<i32>(fine)));
    if at.slot % 4u == 0u {
        x_scales[at.slot / 4u * at.stride + at.group] = largest / (127.0 * f32(FINER) * WEIGHT_UNIT);
    }
}

// 32 activations.
struct Activations {
    #unroll K 8
    x$K: vec2<u32>,
    #end
    scale0: f32,
    scale1: f32,
}

// The activations of group `at` of a row whose slots begin with number `first`.
fn load_activations(first: u32, at: u32, stride: u32) -> Activations {
    var x: Activations;
    #unroll K 8
    x.x$K = xs[(first + $Ku) * stride + at];
    #end
    x.scale0 = x_scales[first / 4u * stride + at];
    x.scale1 = x_scales[(first / 4u + 1u) * stride + at];
    return x;
}

// 16 products, in units of the quad's scale: exact, with one conversion for all.
fn quad_product(w: vec4<u32>, x0: vec2<u32>, x1: vec2<u32>, x2: vec2<u32>, x3: vec2<u32>) -> f32 {
    let coarse = dot4I8Packed(w.x, x0.x) + dot4I8Packed(w.y, x1.x) + dot4I8Packed(w.z, x2.x) + dot4I8Packed(w.w, x3.x);
    let fine = dot4I8Packed(w.x, x0.y) + dot4I8Packed(w.y, x1.y) + dot4I8Packed(w.z, x2.y) + dot4I8Packed(w.w, x3.y);
    return f32(coarse * FINER + fine);
}

// Σ w·x over the group; `index` is that of load_group().
fn group_product(w: Group, index: u32, x: Activations) -> f32 {
#if Q4
    let a = signed_bytes(w.a.xy);
    let b = signed_bytes(w.a.zw);
#else
    let a = signed_bytes(w.a);
    let b = signed_bytes(w.b);
#endif
    let first = x.scale0 * quad_product(a, x.x0, x.x1, x.x2, x.x3);
    return scale_of(w.scales, index) * (first + x.scale1 * quad_product(b, x.x4, x.x5, x.x6, x.x7));
}
#else
#if HALF
alias Slot = vec4<f16>;
#else
alias Slot = vec4<f32>;
#endif
var<workgroup> xs: array<Slot, XS>;

fn stage_slot(at: Place, x: vec4<f32>, largest: f32) {
    xs[at.slot * at.stride + at.group] = Slot(x);
}

// 32 activations.
struct Activations {
    #unroll K 8
    x$K: Slot,
    #end
    // Σ (q − OFFSET)·x = Σ q·x − OFFSET·Σ x: the second sum is shared by all rows (or 0).
    offset: f32,
}

// The activations of group `at` of a row whose slots begin with number `first`.
fn load_activations(first: u32, at: u32, stride: u32) -> Activations {
    var x: Activations;
    #unroll K 8
    x.x$K = xs[(first + $Ku) * stride + at];
    #end
#if !HALF
#if !F16
    x.offset = OFFSET * dot(x.x0 + x.x1 + x.x2 + x.x3 + x.x4 + x.x5 + x.x6 + x.x7, vec4<f32>(1.0));
#endif
#endif
    return x;
}

#if HALF
// The four bytes of a word minus OFFSET, which is subtracted first: f16's limited precision is needed for the
// difference.
fn factors(word: u32) -> Slot {
    return Slot((vec4<u32>(word) >> vec4<u32>(0u, 8u, 16u, 24u)) & vec4<u32>(0xffu)) - Slot(f16(OFFSET));
}
#else
#if !F16
fn factors(word: u32) -> Slot {
    return bytes(word);
}
#endif
#endif

// Σ w·x over the group; `index` is that of load_group().
fn group_product(w: Group, index: u32, x: Activations) -> f32 {
#if F16
    return dot(halves(w.a.x, w.a.y), x.x0) + dot(halves(w.a.z, w.a.w), x.x1) + dot(halves(w.b.x, w.b.y), x.x2)
        + dot(halves(w.b.z, w.b.w), x.x3) + dot(halves(w.c.x, w.c.y), x.x4) + dot(halves(w.c.z, w.c.w), x.x5)
        + dot(halves(w.d.x, w.d.y), x.x6) + dot(halves(w.d.z, w.d.w), x.x7);
#else
#if Q4
    let even = w.a & vec4<u32>(0x0f0f0f0fu);
    let odd = (w.a >> vec4<u32>(4u)) & vec4<u32>(0x0f0f0f0fu);
    let products = factors(even.x) * x.x0 + factors(odd.x) * x.x1 + factors(even.y) * x.x2 + factors(odd.y) * x.x3
        + factors(even.z) * x.x4 + factors(odd.z) * x.x5 + factors(even.w) * x.x6 + factors(odd.w) * x.x7;
#else
    let products = factors(w.a.x) * x.x0 + factors(w.a.y) * x.x1 + factors(w.a.z) * x.x2 + factors(w.a.w) * x.x3
        + factors(w.b.x) * x.x4 + factors(w.b.y) * x.x5 + factors(w.b.z) * x.x6 + factors(w.b.w) * x.x7;
#endif
    return scale_of(w.scales, index) * (dot(vec4<f32>(products), vec4<f32>(1.0)) - x.offset);
#endif
}

#endif

// The order of columns: column c = 32·g + i is component slot_component(i) of slot slot_of(i) of group g.
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
