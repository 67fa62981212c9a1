//! What the workgroups send each other (`shaders/mailbox.wgsl`): where the values of a layer lie.

/// Constants of the shader that say where each run of values begins, in order.
const NAMES: [&str; 8] = ["AT_0", "AT_QKV", "AT_PARTS", "AT_STATS", "AT_2", "AT_H", "AT_4", "AT_OUT"];

/// Words that tell of workgroups that timed out: one for each of the two mailboxes.
pub const FAILURE_WORDS: usize = 2;

/// Words that each of these runs takes.
#[derive(Clone, Copy, Debug)]
pub struct MailboxWords {
    /// Scores of query, key and value.
    pub scores: usize,
    /// Query, key and value.
    pub qkv: usize,
    /// Weighted sums of the parts of the attention.
    pub parts: usize,
    /// Highest score and sum of exponentials of each.
    pub stats: usize,
    /// Scores of the output projection.
    pub proj: usize,
    /// The residual stream after the attention.
    pub middle: usize,
    /// Scores of the feed-forward part.
    pub mlp: usize,
    /// The residual stream after the layer.
    pub out: usize,
}

impl MailboxWords {
    fn all(self) -> [usize; 8] {
        let Self { scores, qkv, parts, stats, proj, middle, mlp, out } = self;
        [scores, qkv, parts, stats, proj, middle, mlp, out]
    }

    /// The constants with their values.
    pub fn offsets(self) -> impl Iterator<Item = (&'static str, usize)> {
        let mut end = 0;
        NAMES.into_iter().zip(self.all()).map(move |(name, words)| {
            let start = end;
            end += words;
            (name, start)
        })
    }

    /// Words from layer to layer.
    pub fn stride(self) -> usize {
        self.all().into_iter().sum::<usize>().next_multiple_of(4)
    }
}
