//! The stored copy of a model whose source cannot be reached or no longer has it.

use super::upload::Devices;
use super::{Load, Made};
use crate::error::{Error, Result};
use crate::hub::answer::stored_instead;
use crate::platform::Platform;
use crate::store::Store;

impl<P, S, D> Load<'_, P, S, D>
where
    P: Platform,
    S: Store<Bytes = P::Bytes> + Clone,
    D: Devices<P::Bytes>,
{
    /// True if a complete model is stored that may be used if its source cannot be reached.
    pub(super) async fn has_copy(&self) -> bool {
        let Some(store) = &self.store else { return false };
        let models = store.models().await.unwrap_or_default();
        self.request.wanted().find(&models, self.request.version()).is_some()
    }

    /// The stored copy, instead of what `e` says is unavailable.
    pub(super) async fn instead(&mut self, e: Error) -> Result<Made<D::Model>> {
        let Some(note) = stored_instead(&e) else { return Err(e) };
        let Some(mut loaded) = self.stored(self.request.version()).await? else { return Err(e) };
        loaded.notes.push(note);
        Ok(loaded)
    }
}
