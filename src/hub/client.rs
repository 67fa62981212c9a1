//! One place's files: requests, what their answers mean, and when to try again.

use super::Location;
use super::answer::{Answer, Host, Refusal, host, unreachable};
use super::body::Pieces;
use super::failure::Failure;
use super::retry::{ATTEMPTS, Again, Failures, LIMIT_TIMEOUT, SILENCE, STALL, content_range, waiting};
use crate::error::{Error, ErrorCode, ErrorKind, Result};
use crate::platform::abort::Signal;
use crate::platform::wait::within;
use crate::platform::{Platform, Request, Response};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ops::Range;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

/// Attempts for a file that may not exist, where some hosts give no readable answer.
const ATTEMPTS_IF_OPTIONAL: u32 = 2;
/// Attempts where a stored copy can be used instead.
const ATTEMPTS_BESIDE_A_COPY: u32 = 2;

/// Called with what is being waited for, in words, and with `None` once the wait is over.
pub type OnWait = Rc<dyn Fn(Option<String>)>;

/// Longest answer of the API that is read, in bytes.
const API_LIMIT: usize = 16 << 20;

/// Fetches files of one [`Location`].
pub struct Client<P> {
    platform: P,
    location: Location,
    token: Option<String>,
    signal: Signal,
    /// Addresses that a redirect to another host led to. For a while, they carry the permission to read in themselves.
    signed: RefCell<HashMap<String, String>>,
    /// The server answers a request for a range with the whole file.
    ignores_ranges: Cell<bool>,
    /// What is requested may not exist.
    may_be_absent: Cell<bool>,
    /// A stored copy can be used instead of what is requested.
    has_copy: Cell<bool>,
    on_wait: Option<OnWait>,
    /// A wait was reported, but not its end yet.
    waits: Cell<bool>,
}

/// An answer with a body to read.
pub struct Opened<P: Platform> {
    /// The body.
    pub body: Pieces<P>,
    /// Position in the file of the body's first byte.
    pub start: u64,
    /// Size of the file, where the server reveals it.
    pub total: Option<u64>,
    /// What the server identifies this version of the file by: its ETag, or when it was changed.
    pub version: String,
}

/// Why a request has no answer.
enum Lost {
    /// None arrived in time.
    Silent,
    /// None that can be read.
    Failed(String),
}

/// False for addresses of extensions: Chromium sends only the range there, but labels it as the whole file (200).
fn answers_ranges(url: &str) -> bool {
    ["http:", "https:", "file:"].iter().any(|scheme| url.starts_with(scheme))
}

impl<P: Platform> Client<P> {
    /// A client; the token goes to a repository's endpoint only.
    pub fn new(platform: P, location: Location, token: Option<String>, signal: Signal) -> Self {
        let (signed, on_wait) = (RefCell::default(), None);
        let [ignores_ranges, may_be_absent, has_copy, waits] = Default::default();
        Self { platform, location, token, signal, signed, ignores_ranges, may_be_absent, has_copy, on_wait, waits }
    }

    /// The same, but it reports what it waits for.
    #[must_use]
    pub fn telling(mut self, on_wait: OnWait) -> Self {
        self.on_wait = Some(on_wait);
        self
    }

    /// A client for another repository of the same endpoint.
    #[must_use]
    pub fn elsewhere(&self, repository: &str, revision: &str) -> Self {
        let location = match &self.location {
            Location::Repository { endpoint, .. } => Location::Repository {
                endpoint: endpoint.clone(),
                repository: repository.to_owned(),
                revision: revision.to_owned(),
            },
            folder => folder.clone(),
        };
        self.at(location)
    }

    /// A client for the same place: what one of the two expects does not matter to the other.
    #[must_use]
    pub fn twin(&self) -> Self {
        self.at(self.location.clone())
    }

    fn at(&self, location: Location) -> Self {
        let client = Self::new(self.platform.clone(), location, self.token.clone(), self.signal.clone());
        Self { on_wait: self.on_wait.clone(), ..client }
    }

    /// The same place at a commit.
    #[must_use]
    pub fn pinned(mut self, commit: &str) -> Self {
        if let Location::Repository { revision, .. } = &mut self.location {
            commit.clone_into(revision);
        }
        self
    }

    /// Where the files are.
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// The platform that it fetches with.
    pub fn platform(&self) -> &P {
        &self.platform
    }

    /// The signal that ends it.
    pub fn signal(&self) -> &Signal {
        &self.signal
    }

    /// True once the server has ignored a range.
    pub fn ignores_ranges(&self) -> bool {
        self.ignores_ranges.get()
    }

