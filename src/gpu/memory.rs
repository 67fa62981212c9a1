//! How many bytes an engine holds on its device.

use std::cell::Cell;

/// Bytes that an engine holds on its device.
#[derive(Debug, Default)]
pub struct Memory(Cell<u64>);

impl Memory {
    /// Bytes held now.
    pub fn bytes(&self) -> u64 {
        self.0.get()
    }

    pub(super) fn add(&self, bytes: u64) {
        self.0.set(self.0.get() + bytes);
    }

    pub(super) fn remove(&self, bytes: u64) {
        self.0.set(self.0.get().saturating_sub(bytes));
    }
}
