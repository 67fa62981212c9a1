// The shape of a product Y = X·Wᵀ: not constants, so that one pipeline serves every table of a model.
struct Shape {
    // Groups of 32 columns of W.
    groups: u32,
    // Segments: runs of rows of W, each of which reads its own columns of X.
    segments: u32,
    segment_rows: u32,
    // Columns of Y, and the first column that is written.
    y_stride: u32,
    y_start: u32,
    // Parts that the sum over columns is split into (matmul.wgsl).
    parts: u32,
}
