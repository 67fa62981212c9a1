//! What loading needs of the world around it, as traits: bytes, a clock, a network, tasks and locks.
//!
//! `browser` (wasm only) has all of it as a page or a worker has it; tests bring a world of their own, with a network that
//! does what it is told and a clock that does not wait. One thread: nothing here can be sent to another.
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
    /// So many zeros.
    fn zeroed(len: u32) -> Self;

    /// A copy.
    fn of(bytes: &[u8]) -> Self;

    /// How many they are.
    fn count(&self) -> u32;

    /// Some of them. In a browser they are the same bytes, elsewhere a copy: whoever changes a part must own the whole.
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
    /// Time since some beginning; it never goes back.
    fn now(&self) -> Duration;

    /// Milliseconds since 1970.
    fn date(&self) -> f64;

    /// Waits.
    async fn sleep(&self, time: Duration);

    /// Lets others have their turn before work goes on.
    async fn give_way(&self);
}

/// One request: a GET without credentials or cache.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// What is asked for.
    pub url: &'a str,
    /// Bytes of it, where not all are wanted.
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

/// Headers that are looked at.
pub const HEADERS: [&str; 8] =
    ["Content-Type", "Content-Range", "ETag", "Last-Modified", "Link", "X-Error-Code", "Retry-After", "RateLimit"];

/// The answer to a request, as far as this origin may see it.
#[derive(Debug)]
pub struct Response<B> {
    /// The HTTP status.
    pub status: u16,
    /// Where it came from in the end.
    pub url: String,
    /// That is not what was asked for.
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
    /// What comes of it.
    type Bytes: Bytes;
    /// How it comes.
    type Body: Body<Bytes = Self::Bytes>;

    /// Sends a request. It ends when what this returns, or the body of the response, is dropped.
    ///
    /// # Errors
    /// Why no answer can be read.
    async fn fetch(&self, request: Request<'_>) -> Result<Response<Self::Body>, String>;

    /// True where it is known that there is none.
    fn is_offline(&self) -> bool;

    /// The origin that asks: hosts may hide answers from others.
    fn origin(&self) -> String;
}

/// What comes piece by piece.
pub trait Body: 'static {
    /// A piece.
    type Bytes;

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// Why nothing more comes.
    async fn next(&mut self) -> Result<Option<Self::Bytes>, String>;
}

/// A lock that was asked for: held from when it is granted until this is dropped.
pub trait Lock {
    /// Waits until it is granted; false if it never will be.
    async fn is_granted(&mut self) -> bool;
}

/// All of it.
pub trait Platform: Clock + Fetch + Clone + 'static {
    /// What others of this origin respect.
    type Lock: Lock;

    /// Begins a task that goes on by itself.
    fn spawn(&self, task: impl Future<Output = ()> + 'static);

    /// In [0, 1).
    fn random(&self) -> f64;

    /// SHA-256 as lower-case hex.
    async fn sha256(&self, bytes: &Self::Bytes) -> String;

    /// Asks for the lock of this name; `None` where there are no locks.
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
