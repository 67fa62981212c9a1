//! Loading what is stored, and complete, without asking anybody.

use super::units::{UnitSource, Units};
use super::{Load, Made, digest};
use crate::error::Result;
use crate::hub::Location;
use crate::hub::fetch::Client;
use crate::store::Store;
use crate::store::cache::Cache;
use crate::store::serve::Version;
use crate::tokenizer::Tokenizer;
use js_sys::Date;
use std::rc::Rc;

impl Load<'_> {
    /// Loads a complete model from the store; `None` if there is none, or it is damaged.
    pub(super) async fn stored(&mut self, version: Version<'_>) -> Result<Option<Made>> {
        let Some(store) = self.store.clone() else { return Ok(None) };
        let Ok(models) = store.models().await else { return Ok(None) };
        let Some((record, config)) = self.request.wanted().find(&models, version) else { return Ok(None) };
        let tokenizer = match record.has_tokenizer {
            true => match store.tokenizer(&record.key).await {
                Ok(Some((hash, bytes))) if digest::digest(&bytes).await == hash => Some(bytes.to_vec()),
                _ => return Ok(None),
            },
            false => None,
        };
        let mut kept = record.clone();
        // Without a network it is found again by every name that it had.
        kept.add_names(&self.request.name().map(|name| (name.to_owned(), Date::now())).into_iter().collect());
        let mut cache = Cache::open(store, kept, Some(record), true).await;
        if !cache.is_complete() {
            return Ok(None);
        }
        if !cache.is_whole(&config) {
            // Records of units that do not make a model would be met at every visit.
            cache.forget(0..record.units).await;
            return Ok(None);
        }
        let location = Location::Folder { url: String::new() };
        let client = Rc::new(Client::new(location, None, self.signal.clone())?);
        let quantization = record.key.quantization;
        let loading = self.room(&config, quantization).await?;
        let tokenizer = tokenizer.as_deref().map(Tokenizer::from_json).transpose()?;
        let (client, progress) = (&client, &self.progress);
        let from = UnitSource { client, quantization };
        let mut units = Units { source: from, loading: &loading, progress, cache: &mut cache };
        if !units.load_stored(record.units, &self.request.id).await? {
            return Ok(None);
        }
        cache.complete(Date::now()).await;
        let revision = record.key.commit.clone();
        self.finish(loading, &config, tokenizer, quantization, revision).await.map(Some)
    }
}
