//! The stored copy of a model whose place cannot be reached, or does not have it any more.

use super::{Load, Made, Request};
use crate::error::{Error, Result};
use crate::hub::answer::stored_instead;
use crate::store::cache::find;
use crate::store::{ModelRecord, Store};

impl Load<'_> {
    /// True for a stored model that the request's revision once led to.
    fn was_asked_for(&self, record: &ModelRecord) -> bool {
        let revision = &self.request.revision;
        record.complete && (record.requested == *revision || record.key.commit == *revision)
    }

    /// A complete model is stored that may be used if its place cannot be reached.
    pub(super) async fn has_copy(&self) -> bool {
        let Some(store) = &self.store else { return false };
        let models = store.models().await.unwrap_or_default();
        let Request { id, quantization, .. } = self.request;
        find(&models, self.endpoint(), id, *quantization, |m| self.was_asked_for(m)).is_some()
    }

    /// The stored copy in the place of what `e` says cannot be had.
    pub(super) async fn instead(&mut self, e: Error) -> Result<Made> {
        let Some(note) = stored_instead(&e) else { return Err(e) };
        let revision = self.request.revision.clone();
        let same = |m: &ModelRecord| m.requested == revision || m.key.commit == revision;
        let Some(mut loaded) = self.stored(same).await? else { return Err(e) };
        loaded.notes.push(note);
        Ok(loaded)
    }
}
