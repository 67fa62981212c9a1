//! Waiting with a timeout.

use super::Clock;
use futures_util::future::{Either, select};
use std::pin::pin;
use std::time::Duration;

/// A timer that fires this late was slept through: a phone that was put away for an hour has not waited for an hour.
pub const OVERSLEPT: Duration = Duration::from_secs(1);

/// How long work may take once the thread is awake again.
const AWAKE: Duration = Duration::from_secs(4);

/// What `work` results in; `None` after `time`.
pub async fn within<T>(clock: &impl Clock, time: Duration, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    // One timer, not a chain of short ones: browsers let the timers of a hidden page run once a minute.
    let began = clock.now();
    match select(work.as_mut(), pin!(clock.sleep(time))).await {
        Either::Left((result, _)) => return Some(result),
        Either::Right(_) if clock.now().saturating_sub(began) < time + OVERSLEPT => return None,
        Either::Right(_) => (),
    }
    // What arrived meanwhile is queued behind the timer.
    match select(work, pin!(clock.sleep(time.min(AWAKE)))).await {
        Either::Left((result, _)) => Some(result),
        Either::Right(_) => None,
    }
}

/// The result of `work`, while `other` runs beside it.
pub async fn beside<T>(work: impl Future<Output = T>, other: impl Future<Output = ()>) -> T {
    let mut work = pin!(work);
    match select(work.as_mut(), pin!(other)).await {
        Either::Left((result, _)) => result,
        Either::Right(_) => work.await,
    }
}

#[cfg(test)]
mod tests {
    use super::super::simulated::World;
    use super::*;
    use std::future::pending;

    #[test]
    fn work_has_its_time_and_no_more() {
        let world = World::default();
        let seconds = Duration::from_secs_f64;
        let (quick, slow, all) = world.run(async |world| {
            let quick = within(world, seconds(2.5), world.sleep(seconds(2.4))).await;
            let began = world.now();
            let slow = within(world, seconds(2.5), pending::<()>()).await;
            (quick, slow, world.now() - began)
        });
        assert_eq!((quick, slow, all), (Some(()), None, seconds(2.5)));
    }

    #[test]
    fn what_was_slept_through_does_not_count() {
        let world = World::default();
        let done = world.run(async |world| {
            let work = within(world, Duration::from_secs(5), world.sleep(Duration::from_secs_f64(3603.5)));
            world.oversleep(Duration::from_secs(3600));
            work.await
        });
        assert_eq!(done, Some(()), "the work got four seconds more once the thread was awake");
    }
}
