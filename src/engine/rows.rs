//! Several texts at once: the tokens that they have in common are in the KV cache, and each has a *tail* of its own.
//!
//! A step appends one token to each of them and reads the weights once. Where a text's tail is kept is its *place*.

use crate::sampling::SamplingOptions;

/// Most texts that are written at once.
pub const MOST_ROWS: usize = 8;
/// Tokens that fit into every tail when texts are begun, or resumed.
const TAIL_ROOM: usize = 64;

/// One of several texts. What the KV cache holds is the beginning of all.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// Where its tail is kept, below [`MOST_ROWS`].
    pub place: usize,
    /// Its tokens after the common ones, at least one. The next step reads the last.
    pub tail: Vec<u32>,
    /// The place holds all of the tail but its last token; otherwise the tail is read again.
    pub is_held: bool,
    /// How its tokens are chosen.
    pub options: SamplingOptions,
    /// What its completion began with; penalties count it.
    pub prompt: Vec<u32>,
    /// The completion's tokens so far.
    pub written: Vec<u32>,
}

impl Row {
    /// As it is once `emitted` were chosen.
    pub fn after(&self, emitted: &[u32]) -> Self {
        let mut row = Self { is_held: true, ..self.clone() };
        row.tail.extend(emitted);
        row.written.extend(emitted);
        row
    }
}

/// Places that rows take, and tokens that fit into their tails before they must grow.
pub fn room_for(rows: &[Row]) -> (usize, usize) {
    let places = rows.iter().map(|row| row.place + 1).max().unwrap_or(0);
    let longest = rows.iter().map(|row| row.tail.len()).max().unwrap_or(0);
    (places, longest + TAIL_ROOM)
}

/// The token that a step reads for one of several texts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RowInput {
    /// Where the text's tail is kept.
    pub place: usize,
    /// Tokens of its tail before this one.
    pub held: usize,
    /// The token.
    pub id: u32,
}
