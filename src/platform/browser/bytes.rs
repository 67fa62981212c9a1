//! Bytes in the browser's memory.

use super::super::Bytes;
use js_sys::Uint8Array;
use std::ops::Range;

impl Bytes for Uint8Array {
    fn zeroed(len: u32) -> Self {
        Self::new_with_length(len)
    }

    fn of(bytes: &[u8]) -> Self {
        Self::from(bytes)
    }

    fn count(&self) -> u32 {
        self.length()
    }

    fn part(&self, range: Range<u32>) -> Self {
        self.subarray(range.start, range.end)
    }

    fn put(&mut self, at: u32, bytes: &Self) {
        self.set(bytes, at);
    }

    fn read(&self, to: &mut [u8]) {
        self.copy_to(to);
    }

    fn copied(&self) -> Vec<u8> {
        self.to_vec()
    }
}
