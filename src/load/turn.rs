//! Another tab may be loading the same model: then it is waited for, as long as it gets on.

use super::Load;
use crate::hub::timer::{sleep, unless_aborted};
use crate::store::Store;
use crate::store::indexed_db::IndexedDb;
use crate::store::lock::Lock;
use crate::store::patience::Patience;
use futures_util::future::{Either, select};
use std::pin::pin;
use std::time::Duration;

/// Seconds between two signs of life of a load.
const SIGN: u64 = 5;
/// Seconds without a sign of life and without anything new of the model in the store, after which the other tab is not waited for any longer.
const QUIET: u32 = 20;
const WAITING: &str = "Another tab is loading this model; waiting for it";
const NOT_WAITING: &str = "Another tab began to load this model and does not get on, so it was loaded here as well.";

impl Load<'_> {
    /// Waits for the turn of this load. What others stored meanwhile need not be loaded again.
    pub(super) async fn turn(&mut self) {
        let Some(store) = self.store.clone() else { return };
        let name = self.lock_name();
        let Some(mut lock) = Lock::request(&name) else { return };
        let waiting = self.granted(&mut lock, &store);
        let granted = unless_aborted(waiting, self.signal.as_ref()).await;
        self.progress.waiting(None);
        match granted {
            Some(true) => self.lock = Some(lock),
            // Both store the same units under the same names: neither spoils what the other one does.
            Some(false) => self.notes.push(NOT_WAITING.into()),
            None => {}
        }
    }

    /// False once the one who holds the lock does not get on.
    async fn granted(&self, lock: &mut Lock, store: &IndexedDb) -> bool {
        let mut patience = Patience::new(QUIET);
        loop {
            match select(pin!(lock.is_granted()), pin!(sleep(Duration::from_secs(1), None))).await {
                Either::Left((is_granted, _)) => return is_granted,
                Either::Right(_) => {}
            }
            self.progress.waiting(Some(WAITING.into()));
            if patience.is_over(self.stored_so_far(store).await) {
                return false;
            }
        }
    }

    /// What there is of the model, as far as it shows that somebody is at work.
    async fn stored_so_far(&self, store: &IndexedDb) -> (Option<String>, Vec<(String, u64, bool)>) {
        let models = store.models().await.unwrap_or_default();
        let same = models.iter().filter(|m| m.key.id == self.request.id && m.key.endpoint == self.request.endpoint());
        let sign = store.note(&self.lock_name()).await.ok().flatten();
        (sign, same.map(|m| (m.key.text(), m.bytes, m.complete)).collect())
    }

    fn lock_name(&self) -> String {
        format!("tokenformer-web {} {}", self.request.endpoint(), self.request.id)
    }

    /// Shows those who wait that this load gets on, where a unit takes long to come. It goes on until it is dropped.
    pub(super) fn signs_of_life(&self) -> impl Future<Output = ()> + use<> {
        let (name, progress) = (self.lock_name(), self.progress.clone());
        let store = self.store.clone().filter(|_| self.lock.is_some());
        async move {
            let mut told = 0;
            loop {
                sleep(Duration::from_secs(SIGN), None).await;
                let arrived = progress.arrived_bytes();
                if let Some(store) = store.as_ref().filter(|_| arrived != told) {
                    let _ = store.put_note(&name, &arrived.to_string()).await; // others need not know
                    told = arrived;
                }
            }
        }
    }
}

/// The result of `work`, while `other` runs beside it.
pub(super) async fn beside<T>(work: impl Future<Output = T>, other: impl Future<Output = ()>) -> T {
    let mut work = pin!(work);
    match select(work.as_mut(), pin!(other)).await {
        Either::Left((result, _)) => result,
        Either::Right(_) => work.await,
    }
}