    /// Sets whether the files that are requested from now on may be missing, so that few attempts will do.
    pub fn expect_absences(&self, expect: bool) {
        self.may_be_absent.set(expect);
    }

    /// Sets whether, from now on, a stored copy can be used instead of what is requested, so that long waits are
    /// pointless.
    pub fn has_copy(&self, has: bool) {
        self.has_copy.set(has);
    }

    /// Attempts without progress before a request fails, and how long it waits for a hub that limits requests.
    fn endurance(&self) -> (u32, Duration) {
        match (self.may_be_absent.get(), self.has_copy.get()) {
            (_, true) => (ATTEMPTS_BESIDE_A_COPY, Duration::ZERO),
            (true, _) => (ATTEMPTS_IF_OPTIONAL, LIMIT_TIMEOUT),
            _ => (ATTEMPTS, LIMIT_TIMEOUT),
        }
    }

    /// Reports what is being waited for.
    pub fn wait_for(&self, what: Option<String>) {
        let waits = what.is_some();
        if let Some(on_wait) = self.on_wait.as_ref().filter(|_| waits || self.waits.get()) {
            on_wait(what);
        }
        self.waits.set(waits);
    }

    /// Fails if the caller has aborted.
    ///
    /// # Errors
    /// `aborted`.
    pub fn check_abort(&self) -> Result<()> {
        self.signal.check()
    }

    /// Without a network it is useless to retry: what is stored can be used at once.
    pub fn unless_offline(&self, failure: Failure) -> Failure {
        if self.platform.is_offline() { Failure { again: Again::Never, ..failure } } else { failure }
    }

    /// Repeats `attempt` as long as that can help. What it fetched before it failed does not count here.
    ///
    /// # Errors
    /// Those of the last attempt, `aborted`.
    pub async fn retry<T>(&self, mut attempt: impl AsyncFnMut() -> std::result::Result<T, Failure>) -> Result<T> {
        let attempts = async {
            let mut failures = Failures::default();
            loop {
                match attempt().await {
                    Ok(done) => return Ok(done),
                    Err(failure) => self.wait_after(failure, &mut failures).await?,
                }
            }
        };
        self.signal.end(attempts).await
    }

    /// Waits until the next attempt after a failed one.
    ///
    /// # Errors
    /// The failure's own if there is to be no further attempt.
    pub async fn wait_after(&self, failure: Failure, failures: &mut Failures) -> Result<()> {
        let (again, (attempts, timeout)) = (failure.again, self.endurance());
        let wait = failures.wait(again, attempts, timeout, self.platform.random());
        let Some(wait) = wait else { return Err(failure.error) };
        if again != Again::Now {
            let host = host(self.location.address());
            self.wait_for(Some(waiting(host, again, wait, failures.count, attempts)));
        }
        self.platform.sleep(wait).await;
        Ok(())
    }

    /// Requests a file, or a range of it.
    ///
    /// # Errors
    /// Those of [`Answer::refusal`], and `network`.
    pub async fn get(&self, file: &str, range: Option<&Range<u64>>) -> std::result::Result<Opened<P>, Failure> {
        let signed = self.signed.borrow().get(file).cloned();
        let used_signed = signed.is_some();
        let url = signed.unwrap_or_else(|| self.location.url(file));
        let response = self.send(&url, range, !used_signed).await.map_err(|lost| {
            self.signed.borrow_mut().remove(file);
            let again = if used_signed { Again::Now } else { Again::Later };
            Failure { error: self.lost(file, &url, lost), again }
        })?;
        let led_away = used_signed || (response.redirected && !self.is_endpoint(&response.url));
        let host = match (&self.location, used_signed, led_away) {
            (Location::Folder { .. }, ..) => Host::Folder,
            (_, true, _) => Host::Remembered,
            (_, _, true) => Host::Storage,
            _ => Host::Hub,
        };
        if let Some(refusal) = self.refusal(file, &response, host) {
            self.signed.borrow_mut().remove(file);
            return Err(refusal.into());
        }
        self.wait_for(None);
        if led_away && !used_signed {
            self.signed.borrow_mut().insert(file.to_owned(), response.url.clone());
        }
        let content_range = response.header("Content-Range").map(content_range);
        let version = response.header("ETag").or_else(|| response.header("Last-Modified"));
        let version = version.unwrap_or_default().to_owned();
        let (start, total) = match (response.status, range, content_range) {
            (206, Some(range), None) => (range.start, None),
            (206, Some(range), Some(Some((first, _, total)))) if first == range.start => (first, total),
            (206, _, _) => {
                let error = Error::new(ErrorCode::Network, format!("The server sent another part of {file}."));
                return Err(Failure { error: error.hint("Try again."), again: Again::Later });
            }
            (_, Some(_), _) => {
                self.ignores_ranges.set(true);
                (0, None)
            }
            (_, None, _) => (0, None),
        };
        let body = Pieces::new(self.platform.clone(), response.body, file);
        Ok(Opened { body, start, total, version })
    }

