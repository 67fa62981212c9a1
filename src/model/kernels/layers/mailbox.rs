//! The words that workgroups send each other (`shaders/mailbox.wgsl`): where the values of a layer lie.

/// Constants of the shader for the first word of each run of values, in order.
const NAMES: [&str; 8] = ["AT_0", "AT_QKV", "AT_PARTS", "AT_STATS", "AT_2", "AT_H", "AT_4", "AT_OUT"];

/// The same for scores of packs' tokens, by the product that makes them.
const PACK_NAMES: [&str; 3] = ["AT_PACKS_0", "AT_PACKS_2", "AT_PACKS_4"];

/// Failure words, which report workgroups that timed out: one for each of the two mailboxes.
pub const FAILURE_WORDS: usize = 2;

/// Number of words in each of these runs.
#[derive(Clone, Copy, Debug)]
pub struct MailboxWords {
    /// Scores of query, key and value.
    pub scores: usize,
    /// Query, key and value.
    pub qkv: usize,
    /// Weighted sums of the parts of the attention.
    pub parts: usize,
    /// Highest score and sum of exponentials of each part.
    pub stats: usize,
    /// Scores of the output projection.
    pub proj: usize,
    /// The residual stream after the attention.
    pub middle: usize,
    /// Scores of the feed-forward part.
    pub mlp: usize,
    /// The residual stream after the layer.
    pub out: usize,
    /// Scores of packs' tokens: of query, key and value, of the output projection, of the feed-forward part.
    pub packs: [usize; 3],
}

impl MailboxWords {
    fn all(self) -> [usize; 8] {
        let Self { scores, qkv, parts, stats, proj, middle, mlp, out, packs: _ } = self;
        [scores, qkv, parts, stats, proj, middle, mlp, out]
    }

    /// The constants with their values.
    pub fn offsets(self) -> impl Iterator<Item = (&'static str, usize)> {
        starts(NAMES.into_iter().zip(self.all()), 0)
    }

    /// The constants for packs, whose runs come after the others.
    pub fn pack_offsets(self) -> impl Iterator<Item = (&'static str, usize)> {
        starts(PACK_NAMES.into_iter().zip(self.packs), self.all().into_iter().sum())
    }

    /// Words from one layer to the next.
    pub fn stride(self) -> usize {
        self.all().into_iter().chain(self.packs).sum::<usize>().next_multiple_of(4)
    }
}

/// Offsets of consecutive runs of these lengths.
fn starts(
    runs: impl Iterator<Item = (&'static str, usize)>,
    first: usize,
) -> impl Iterator<Item = (&'static str, usize)> {
    runs.scan(first, |end, (name, words)| {
        let start = *end;
        *end += words;
        Some((name, start))
    })
}
