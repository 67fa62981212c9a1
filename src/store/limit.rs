//! Waiting for the browser, but not for ever.

use super::patience::Patience;
use crate::hub::timer::sleep;
use futures_util::future::{Either, select};
use std::pin::pin;
use std::time::Duration;

/// What `work` results in; `None` after so many seconds.
pub async fn within<T>(work: impl Future<Output = T>, seconds: u32) -> Option<T> {
    let mut work = pin!(work);
    let mut patience = Patience::new(seconds);
    loop {
        match select(work.as_mut(), pin!(sleep(Duration::from_secs(1), None))).await {
            Either::Left((result, _)) => return Some(result),
            Either::Right(_) if patience.is_over(()) => return None,
            Either::Right(_) => {}
        }
    }
}