    /// An answer of the endpoint's API with its `Link` header; `None` if the server has no API.
    ///
    /// # Errors
    /// Those of [`Answer::refusal`], `network` and `aborted`.
    pub async fn api(&self, url: &str) -> Result<Option<(Vec<u8>, Option<String>)>> {
        let what = format!("What the hub says about {}", self.location);
        if !self.is_endpoint(url) {
            return Err(Error::new(ErrorCode::Network, "The hub's list of files continues on another host."));
        }
        self.retry(async || {
            let response = self.send(url, None, true).await.map_err(|lost| {
                self.unless_offline(Failure { error: self.lost(&what, url, lost), again: Again::Later })
            })?;
            let is_page = response.header("Content-Type").is_some_and(|t| t.starts_with("text/html"));
            let is_missing =
                matches!(response.status, 404 | 405 | 410 | 501) && response.header("X-Error-Code").is_none();
            if is_missing || (is_page && (200..300).contains(&response.status)) {
                return Ok(None);
            }
            if let Some(refusal) = self.refusal(&what, &response, Host::Hub) {
                return Err(refusal.into());
            }
            self.wait_for(None);
            let link = response.header("Link").map(str::to_owned);
            let mut body = Pieces::new(self.platform.clone(), response.body, &what);
            let too_long = || Error::new(ErrorCode::Network, format!("{what} is too long."));
            let json = body.whole(API_LIMIT).await?.ok_or_else(too_long)?;
            Ok(Some((json, link)))
        })
        .await
    }

    /// One request; the token goes to the endpoint alone.
    async fn send(
        &self,
        url: &str,
        range: Option<&Range<u64>>,
        to_endpoint: bool,
    ) -> std::result::Result<Response<P::Body>, Lost> {
        let may_know = to_endpoint && matches!(self.location, Location::Repository { .. });
        let token = self.token.as_deref().filter(|_| may_know);
        let range = range.filter(|_| answers_ranges(url));
        let mut asked = pin!(self.platform.fetch(Request { url, range, token }));
        let answer = match within(&self.platform, SILENCE, asked.as_mut()).await {
            Some(answer) => Some(answer),
            None => {
                self.wait_for(Some(format!("Waiting for an answer of {}", host(url))));
                within(&self.platform, STALL - SILENCE, asked).await
            }
        };
        answer.ok_or(Lost::Silent)?.map_err(Lost::Failed)
    }

    /// The error of a request that has no answer.
    fn lost(&self, what: &str, url: &str, lost: Lost) -> Error {
        let error = unreachable(what, url, &self.platform.origin(), self.platform.is_offline());
        match lost {
            Lost::Failed(cause) => error.caused_by(cause),
            // A host that hides its answer does give one.
            Lost::Silent if error.kind == ErrorKind::Unreadable => {
                error.of_kind(ErrorKind::Plain).caused_by("no answer came")
            }
            Lost::Silent => error.caused_by("no answer came"),
        }
    }

    fn is_endpoint(&self, url: &str) -> bool {
        match &self.location {
            Location::Repository { endpoint, .. } => url.starts_with(&format!("{endpoint}/")),
            Location::Folder { url: folder } => url.starts_with(folder),
        }
    }

    /// What is wrong with an answer, if anything.
    fn refusal(&self, what: &str, response: &Response<P::Body>, host: Host) -> Option<Refusal> {
        Answer {
            what,
            place: &self.location.to_string(),
            host,
            status: response.status,
            has_token: self.token.is_some(),
            content_type: response.header("Content-Type"),
            error_code: response.header("X-Error-Code"),
            retry_after: response.header("Retry-After"),
            rate_limit: response.header("RateLimit"),
        }
        .refusal()
    }
}

#[cfg(test)]
mod tests {
    use super::answers_ranges;

    #[test]
    fn extensions_are_asked_for_whole_files() {
        for url in ["http://h/m/f", "https://h/m/f", "file:///m/f"] {
            assert!(answers_ranges(url), "{url}");
        }
        for url in ["chrome-extension://abc/m/f", "moz-extension://abc/m/f"] {
            assert!(!answers_ranges(url), "{url}");
        }
    }
}
