// The shape of a product Y = X·Wᵀ: not constants, so that one pipeline serves every table of a model.
struct Shape {
    // Groups of 32 columns of W.
    groups: u32,
    // Runs of rows of W that read columns of their own of X.
    segments: u32,
    segment_rows: u32,
    // Columns of Y, and the first that is written.
    y_stride: u32,
    y_start: u32,
    // Parts into which the sum over columns is split (matmul.wgsl).
    parts: u32,
}
