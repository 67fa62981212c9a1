//! Log-probabilities of the unmodified distribution, in f64.

/// A token with its log-probability.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TokenLogprob {
    /// The token.
    pub token_id: u32,
    /// Natural logarithm of its probability.
    pub logprob: f64,
}

/// Logits together with their normalizer over all V entries, padding included.
pub struct LogProbs<'a> {
    logits: &'a [f32],
    log_sum: f64,
}

impl<'a> LogProbs<'a> {
    /// Normalizes `logits[V]`.
    pub fn new(logits: &'a [f32]) -> Self {
        let max = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        let sum: f64 = logits.iter().map(|x| (f64::from(*x) - max).exp()).sum();
        Self { logits, log_sum: max + sum.ln() }
    }

    /// Log-probability of a token; −∞ for an id that is out of range.
    pub fn of(&self, id: u32) -> f64 {
        self.logits.get(id as usize).map_or(f64::NEG_INFINITY, |x| f64::from(*x) - self.log_sum)
    }

    /// The `n` most probable of the ids below `real_ids`, best first; on ties, the lower id first.
    pub fn top(&self, n: usize, real_ids: usize) -> Vec<TokenLogprob> {
        let mut ids: Vec<u32> = (0..real_ids.min(self.logits.len()) as u32).collect();
        let key = |a: &u32, b: &u32| self.logits[*b as usize].total_cmp(&self.logits[*a as usize]).then(a.cmp(b));
        if n == 0 || ids.is_empty() {
            return Vec::new();
        }
        if n < ids.len() {
            ids.select_nth_unstable_by(n - 1, key);
            ids.truncate(n);
        }
        ids.sort_unstable_by(key);
        ids.into_iter().map(|token_id| TokenLogprob { token_id, logprob: self.of(token_id) }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalizes_over_everything_and_lists_real_ids() {
        let logits = [1.0, 3.0, 2.0, 3.0, 9.0];
        let p = LogProbs::new(&logits);
        let sum: f64 = (0..5).map(|i| p.of(i).exp()).sum();
        assert!((sum - 1.0).abs() < 1e-12);
        let ids: Vec<_> = p.top(3, 4).iter().map(|t| t.token_id).collect();
        assert_eq!(ids, [1, 3, 2]);
        assert_eq!(p.top(20, 4).len(), 4);
        assert!(p.top(0, 4).is_empty());
        assert_eq!(p.of(5), f64::NEG_INFINITY);
    }
}
