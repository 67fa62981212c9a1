//! What loading needs from its environment, as traits: bytes, a clock, a network, tasks and locks.
//!
//! `browser` (wasm only) implements all of it for a page or a worker; tests bring a world of their own, with a scripted
//! network and a clock that does not wait. Single-threaded: nothing here can be sent to another thread.
#![allow(async_fn_in_trait)] // wasm has no Send futures

pub mod abort;
#[cfg(target_arch = "wasm32")]
pub mod browser;
#[cfg(test)]
pub(crate) mod simulated;
pub mod turns;
pub mod wait;

use std::ops::Range;
use std::time::Duration;

/// Bytes where the platform keeps them, which in a browser is outside of this module's memory.
pub trait Bytes: Clone + 'static {
    /// `len` zeros.
    fn zeroed(len: u32) -> Self;

    /// A copy.
    fn of(bytes: &[u8]) -> Self;

    /// The number of bytes.
    fn count(&self) -> u32;

    /// A part of them. In a browser it shares the bytes, elsewhere it is a copy: only the owner of the whole may change
    /// a part.
    fn part(&self, range: Range<u32>) -> Self;

    /// Replaces those from `at` on.
    fn put(&mut self, at: u32, bytes: &Self);

    /// Copies all of them to a place of the same length.
    fn read(&self, to: &mut [u8]);

    /// A copy in this module's memory.
    fn copied(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.count() as usize];
        self.read(&mut bytes);
        bytes
    }
}

/// Time.
pub trait Clock {
    /// Time since some starting point; it never goes back.
    fn now(&self) -> Duration;

    /// Milliseconds since 1970.
    fn date(&self) -> f64;

    /// Waits.
    async fn sleep(&self, time: Duration);

    /// Yields to other tasks before work continues.
    async fn give_way(&self);
}

/// One request: a GET without credentials or cache.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// What is asked for.
    pub url: &'a str,
    /// The byte range, if not all of it is wanted.
    pub range: Option<&'a Range<u64>>,
    /// An access token.
    pub token: Option<&'a str>,
}

impl Request<'_> {
    /// The header that asks for a range, in the one form that needs no preflight, which the hub's CDN would refuse.
    pub fn range_header(&self) -> Option<String> {
        self.range.map(|range| format!("bytes={}-{}", range.start, range.end - 1))
    }
}

/// Headers that are read.
pub const HEADERS: [&str; 8] =
    ["Content-Type", "Content-Range", "ETag", "Last-Modified", "Link", "X-Error-Code", "Retry-After", "RateLimit"];

/// The answer to a request, as far as this origin may see it.
#[derive(Debug)]
pub struct Response<B> {
    /// The HTTP status.
    pub status: u16,
    /// The final URL.
    pub url: String,
    /// The final URL is not the requested one.
    pub redirected: bool,
    /// Those of [`HEADERS`] that it has.
    pub headers: Vec<(&'static str, String)>,
    /// The rest.
    pub body: B,
}

impl<B> Response<B> {
    /// One of [`HEADERS`].
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }
}

/// A network.
pub trait Fetch {
    /// The bytes that arrive.
    type Bytes: Bytes;
    /// The body that they arrive in.
    type Body: Body<Bytes = Self::Bytes>;

    /// Sends a request. It ends when the returned future, or the body of the response, is dropped.
    ///
    /// # Errors
    /// Why no answer can be read.
    async fn fetch(&self, request: Request<'_>) -> Result<Response<Self::Body>, String>;

    /// True where it is known that there is none.
    fn is_offline(&self) -> bool;

    /// The origin of the requests: hosts may hide answers from other origins.
    fn origin(&self) -> String;
}

/// A body that arrives in pieces.
pub trait Body: 'static {
    /// A piece.
    type Bytes;

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// Why nothing more arrives.
    async fn next(&mut self) -> Result<Option<Self::Bytes>, String>;
}

/// A lock that was requested: held from when it is granted until this is dropped.
pub trait Lock {
    /// Waits until it is granted; false if it never will be.
    async fn is_granted(&mut self) -> bool;
}

/// All of the above.
pub trait Platform: Clock + Fetch + Clone + 'static {
    /// A lock that this origin's other tabs respect.
    type Lock: Lock;

    /// Starts a task that runs by itself.
    fn spawn(&self, task: impl Future<Output = ()> + 'static);

    /// A random number in [0, 1).
    fn random(&self) -> f64;

    /// SHA-256 as lower-case hex.
    async fn sha256(&self, bytes: &Self::Bytes) -> String;

    /// Requests the lock of this name; `None` where there are no locks.
    fn lock(&self, name: &str) -> Option<Self::Lock>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_byte_of_a_range_is_named() {
        let request = Request { url: "https://hub.example", range: Some(&(5..10)), token: None };
        assert_eq!(request.range_header().as_deref(), Some("bytes=5-9"));
    }
}
