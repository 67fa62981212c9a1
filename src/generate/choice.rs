//! Choosing tokens on the host, for engines whose logits are there anyway.

use super::backend::Chosen;
use crate::error::{Error, Result};
use crate::sampling::{Sampler, SamplingOptions};
use std::collections::VecDeque;

/// A completion whose tokens are chosen here.
pub struct HostChoice {
    sampler: Sampler,
    wants_logits: bool,
    /// Tokens that were not asked for yet, and the last of all.
    untold: VecDeque<Chosen>,
    last: Option<u32>,
}

impl HostChoice {
    /// Begins a completion; see [`begin_choosing`](super::Backend::begin_choosing).
    pub fn new(options: &SamplingOptions, prompt: &[u32], real_ids: usize, wants_logits: bool) -> Self {
        let sampler = Sampler::new(options.clone(), prompt, real_ids);
        Self { sampler, wants_logits, untold: VecDeque::new(), last: None }
    }

    /// Chooses a token from `logits[V]`.
    pub fn choose(&mut self, logits: Vec<f32>) {
        let id = self.sampler.next(&logits);
        self.last = Some(id);
        self.untold.push_back(Chosen { id, logits: self.wants_logits.then_some(logits) });
    }

    /// The token that was chosen last.
    ///
    /// # Errors
    /// `invalid-argument` if none was.
    pub fn last(&self) -> Result<u32> {
        self.last.ok_or_else(nothing_chosen)
    }

    /// The oldest token that was not asked for yet.
    ///
    /// # Errors
    /// `invalid-argument` if there is none.
    pub fn told(&mut self) -> Result<Chosen> {
        self.untold.pop_front().ok_or_else(nothing_chosen)
    }

    /// As if `told` had been chosen and asked for.
    pub fn resume(&mut self, told: &[u32]) {
        told.iter().for_each(|id| self.sampler.note(*id));
        self.last = told.last().copied();
    }
}

/// For a completion that was not begun, or has no token yet.
pub fn nothing_chosen() -> Error {
    Error::invalid_argument("No token was chosen yet.")
}

/// The part of a [`Backend`](super::Backend) that chooses, for an engine with a field `choice: Option<HostChoice>`.
macro_rules! choosing_on_host {
    () => {
        fn begin_choosing(
            &mut self,
            options: &$crate::sampling::SamplingOptions,
            prompt: &[u32],
            real_ids: usize,
            wants_logits: bool,
        ) {
            self.choice = Some($crate::generate::HostChoice::new(options, prompt, real_ids, wants_logits));
        }

        async fn choose_after(&mut self, ids: &[u32]) -> $crate::error::Result<()> {
            let logits = self.forward(ids, $crate::generate::Logits::Last).await?;
            self.choice.as_mut().ok_or_else($crate::generate::nothing_chosen)?.choose(logits);
            Ok(())
        }

        async fn choose_next(&mut self) -> $crate::error::Result<()> {
            let last = self.choice.as_ref().ok_or_else($crate::generate::nothing_chosen)?.last()?;
            self.choose_after(&[last]).await
        }

        async fn chosen(&mut self) -> $crate::error::Result<$crate::generate::Chosen> {
            self.choice.as_mut().ok_or_else($crate::generate::nothing_chosen)?.told()
        }

        fn steps_ahead(&self) -> usize {
            1 // nothing is waited for meanwhile
        }

        fn stop_choosing(&mut self) {
            self.choice = None;
        }
    };
}
pub(crate) use choosing_on_host;
