// A product of f32 matrices (gemm.wgsl): its sizes, and where its operands lie.
struct GemmShape {
    // C[m, n] = A[m, k]·B[k, n], of each product.
    m: u32,
    n: u32,
    k: u32,
    // Products side by side (heads, segments) of those one after the other (sequences).
    inner: u32,
    // Parts into which the sum over k is split, and elements from part to part of C.
    parts: u32,
    part_stride: u32,
    // C = scale · A·B
    scale: f32,
    // Of A, B and C: the first element, elements from row to row as they are stored, from sequence to sequence, and from one product
    // to the one at its side.
    a: vec4<u32>,
    b: vec4<u32>,
    c: vec4<u32>,
}
