//! Whether something that is waited for has stalled: it may never answer.

/// Counts the seconds in which nothing changed. Seconds that this thread slept through count as one: a phone that was put
/// away for an hour has not waited for an hour.
#[derive(Debug)]
pub struct Stall<T> {
    seconds: u32,
    waited: u32,
    seen: Option<T>,
}

impl<T: PartialEq> Stall<T> {
    /// A stall is this many seconds without a change.
    pub fn new(seconds: u32) -> Self {
        Self { seconds, waited: 0, seen: None }
    }

    /// Another second has passed, and `now` is what can be seen. True once it is time to give up.
    pub fn is_over(&mut self, now: T) -> bool {
        match &self.seen {
            Some(seen) if *seen == now => self.waited += 1,
            Some(_) => self.waited = 0,
            None => self.waited = 1,
        }
        self.seen = Some(now);
        self.waited >= self.seconds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_is_waited_for() {
        let mut stall = Stall::new(3);
        let seen = [0, 0, 1, 1, 1, 2, 2, 2, 2];
        let over: Vec<bool> = seen.into_iter().map(|bytes| stall.is_over(bytes)).collect();
        assert_eq!(over, [false, false, false, false, false, false, false, false, true]);
        let mut stall = Stall::new(2);
        assert!(!stall.is_over(()) && stall.is_over(()));
    }
}
