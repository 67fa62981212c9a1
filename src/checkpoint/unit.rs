//! Units: the pieces in which a model is downloaded, verified, stored and put on the GPU.
//!
//! The units of a file are consecutive byte ranges that cover all of it. What is kept of a unit is either its
//! own bytes (a quantized folder) or what they were converted to (a published checkpoint).

use super::folder::{Region, Section};
use super::layout::TensorId;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Longest file that is read, in bytes: a server may claim any size, and a plan has an entry for every unit.
pub const MAX_FILE_BYTES: u64 = 1 << 40;

/// Longest file that is read once only to find out how long it is, in bytes: more than twice the largest published one.
pub const MAX_UNTOLD_BYTES: u64 = 16 << 30;

/// # Errors
/// `unsupported-checkpoint` for a file that goes on after so many bytes.
pub fn check_untold(file: &str, bytes: u64) -> Result<()> {
    if bytes <= MAX_UNTOLD_BYTES {
        return Ok(());
    }
    Err(Error::unsupported(format!("{file} did not end after {bytes} bytes, and its server tells no size."))
        .hint("Load it from a host that answers requests for ranges, or that tells sizes."))
}

/// # Errors
/// `unsupported-checkpoint` for a size that no file has which is read here. To be called where a size is parsed.
pub fn check_size(file: &str, bytes: u64) -> Result<()> {
    if bytes <= MAX_FILE_BYTES {
        return Ok(());
    }
    Err(Error::unsupported(format!("{file} is said to have {bytes} bytes; at most {MAX_FILE_BYTES} are read."))
        .hint("Whoever publishes the model must correct what is said of its files."))
}

/// Smallest and largest unit of a file, in bytes; see [`unit_bytes`].
const SMALLEST: u64 = 1 << 20;
const LARGEST: u64 = 8 << 20;

/// Some of a unit's bytes, which belong to one tensor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    /// The tensor.
    pub id: TensorId,
    /// Elements or scales.
    pub region: Region,
    /// Where they begin in the tensor's region, in bytes.
    pub offset: u64,
    /// Where they begin in the unit, in bytes.
    pub at: u32,
    /// How many they are.
    pub len: u32,
}

/// How long the units of a file are: 8 MiB, less for a small file, of which an interruption would otherwise
/// lose most (four units are on their way at a time).
pub fn unit_bytes(file_bytes: u64) -> u64 {
    (file_bytes / 16).next_multiple_of(SMALLEST).clamp(SMALLEST, LARGEST)
}

/// Cuts a file into units of `len` bytes; the last is shorter.
pub fn cut(file_bytes: u64, len: u64) -> Vec<Range<u64>> {
    (0..file_bytes.div_ceil(len)).map(|i| i * len..file_bytes.min((i + 1) * len)).collect()
}

/// The same for any range, one part at a time: memory does not grow with what somebody claims.
#[derive(Clone, Debug)]
pub struct Steps {
    rest: Range<u64>,
    len: u64,
}

impl Steps {
    /// Parts of `len` bytes; the last is shorter.
    pub fn new(range: Range<u64>, len: u64) -> Self {
        Self { rest: range, len: len.max(1) }
    }

    /// All that is left as one part.
    pub fn rest(&mut self) -> Option<Range<u64>> {
        let rest = self.rest.clone();
        self.rest.start = self.rest.end;
        (!rest.is_empty()).then_some(rest)
    }
}

impl Iterator for Steps {
    type Item = Range<u64>;

    fn next(&mut self) -> Option<Range<u64>> {
        let start = self.rest.start;
        self.rest.start = self.rest.end.min(start.saturating_add(self.len));
        (start < self.rest.end).then_some(start..self.rest.start)
    }
}

