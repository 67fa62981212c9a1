// What the two kernels of AdamW share.

// The step's numbers.
struct Update {
    // Learning rate.
    rate: f32,
    beta1: f32,
    beta2: f32,
    epsilon: f32,
    // λ of the decoupled weight decay.
    weight_decay: f32,
    // Maximum norm of all gradients together; 0: no limit.
    clip_norm: f32,
    // 1 / (1 − β₁ᵗ) and 1 / (1 − β₂ᵗ) of step t.
    correction1: f32,
    correction2: f32,
}

// Workgroups that sum up the squares of a layer's gradients.
const SUMS = 64u;
