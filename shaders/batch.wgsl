// What the training kernels need to know about the sequences that they process.
struct Batch {
    // Rows of a sequence: row t is at position t % length.
    length: u32,
    // 1: these are the first sequences of a step, so sums restart at zero.
    is_first: u32,
    // Index of the loss among those that are computed together.
    step: u32,
    // 1 / number of predictions of the step.
    share: f32,
}