/// Which of a unit's bytes belong to which tensor. `sections` are in the order of the file.
pub fn pieces(unit: &Range<u64>, sections: &[Section]) -> Vec<Piece> {
    let first = sections.partition_point(|s| s.bytes.end <= unit.start);
    let inside = sections[first..].iter().take_while(|s| s.bytes.start < unit.end);
    let piece = |s: &Section| {
        let (from, to) = (s.bytes.start.max(unit.start), s.bytes.end.min(unit.end));
        let offset = from - s.bytes.start;
        Piece { id: s.id, region: s.region, offset, at: (from - unit.start) as u32, len: (to - from) as u32 }
    };
    inside.map(piece).filter(|p| p.len > 0).collect()
}

/// True if the pieces of all units together are every byte of `sections`, each once.
pub fn covers(
    pieces: impl Iterator<Item = (TensorId, Region, u64, u64)>,
    expected: &[(TensorId, Region, u64)],
) -> bool {
    let mut all: Vec<_> = pieces.collect();
    all.sort_unstable();
    let mut rest = all.into_iter().peekable();
    let whole = |&(id, region, bytes): &(TensorId, Region, u64)| {
        let mut end = 0;
        while let Some((_, _, _, len)) = rest.next_if(|p| (p.0, p.1, p.2) == (id, region, end)) {
            end += len;
        }
        end == bytes
    };
    let mut expected = expected.to_vec();
    expected.sort_unstable();
    expected.iter().all(whole) && rest.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn units_of_a_file() {
        assert_eq!(unit_bytes(10), 1 << 20);
        assert_eq!(unit_bytes(31_175_152), 2 << 20);
        assert_eq!(unit_bytes(6_350_000_000), 8 << 20);
        assert_eq!(cut(10, 4), [0..4, 4..8, 8..10]);
        assert_eq!(cut(8, 4).len(), 2);
    }

    #[test]
    fn steps_are_made_one_at_a_time() {
        assert_eq!(Steps::new(3..10, 4).collect::<Vec<_>>(), [3..7, 7..10]);
        assert_eq!(Steps::new(0..10, 4).collect::<Vec<_>>(), cut(10, 4));
        assert!(Steps::new(5..5, 4).next().is_none());
        let mut steps = Steps::new(7..u64::MAX, 8 << 20);
        assert_eq!(steps.next(), Some(7..7 + (8 << 20)));
        assert_eq!(steps.rest(), Some(7 + (8 << 20)..u64::MAX));
        assert_eq!((steps.rest(), steps.next()), (None, None));
    }

    #[test]
    fn sizes_that_nobody_has() {
        assert!(check_size("f", MAX_FILE_BYTES).is_ok());
        for size in [MAX_FILE_BYTES + 1, 1 << 53, u64::MAX] {
            assert_eq!(check_size("f", size).expect_err("refused").code.as_str(), "unsupported-checkpoint");
        }
        assert!(check_untold("f", 6_350_000_000).is_ok() && check_untold("f", 1 << 35).is_err());
    }

    proptest! {
        #[test]
        fn units_hold_every_byte_of_every_section(lens in prop::collection::vec((0u64..50, 0u64..9), 1..9), unit in 1u64..40) {
            let mut sections = Vec::new();
            let mut end = 0;
            for (layer, (len, gap)) in lens.iter().enumerate() {
                let id = TensorId::Tokens {
                    layer, pattention: super::super::layout::Pattention::Mlp, side: super::super::layout::Side::Keys };
                sections.push(Section { id, region: Region::Elements, bytes: end + gap..end + gap + len });
                end += gap + len;
            }
            let units = cut(end, unit);
            let all = |skip: usize| -> Vec<_> {
                units.iter().flat_map(|u| pieces(u, &sections)).skip(skip)
                    .map(|p| (p.id, p.region, p.offset, u64::from(p.len))).collect()
            };
            let expected: Vec<_> = sections.iter().map(|s| (s.id, s.region, s.bytes.end - s.bytes.start)).collect();
            prop_assert!(covers(all(0).into_iter(), &expected));
            if !all(0).is_empty() {
                prop_assert!(!covers(all(1).into_iter(), &expected));
            }
        }
    }
}
