//! When a request is tried again, and after how long.

use std::time::Duration;

/// Attempts without progress before a request has failed.
pub const ATTEMPTS: u32 = 6;
/// An answer that brings no byte for so long is given up and asked for again.
pub const STALL: Duration = Duration::from_secs(20);
/// So many bytes count as progress: a server that cuts every answer must not be asked for ever.
pub const PROGRESS_BYTES: u64 = 64 << 10;

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(15);
/// A server that wants us to wait longer is told of to the caller instead.
const PATIENCE: Duration = Duration::from_secs(120);

/// Time to wait before the attempt after `failures` failed ones: doubled each time, with jitter, so that
/// clients that failed together do not come back together. `random` is in [0, 1).
pub fn backoff(failures: u32, random: f64) -> Duration {
    let whole = (FIRST * 2u32.saturating_pow(failures.saturating_sub(1).min(10))).min(LONGEST);
    whole.mul_f64(0.5 + random.clamp(0.0, 1.0) * 0.5)
}

/// How long the server asks to wait, by `Retry-After` (seconds) or `RateLimit` (`"…";r=0;t=55`). Headers that
/// CORS hides count as none. `Err` with the time if it is too long to wait for.
pub fn asked(retry_after: Option<&str>, rate_limit: Option<&str>) -> Option<Result<Duration, Duration>> {
    let seconds = |text: &str| text.trim().parse::<u64>().ok();
    let reset = |text: &str| text.split(';').find_map(|p| seconds(p.trim().strip_prefix("t=")?));
    let wait = Duration::from_secs(retry_after.and_then(seconds).or_else(|| rate_limit.and_then(reset))?);
    Some(if wait <= PATIENCE { Ok(wait) } else { Err(wait) })
}

/// First byte, last byte and, if told, the size of the file, from a `Content-Range` header.
pub fn content_range(header: &str) -> Option<(u64, u64, Option<u64>)> {
    let (range, size) = header.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    Some((first.trim().parse().ok()?, last.trim().parse().ok()?, size.trim().parse().ok()))
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
        assert_eq!(asked(Some(" 3 "), None), Some(Ok(Duration::from_secs(3))));
        assert_eq!(asked(None, Some("\"api\";r=0;t=55")), Some(Ok(Duration::from_secs(55))));
        assert_eq!(asked(Some("3600"), None), Some(Err(Duration::from_secs(3600))));
        assert_eq!(asked(Some("Wed, 21 Oct 2026 07:28:00 GMT"), None), None);
        assert_eq!(content_range("bytes 0-9/100"), Some((0, 9, Some(100))));
        assert_eq!(content_range("bytes 5-9/*"), Some((5, 9, None)));
        assert_eq!(content_range("bytes */100"), None);
    }
}
