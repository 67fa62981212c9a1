//! Cross-entropy over logits.

use crate::reference::math::log_softmax;

/// For `logits`\[T, V\] and the id that comes after each row: the mean of −ln softmax(logits)\[target\], in nats, and
/// its gradient with respect to the logits, (softmax − onehot)/T, [T, V].
pub fn cross_entropy(logits: &[f32], targets: &[u32]) -> (f64, Vec<f32>) {
    let vocab = logits.len() / targets.len().max(1);
    let share = 1.0 / targets.len() as f64;
    let (mut loss, mut gradient) = (0.0, Vec::with_capacity(logits.len()));
    for (row, target) in logits.chunks_exact(vocab.max(1)).zip(targets) {
        let logprobs = log_softmax(row);
        loss -= logprobs[*target as usize] * share;
        let of = |(id, logprob): (usize, &f64)| (logprob.exp() - f64::from(u8::from(id == *target as usize))) * share;
        gradient.extend(logprobs.iter().enumerate().map(|entry| of(entry) as f32));
    }
    (loss, gradient)
}
