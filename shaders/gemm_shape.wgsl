// A product of f32 matrices (gemm.wgsl): its sizes, and the layout of its operands.
struct GemmShape {
    // C[m, n] = A[m, k]·B[k, n], for each product.
    m: u32,
    n: u32,
    k: u32,
    // Products side by side (heads, segments) within those one after another (sequences).
    inner: u32,
    // Number of parts of the sum over k, and offset in elements from part to part of C.
    parts: u32,
    part_stride: u32,
    // C = scale · A·B
    scale: f32,
    // Of A, B and C: the first element, and the strides in elements from row to row as stored, from sequence to
    // sequence, and between products side by side.
    a: vec4<u32>,
    b: vec4<u32>,
    c: vec4<u32>,
}
