//! Long work on a thread that has other work to do: it yields from time to time.

use super::Clock;
use std::cell::Cell;
use std::time::Duration;

/// Longest time for which a page may be unresponsive.
pub const OF_A_PAGE: Duration = Duration::from_millis(12);

/// Work that yields to other tasks.
pub struct Turns<C> {
    clock: C,
    length: Duration,
    since: Cell<Duration>,
}

impl<C: Clock> Turns<C> {
    /// Starts a turn of this length.
    pub fn new(clock: C, length: Duration) -> Self {
        let since = Cell::new(clock.now());
        Self { clock, length, since }
    }

    /// Yields, if it is time to.
    pub async fn give_way(&self) {
        if self.clock.now().saturating_sub(self.since.get()) >= self.length {
            self.clock.give_way().await;
            self.since.set(self.clock.now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::simulated::World;
    use super::*;

    #[test]
    fn others_have_their_turn_when_it_is_time() {
        World::default().run(async |world| {
            let length = Duration::from_millis(12);
            let turns = Turns::new(world.clone(), length);
            for _ in 0..2 {
                world.sleep(length - Duration::from_millis(1)).await;
                let before = world.now();
                turns.give_way().await;
                assert_eq!(world.now(), before, "too early");
                world.sleep(Duration::from_millis(1)).await;
                turns.give_way().await;
                assert!(world.now() > before + Duration::from_millis(1), "others had their turn");
            }
        });
    }
}
