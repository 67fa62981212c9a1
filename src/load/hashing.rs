//! Hashes and compares bytes as they stream by, yielding to the other work of this thread.

use super::plan::FilePlan;
use crate::error::Result;
use crate::hash::Sha256;
use crate::hub::client::Client;
use crate::platform::turns::{self, OF_A_PAGE};
use crate::platform::{Bytes, Platform};
use std::rc::Rc;

/// Bytes that are converted or hashed at a time: a few milliseconds of work.
pub const SLICE: u32 = 1 << 20;

/// Work on a model's bytes that yields to other tasks and ends when the caller aborts.
pub struct Slices<P> {
    client: Rc<Client<P>>,
    turns: turns::Turns<P>,
}

impl<P: Platform> Slices<P> {
    /// Starts the first turn.
    pub fn new(client: &Rc<Client<P>>) -> Self {
        Self { client: client.clone(), turns: turns::Turns::new(client.platform().clone(), OF_A_PAGE) }
    }

    /// Yields if it is time to; to be called after each slice.
    ///
    /// # Errors
    /// `aborted`.
    pub async fn give_way(&self) -> Result<()> {
        self.turns.give_way().await;
        self.client.check_abort()
    }
}

/// Hashes bytes, a slice at a time.
///
/// # Errors
/// `aborted`.
pub async fn hash<P: Platform>(bytes: &P::Bytes, hasher: &mut Sha256, slices: &Slices<P>) -> Result<()> {
    for at in (0..bytes.count()).step_by(SLICE as usize) {
        hasher.update(&bytes.part(at..bytes.count().min(at + SLICE)).copied());
        slices.give_way().await?;
    }
    Ok(())
}

/// True if bytes that stream by differ from those that the plan was made from. Only those are copied.
pub fn contradicts(plan: &FilePlan, at: u64, piece: &impl Bytes) -> bool {
    plan.was_seen(&(at..at + u64::from(piece.count()))) && !plan.agrees(at, &piece.copied())
}

/// True for a file whose hash as a whole is known.
pub fn needs_hash(file: &FilePlan) -> bool {
    file.info.sha256.is_some()
}
