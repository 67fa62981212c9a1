// What the kernels of training are told of the sequences that they work on.
struct Batch {
    // Rows of a sequence: row t stands at position t % length.
    length: u32,
    // 1: these are the first sequences of a step; sums begin anew.
    is_first: u32,
    // Which loss of those that are made together.
    step: u32,
    // 1 / predictions of the step.
    share: f32,
}
