//! Sizes of files: how long one may be, whatever a server claims, and the ranges in which it is read.

use crate::error::{Error, Result};
use std::ops::Range;

/// Longest file that is read, in bytes: a server may claim any size, and a plan has an entry for every unit.
pub const MAX_FILE_BYTES: u64 = 1 << 40;

/// Longest file that is read once just to measure it, in bytes: more than twice the largest published one.
pub const MAX_UNTOLD_BYTES: u64 = 16 << 30;

/// # Errors
/// `unsupported-checkpoint` for a file that continues after this many bytes.
pub fn check_untold(file: &str, bytes: u64) -> Result<()> {
    if bytes <= MAX_UNTOLD_BYTES {
        return Ok(());
    }
    Err(Error::unsupported(format!("{file} did not end after {bytes} bytes, and its server reports no size."))
        .hint("Load it from a host that answers requests for ranges, or that reports sizes."))
}

/// # Errors
/// `unsupported-checkpoint` for a size that no file read here has. To be called where a size is parsed.
pub fn check_size(file: &str, bytes: u64) -> Result<()> {
    if bytes <= MAX_FILE_BYTES {
        return Ok(());
    }
    Err(Error::unsupported(format!("{file} is said to have {bytes} bytes; at most {MAX_FILE_BYTES} are read."))
        .hint("The model's publisher must correct what is said about its files."))
}

/// Smallest and largest unit of a file, in bytes; see [`unit_bytes`].
const SMALLEST: u64 = 1 << 20;
const LARGEST: u64 = 8 << 20;

/// How long the units of a file are: 8 MiB, less for a small file, of which an interruption would otherwise lose most
/// (four units are in flight at a time).
pub fn unit_bytes(file_bytes: u64) -> u64 {
    (file_bytes / 16).next_multiple_of(SMALLEST).clamp(SMALLEST, LARGEST)
}

/// Cuts a file into units of `len` bytes; the last is shorter.
pub fn cut(file_bytes: u64, len: u64) -> Vec<Range<u64>> {
    (0..file_bytes.div_ceil(len)).map(|i| i * len..file_bytes.min((i + 1) * len)).collect()
}

/// The same for any range, one part at a time: memory does not grow with a claimed size.
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
