//! When a request is retried, after how long, and how slow an answer may be.

use crate::sizes::MAX_FILE_BYTES;
use std::time::Duration;

/// Attempts without progress before a request has failed.
pub const ATTEMPTS: u32 = 6;
/// An answer that brings too few bytes in this time is dropped and requested again.
pub const STALL: Duration = Duration::from_secs(20);
/// How long a request may have no answer before anything is reported.
pub const SILENCE: Duration = Duration::from_secs(3);
/// Fewest bytes of a large file's range in that time. Four ranges share a connection: 1 kB in a second is enough.
pub const LEAST: u64 = 4 << 10;
/// Fewest bytes of a small file in that time; a load waits for it and shows nothing meanwhile.
pub const LEAST_OF_SMALL: u64 = 16 << 10;
/// This many bytes count as progress: a server that cuts every answer must not be asked forever.
pub const PROGRESS_BYTES: u64 = 64 << 10;

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(15);
/// Longest that one request waits for a hub that limits requests: the hub counts them over five minutes, and hides from
/// pages when these began. If the hub asks for a longer wait, the caller gets the error instead.
pub const LIMIT_TIMEOUT: Duration = Duration::from_secs(300);
/// Waits for such a hub, in seconds; the last is repeated.
const STEPS: [u64; 4] = [10, 20, 30, 60];

/// When to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// Never: it would fail the same way.
    Never,
    /// At once: the address had expired, and the next attempt takes a fresh one.
    Now,
    /// Later.
    Later,
    /// When the hub allows more requests: after this time, if it says so.
    Limited(Option<Duration>),
}

/// The failures of one request since it last brought something.
#[derive(Clone, Copy, Debug, Default)]
pub struct Failures {
    /// All but those of a limit.
    pub count: u32,
    /// Waits for the hub's limit.
    limits: usize,
    limited: Duration,
}

impl Failures {
    /// How long to wait before the next attempt; `None` if there is to be none. Waits for a limit do not count as
    /// `attempts`: they end with `timeout`. `random` is in [0, 1).
    pub fn wait(&mut self, again: Again, attempts: u32, timeout: Duration, random: f64) -> Option<Duration> {
        if let Again::Limited(asked) = again {
            let left = timeout.saturating_sub(self.limited);
            let step = Duration::from_secs(STEPS[self.limits.min(STEPS.len() - 1)]);
            self.limits += 1;
            // At least part of the step counts, for a server that always says "now".
            let wait = asked.unwrap_or_else(|| step.mul_f64(1.0 + random.clamp(0.0, 1.0) * 0.1));
            if left.is_zero() || asked.is_some_and(|asked| asked > left) {
                return None;
            }
            self.limited += wait.max(step / 2);
            return Some(wait);
        }
        self.count += 1;
        match again {
            _ if self.count >= attempts => None,
            Again::Now => Some(Duration::ZERO),
            Again::Later => Some(backoff(self.count, random)),
            Again::Never | Again::Limited(_) => None,
        }
    }
}

/// What a load waits for, in words.
pub fn waiting(host: &str, again: Again, wait: Duration, failures: u32, attempts: u32) -> String {
    match again {
        Again::Limited(_) => {
            format!("{host} asks to wait: the next attempt comes in {} s", wait.as_secs_f64().ceil())
        }
        _ => format!("{host} does not answer as it should: attempt {} of {attempts}", failures + 1),
    }
}

/// Measures how fast an answer arrives. Time counts only while something waits for the answer.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    least: u64,
    bytes: u64,
    waited: Duration,
}

impl Pace {
    /// At least `least` bytes in every [`STALL`].
    pub fn new(least: u64) -> Self {
        Self { least, bytes: 0, waited: Duration::ZERO }
    }

    /// How long the next bytes may take.
    pub fn left(&self) -> Duration {
        STALL.saturating_sub(self.waited)
    }

    /// `bytes` bytes arrived after `after`; false if that is too slow.
    pub fn came(&mut self, bytes: u64, after: Duration) -> bool {
        self.bytes += bytes;
        self.waited += after;
        if self.bytes >= self.least {
            *self = Self::new(self.least);
        }
        self.waited < STALL
    }
}

/// Time to wait before the attempt after `failures` failed ones: doubled each time, with jitter, so that
/// clients that failed together do not come back together. `random` is in [0, 1).
pub fn backoff(failures: u32, random: f64) -> Duration {
    let whole = (FIRST * 2u32.saturating_pow(failures.saturating_sub(1).min(10))).min(LONGEST);
    whole.mul_f64(0.5 + random.clamp(0.0, 1.0) * 0.5)
}

/// How long the server asks to wait, by `Retry-After` (seconds) or `RateLimit` (`"…";r=0;t=55`). Headers that
/// CORS hides count as none.
pub fn asked(retry_after: Option<&str>, rate_limit: Option<&str>) -> Option<Duration> {
    let seconds = |text: &str| text.trim().parse::<u64>().ok();
    let reset = |text: &str| text.split(';').find_map(|p| seconds(p.trim().strip_prefix("t=")?));
    retry_after.and_then(seconds).or_else(|| rate_limit.and_then(reset)).map(Duration::from_secs)
}

