//! Another tab may be loading the same model: this one waits for it as long as it makes progress.

use super::Load;
use super::upload::Devices;
use crate::platform::wait::within;
use crate::platform::{Lock, Platform};
use crate::store::Store;
use crate::store::stall::Stall;
use std::time::Duration;

/// How often the other tab is checked.
const LOOK: Duration = Duration::from_secs(1);
/// Time between two signs of life of a load.
const SIGN: Duration = Duration::from_secs(5);
/// Seconds without a sign of life, and with nothing new of the model in the store, after which this tab stops waiting
/// for the other one.
const QUIET: u32 = 20;
const WAITING: &str = "Another tab is loading this model; waiting for it";
const NOT_WAITING: &str = "Another tab began to load this model and does not get on, so it was loaded here as well.";

impl<P, S, D> Load<'_, P, S, D>
where
    P: Platform,
    S: Store<Bytes = P::Bytes> + Clone,
    D: Devices<P::Bytes>,
{
    /// Waits for the turn of this load. What others stored meanwhile need not be loaded again. True if it took a second
    /// or more, in which the source may have changed.
    pub(super) async fn turn(&mut self) -> bool {
        let Some(store) = self.store.clone() else { return false };
        let name = self.lock_name();
        let Some(mut lock) = self.platform.lock(&name) else { return false };
        let began = self.platform.now();
        let waiting = self.granted(&mut lock, &store);
        let granted = self.signal.unless_set(waiting).await;
        self.progress.waiting(None);
        match granted {
            Some(true) => self.lock = Some(lock),
            // Both store the same units under the same names: neither spoils what the other one does.
            Some(false) => self.notes.push(NOT_WAITING.into()),
            None => {}
        }
        self.platform.now().saturating_sub(began) >= LOOK
    }

    /// False once the holder of the lock stops making progress.
    async fn granted(&self, lock: &mut P::Lock, store: &S) -> bool {
        let mut stall = Stall::new(QUIET);
        loop {
            if let Some(is_granted) = within(&self.platform, LOOK, lock.is_granted()).await {
                return is_granted;
            }
            self.progress.waiting(Some(WAITING.into()));
            if stall.is_over(self.stored_so_far(store).await) {
                return false;
            }
        }
    }

    /// What is stored of the model, as far as it shows that another tab is at work.
    async fn stored_so_far(&self, store: &S) -> (Option<String>, Vec<(String, u64, bool)>) {
        let models = store.models().await.unwrap_or_default();
        let same = models.iter().filter(|m| m.key.id == self.request.id && m.key.endpoint == self.request.endpoint());
        let sign = store.note(&self.lock_name()).await.ok().flatten();
        (sign, same.map(|m| (m.key.text(), m.bytes, m.complete)).collect())
    }

    fn lock_name(&self) -> String {
        format!("tokenformer-web {} {}", self.request.endpoint(), self.request.id)
    }

    /// Shows waiting tabs that this load makes progress even if a unit takes long to arrive. It runs until it is
    /// dropped.
    pub(super) fn signs_of_life(&self) -> impl Future<Output = ()> + use<P, S, D> {
        let (name, progress, platform) = (self.lock_name(), self.progress.clone(), self.platform.clone());
        let store = self.store.clone().filter(|_| self.lock.is_some());
        async move {
            let mut reported = 0;
            loop {
                platform.sleep(SIGN).await;
                let arrived = progress.arrived_bytes();
                if let Some(store) = store.as_ref().filter(|_| arrived != reported) {
                    let _ = store.put_note(&name, &arrived.to_string()).await; // others need not know
                    reported = arrived;
                }
            }
        }
    }
}
