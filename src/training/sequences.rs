//! Texts, cut into sequences of the same length.

use super::options::TrainOptions;
use crate::error::{Error, Result};
use crate::sampling::{END_OF_TEXT, below};

/// What a training reads.
pub(super) struct Sequences {
    /// What is learnt.
    pub(super) learnt: Vec<Vec<u32>>,
    /// What is kept for validation; empty if nothing is.
    pub(super) kept: Vec<Vec<u32>>,
}

impl Sequences {
    /// Cut from documents, joined by the end-of-text token; the tail of each part that does not fill a sequence is
    /// dropped. The validation part comes last, and has at least one sequence.
    ///
    /// # Errors
    /// `invalid-argument` for texts that are too short.
    pub(super) fn cut(documents: &[Vec<u32>], options: &TrainOptions) -> Result<Self> {
        let documents: Vec<&[u32]> = documents.iter().map(Vec::as_slice).filter(|ids| !ids.is_empty()).collect();
        let (all, length) = (documents.join(&END_OF_TEXT), options.sequence_length);
        if all.is_empty() {
            return Err(Error::invalid_argument("The text to learn is empty."));
        }
        let keeps = options.validation > 0.0;
        let (least, why) = if keeps { (2, ", one of them to be kept for validation") } else { (1, "") };
        if all.len() / least < length {
            let sequences = if keeps { "two sequences" } else { "one sequence" };
            let message = format!(
                "The text has {} tokens; training needs {sequences} of sequenceLength {length}{why}.",
                all.len()
            );
            return Err(Error::invalid_argument(message).hint("Give more text, or a smaller sequenceLength."));
        }
        let share = (all.len() as f64 * f64::from(options.validation)) as usize;
        let kept = if keeps { share.clamp(length, all.len() - length) } else { 0 };
        let (learnt, kept) = all.split_at(all.len() - kept);
        let cut = |ids: &[u32]| ids.chunks_exact(length).map(<[u32]>::to_vec).collect();
        Ok(Self { learnt: cut(learnt), kept: cut(kept) })
    }

    /// The order of an epoch, which counts from 0: numbers of the sequences, shuffled (Fisher and Yates).
    pub(super) fn order(&self, epoch: usize, seed: u64) -> Vec<usize> {
        let count = self.learnt.len();
        let mut order: Vec<usize> = (0..count).collect();
        let first = (epoch as u32).wrapping_mul(count as u32);
        for i in (1..count).rev() {
            order.swap(i, below(i + 1, seed, first.wrapping_add(i as u32)));
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorCode;

    fn options(length: usize, validation: f32) -> TrainOptions {
        TrainOptions { sequence_length: length, validation, ..TrainOptions::default() }
    }

    #[test]
    fn documents_are_joined_and_tails_dropped() {
        let documents = [vec![1, 2, 3], vec![], vec![4, 5, 6, 7]];
        let cut = |length, validation| Sequences::cut(&documents, &options(length, validation)).expect("sequences");
        let all = cut(3, 0.0);
        assert_eq!(all.learnt, [vec![1, 2, 3], vec![0, 4, 5]]);
        assert!(all.kept.is_empty());
        // A tenth of it is less than a sequence.
        let some = cut(2, 0.1);
        assert_eq!((some.learnt, some.kept), (vec![vec![1, 2], vec![3, 0], vec![4, 5]], vec![vec![6, 7]]));
        let most = cut(2, 0.99);
        assert_eq!((most.learnt, most.kept.len()), (vec![vec![1, 2]], 3));
        let half = cut(2, 0.5);
        assert_eq!((half.learnt, half.kept), (vec![vec![1, 2], vec![3, 0]], vec![vec![4, 5], vec![6, 7]]));
    }

    #[test]
    fn texts_that_are_too_short_are_refused() {
        let refused = |documents: &[Vec<u32>], validation: f32, says: &str| {
            let e = Sequences::cut(documents, &options(4, validation)).err().expect(says);
            assert_eq!(e.code, ErrorCode::InvalidArgument);
            assert!(e.message.contains(says), "{e}");
        };
        refused(&[], 0.0, "empty");
        refused(&[vec![], vec![]], 0.1, "empty");
        refused(&[vec![1; 3]], 0.0, "has 3 tokens; training needs one sequence of sequenceLength 4.");
        refused(&[vec![1; 7]], 0.1, "two sequences of sequenceLength 4, one of them");
        Sequences::cut(&[vec![1; 4]], &options(4, 0.0)).expect("one");
        Sequences::cut(&[vec![1; 8]], &options(4, 0.1)).expect("two");
    }

    #[test]
    fn every_epoch_has_an_order_of_its_own() {
        let sequences = Sequences { learnt: vec![vec![1, 2]; 20], kept: Vec::new() };
        let orders: Vec<_> = [(0, 1), (1, 1), (0, 2)].map(|(epoch, seed)| sequences.order(epoch, seed)).into();
        for order in &orders {
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..20).collect::<Vec<_>>(), "each sequence once");
        }
        assert!(orders[0] != orders[1] && orders[0] != orders[2] && orders[1] != orders[2], "{orders:?}");
        assert_eq!(orders[0], sequences.order(0, 1));
    }
}