/// First byte, last byte and, if given, the size of the file, from a `Content-Range` header that makes sense.
pub fn content_range(header: &str) -> Option<(u64, u64, Option<u64>)> {
    let (range, size) = header.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last): (u64, u64) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    let size: Option<u64> = size.trim().parse().ok();
    let most = size.unwrap_or(MAX_FILE_BYTES);
    (first <= last && last < most && most <= MAX_FILE_BYTES).then_some((first, last, size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_end() {
        for failures in 1..20 {
            let (least, most) = (backoff(failures, 0.0), backoff(failures, 1.0));
            assert!(least * 2 == most && most <= LONGEST && most >= FIRST, "{failures}");
        }
        assert!(backoff(3, 0.5) > backoff(2, 0.5));
    }

    #[test]
    fn headers() {
        assert_eq!(asked(Some(" 3 "), None), Some(Duration::from_secs(3)));
        assert_eq!(asked(None, Some("\"api\";r=0;t=55")), Some(Duration::from_secs(55)));
        assert_eq!(asked(Some("3600"), None), Some(Duration::from_secs(3600)));
        assert_eq!(asked(Some("Wed, 21 Oct 2026 07:28:00 GMT"), None), None);
        assert_eq!(content_range("bytes 0-9/100"), Some((0, 9, Some(100))));
        assert_eq!(content_range("bytes 5-9/*"), Some((5, 9, None)));
        assert_eq!(content_range("bytes */100"), None);
        for absurd in
            ["9-5/100", "0-100/100", "0-0/1099511627777", "0-0/18446744073709551615", "18446744073709551615-0/*"]
        {
            assert_eq!(content_range(&format!("bytes {absurd}")), None, "{absurd}");
        }
    }

    #[test]
    fn a_limit_is_waited_for_five_minutes_in_steps() {
        for random in [0.0, 0.99] {
            let mut failures = Failures::default();
            let waits: Vec<f64> = std::iter::from_fn(|| failures.wait(Again::Limited(None), 2, LIMIT_TIMEOUT, random))
                .map(|w| w.as_secs_f64())
                .collect();
            let total: f64 = waits.iter().sum();
            assert!((300.0..370.0).contains(&total) && waits.len() < 10 && waits[0] < 12.0, "{waits:?}");
            assert_eq!(failures.count, 0, "they are no failed attempts");
        }
        let limited = |seconds| Again::Limited(Some(Duration::from_secs(seconds)));
        let mut failures = Failures::default();
        assert_eq!(failures.wait(limited(55), 6, LIMIT_TIMEOUT, 0.5), Some(Duration::from_secs(55)));
        assert_eq!(failures.wait(limited(3600), 6, LIMIT_TIMEOUT, 0.5), None, "longer than anybody waits");
        assert_eq!(Failures::default().wait(limited(1), 6, Duration::ZERO, 0.5), None, "there is a copy");
        let mut failures = Failures::default();
        let at_once = std::iter::from_fn(|| failures.wait(limited(0), 6, LIMIT_TIMEOUT, 0.5)).count();
        assert!(at_once < 20, "a server that says \"now\" for ever is not asked for ever: {at_once}");
    }

    #[test]
    fn attempts_end() {
        let mut failures = Failures::default();
        let waits = std::iter::from_fn(|| failures.wait(Again::Later, ATTEMPTS, LIMIT_TIMEOUT, 0.5)).count();
        assert_eq!(waits as u32, ATTEMPTS - 1);
        assert_eq!(Failures::default().wait(Again::Never, ATTEMPTS, LIMIT_TIMEOUT, 0.5), None);
        assert_eq!(Failures::default().wait(Again::Now, ATTEMPTS, LIMIT_TIMEOUT, 0.5), Some(Duration::ZERO));
    }

    #[test]
    fn a_trickle_is_a_stall() {
        let seconds = Duration::from_secs;
        let mut pace = Pace::new(LEAST);
        assert!((0..3).all(|_| pace.came(1, seconds(5))), "not before the time is over");
        assert!(pace.left() == seconds(5) && !pace.came(1, seconds(5)), "a byte each five seconds");
        let mut pace = Pace::new(LEAST);
        assert!((0..1000).all(|_| pace.came(1 << 10, seconds(4))), "256 bytes in a second are slow, and come");
        assert!(Pace::new(LEAST).came(LEAST, seconds(30)), "what came is not thrown away");
    }

    #[test]
    fn what_is_waited_for_in_words() {
        let words = waiting("hub.example", Again::Limited(None), Duration::from_secs_f64(10.4), 0, 6);
        assert_eq!(words, "hub.example asks to wait: the next attempt comes in 11 s");
        let words = waiting("hub.example", Again::Later, Duration::ZERO, 1, 6);
        assert_eq!(words, "hub.example does not answer as it should: attempt 2 of 6");
    }
}
