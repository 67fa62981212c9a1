//! Loads what is stored and complete, without any request.

use super::unit::UnitSource;
use super::units::Units;
use super::upload::Devices;
use super::{Load, Made};
use crate::error::Result;
use crate::hub::Location;
use crate::hub::client::Client;
use crate::platform::{Bytes, Platform};
use crate::store::Store;
use crate::store::cache::Cache;
use crate::store::serve::Version;
use crate::tokenizer::Tokenizer;
use futures_util::future::try_join;
use std::rc::Rc;

impl<P, S, D> Load<'_, P, S, D>
where
    P: Platform,
    S: Store<Bytes = P::Bytes> + Clone,
    D: Devices<P::Bytes>,
{
    /// Loads a complete model from the store; `None` if there is none, or it is damaged.
    pub(super) async fn stored(&mut self, version: Version<'_>) -> Result<Option<Made<D::Model>>> {
        let Some(store) = self.store.clone() else { return Ok(None) };
        let Ok(models) = store.models().await else { return Ok(None) };
        let Some((record, config)) = self.request.wanted().find(&models, version) else { return Ok(None) };
        let tokenizer = match record.has_tokenizer {
            true => match store.tokenizer(&record.key).await {
                Ok(Some((hash, bytes))) if self.platform.sha256(&bytes).await == hash => Some(bytes.copied()),
                _ => return Ok(None),
            },
            false => None,
        };
        let (mut kept, now) = (record.clone(), self.platform.date());
        // Without a network it is found again by every name that it had.
        kept.add_names(&self.request.name().map(|name| (name.to_owned(), now)).into_iter().collect());
        let mut cache = Cache::open(store, kept, Some(record), true).await;
        if !cache.is_complete() {
            return Ok(None);
        }
        if !cache.is_whole(&config) {
            // Otherwise every visit would find these records of units that do not make a model.
            cache.forget(0..record.units).await;
            return Ok(None);
        }
        let location = Location::Folder { url: String::new() };
        let client = Rc::new(Client::new(self.platform.clone(), location, None, self.signal.clone()));
        let quantization = record.key.quantization;
        let room = self.devices.room(&config, quantization).await?;
        let (client, progress) = (&client, &self.progress);
        let from = UnitSource { client, quantization };
        let mut units = Units { source: from, room: &room, progress, cache: &mut cache };
        let reading = async {
            // The first units are read from the store meanwhile.
            self.platform.give_way().await;
            tokenizer.as_deref().map(Tokenizer::from_json).transpose()
        };
        let (is_whole, tokenizer) = try_join(units.load_stored(record.units, &self.request.id), reading).await?;
        if !is_whole {
            return Ok(None);
        }
        cache.complete(self.platform.date()).await;
        let revision = record.key.commit.clone();
        self.finish(room, &config, tokenizer, quantization, revision).await.map(Some)
    }
}
