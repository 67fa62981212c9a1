//! Ending what runs.

use crate::error::{Error, ErrorCode, Result};
use std::cell::Cell;
use std::rc::Rc;

/// Set from outside to end what runs.
#[derive(Clone, Debug, Default)]
pub struct AbortFlag(Rc<Cell<bool>>);

impl AbortFlag {
    /// Asks for the end.
    pub fn set(&self) {
        self.0.set(true);
    }

    /// Withdraws the request, before something new is begun.
    pub fn clear(&self) {
        self.0.set(false);
    }

    /// Was the end asked for?
    pub fn is_set(&self) -> bool {
        self.0.get()
    }

    /// # Errors
    /// `aborted` if the end was asked for.
    pub fn check(&self) -> Result<()> {
        if self.is_set() { Err(Error::new(ErrorCode::Aborted, "The call was aborted.")) } else { Ok(()) }
    }
}
