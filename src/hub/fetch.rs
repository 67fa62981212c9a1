//! `fetch` in a page or a worker: one request, and what its answer means.

use super::Location;
use super::answer::{Answer, Host, Refusal, host, unreachable};
use super::body::Body;
pub use super::retry::Again;
use super::retry::{ATTEMPTS, Failures, PATIENCE, SILENCE, STALL, content_range, waiting};
use super::timer::{race, sleep};
use crate::error::{Error, ErrorCode, ErrorKind, Result};
use js_sys::{Array, Function, Object, Promise, Reflect};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;
use wasm_bindgen::prelude::*;
use web_sys::{AbortController, AbortSignal, Response};

#[wasm_bindgen]
extern "C" {
    // The global function, which a page and a worker have alike.
    #[wasm_bindgen(js_name = fetch)]
    fn global_fetch(url: &str, init: &Object) -> Promise;

    #[wasm_bindgen(js_namespace = AbortSignal, js_name = any, catch)]
    fn any_signal(signals: &Array) -> std::result::Result<AbortSignal, JsValue>;
}

/// Attempts for a file that may not be there at all, where some hosts give no readable answer.
const ATTEMPTS_IF_OPTIONAL: u32 = 2;
/// As many do where a copy is stored that can stand in.
const ATTEMPTS_BESIDE_A_COPY: u32 = 2;
const NO_ANSWER: &str = "no answer came";

/// Called with what is waited for, in words, and with `None` once it came.
pub type OnWait = Rc<dyn Fn(Option<String>)>;

/// Longest answer of the API that is read, in bytes.
const API_LIMIT: usize = 16 << 20;

/// Fetches files of one [`Location`].
pub struct Client {
    location: Location,
    token: Option<String>,
    signal: Option<AbortSignal>,
    /// Ends every request when the client goes.
    own: AbortController,
    /// Addresses that a redirect to another host led to. They carry the right to read in themselves, for a while.
    signed: RefCell<HashMap<String, String>>,
    /// The server answers a request for a range with the whole file.
    ignores_ranges: Cell<bool>,
    /// What is asked for may not be there.
    may_be_absent: Cell<bool>,
    /// A stored copy can stand in for what is asked for.
    has_copy: Cell<bool>,
    on_wait: Option<OnWait>,
    /// Somebody was told that something is waited for.
    waits: Cell<bool>,
}

/// A failed attempt.
#[derive(Debug)]
pub struct Failure {
    /// What to tell if it was the last one.
    pub error: Error,
    /// When to try again.
    pub again: Again,
}

/// An answer with a body to read.
pub struct Opened {
    /// The body.
    pub body: Body,
    /// Position in the file of the body's first byte.
    pub start: u64,
    /// Size of the file, where the server lets it be known.
    pub total: Option<u64>,
    /// What the server tells this version of the file by: its ETag, or when it was changed.
    pub version: String,
}

impl Failure {
    /// Without a network there is no use in trying again: what is stored can be used at once.
    #[must_use]
    pub fn unless_offline(self) -> Self {
        if is_offline() { Self { again: Again::Never, ..self } } else { self }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { error, again: Again::Never }
    }
}

impl From<Refusal> for Failure {
    fn from(Refusal { error, again }: Refusal) -> Self {
        Self { error, again }
    }
}

impl Client {
    /// A client; the token goes to a repository's endpoint only.
    ///
    /// # Errors
    /// `webgpu-unavailable` where the browser has no `AbortController`.
    pub fn new(location: Location, token: Option<String>, signal: Option<AbortSignal>) -> Result<Self> {
        let (own, signed, on_wait) = (controller()?, RefCell::default(), None);
        let [ignores_ranges, may_be_absent, has_copy, waits] = Default::default();
        Ok(Self { location, token, signal, own, signed, ignores_ranges, may_be_absent, has_copy, on_wait, waits })
    }

    /// The same, which tells what it waits for.
    #[must_use]
    pub fn telling(mut self, on_wait: OnWait) -> Self {
        self.on_wait = Some(on_wait);
        self
    }

    /// A client for another repository of the same endpoint.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn elsewhere(&self, repository: &str, revision: &str) -> Result<Self> {
        let location = match &self.location {
            Location::Repository { endpoint, .. } => Location::Repository {
                endpoint: endpoint.clone(),
                repository: repository.to_owned(),
                revision: revision.to_owned(),
            },
            folder => folder.clone(),
        };
        let mut client = Self::new(location, self.token.clone(), self.signal.clone())?;
        client.on_wait = self.on_wait.clone();
        Ok(client)
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

    /// True once the server has ignored a range.
    pub fn ignores_ranges(&self) -> bool {
        self.ignores_ranges.get()
    }

    /// From now on, files are asked for that may not be there: few attempts will do. Or they must be there.
    pub fn expect_absences(&self, expect: bool) {
        self.may_be_absent.set(expect);
    }

    /// From now on, a stored copy can stand in for what is asked for: nobody needs to wait long. Or none can.
    pub fn has_copy(&self, has: bool) {
        self.has_copy.set(has);
    }

    /// Attempts without progress before a request has failed, and how long it waits for a hub that limits requests.
    fn endurance(&self) -> (u32, Duration) {
        match (self.may_be_absent.get(), self.has_copy.get()) {
            (_, true) => (ATTEMPTS_BESIDE_A_COPY, Duration::ZERO),
            (true, _) => (ATTEMPTS_IF_OPTIONAL, PATIENCE),
            _ => (ATTEMPTS, PATIENCE),
        }
    }

    /// Tells what is waited for.
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
        if self.signal.as_ref().is_some_and(AbortSignal::aborted) { Err(aborted()) } else { Ok(()) }
    }

    /// Repeats `attempt` while that can help. What it fetched before it failed does not count here.
    ///
    /// # Errors
    /// Those of the last attempt, `aborted`.
    pub async fn retry<T>(&self, mut attempt: impl AsyncFnMut() -> std::result::Result<T, Failure>) -> Result<T> {
        let mut failures = Failures::default();
        loop {
            match attempt().await {
                Ok(done) => return Ok(done),
                Err(failure) => self.wait_after(failure, &mut failures).await?,
            }
        }
    }

    /// Waits until the next attempt after a failed one.
    ///
    /// # Errors
    /// The failure's own if there is to be no further attempt, `aborted`.
    pub async fn wait_after(&self, failure: Failure, failures: &mut Failures) -> Result<()> {
        self.check_abort()?;
        let (again, (attempts, patience)) = (failure.again, self.endurance());
        let wait = failures.wait(again, attempts, patience, js_sys::Math::random());
        let Some(wait) = wait else { return Err(failure.error) };
        if again != Again::Now {
            let host = host(self.location.address());
            self.wait_for(Some(waiting(host, again, wait, failures.count, attempts)));
        }
        sleep(wait, self.signal.as_ref()).await;
        self.check_abort()
    }

    /// Requests a file, or a range of it.
    ///
    /// # Errors
    /// Those of [`Answer::refusal`], `network` and `aborted`.
    pub async fn get(&self, file: &str, range: Option<&Range<u64>>) -> std::result::Result<Opened, Failure> {
        self.check_abort()?;
        let signed = self.signed.borrow().get(file).cloned();
        let used_signed = signed.is_some();
        let url = signed.unwrap_or_else(|| self.location.url(file));
        let attempt = controller()?;
        let answer = self.send(&url, range, !used_signed, &attempt).await;
        let response = match answer {
            Ok(response) => response,
            Err(e) => {
                attempt.abort();
                self.check_abort()?;
                self.signed.borrow_mut().remove(file);
                let again = if used_signed { Again::Now } else { Again::Later };
                return Err(Failure { error: network(file, &url, &e), again });
            }
        };
        let led_away = used_signed || (response.redirected() && !self.is_endpoint(&response.url()));
        let host = match (&self.location, used_signed, led_away) {
            (Location::Folder { .. }, ..) => Host::Folder,
            (_, true, _) => Host::Remembered,
            (_, _, true) => Host::Storage,
            _ => Host::Hub,
        };
        if let Some(refusal) = self.refusal(file, &response, host) {
            attempt.abort();
            self.signed.borrow_mut().remove(file);
            return Err(refusal.into());
        }
        self.wait_for(None);
        if led_away && !used_signed {
            self.signed.borrow_mut().insert(file.to_owned(), response.url());
        }
        let header = |name: &str| response.headers().get(name).ok().flatten();
        let told = header("Content-Range").map(|header| content_range(&header));
        let version = header("ETag").or_else(|| header("Last-Modified")).unwrap_or_default();
        let opened = |start, total| -> std::result::Result<Opened, Failure> {
            let body = Body::open(&response, file, attempt.clone())?;
            Ok(Opened { body, start, total, version })
        };
        match (response.status(), range, told) {
            (206, Some(range), None) => opened(range.start, None),
            (206, Some(range), Some(Some((first, _, total)))) if first == range.start => opened(first, total),
            (206, _, _) => {
                attempt.abort();
                let error = Error::new(ErrorCode::Network, format!("The server sent another part of {file}."));
                Err(Failure { error: error.hint("Try again."), again: Again::Later })
            }
            (_, Some(_), _) => {
                self.ignores_ranges.set(true);
                opened(0, None)
            }
            (_, None, _) => opened(0, None),
        }
    }

    /// An answer of the endpoint's API with its `Link` header; `None` if the server has no API.
    ///
    /// # Errors
    /// Those of [`Answer::refusal`], `network` and `aborted`.
    pub async fn api(&self, url: &str) -> Result<Option<(Vec<u8>, Option<String>)>> {
        let what = format!("What the hub tells of {}", self.location);
        if !self.is_endpoint(url) {
            return Err(Error::new(ErrorCode::Network, "The hub's list of files goes on at another host."));
        }
        self.retry(async || {
            self.check_abort()?;
            let attempt = controller()?;
            let response = self.send(url, None, true, &attempt).await.map_err(|e| {
                attempt.abort();
                let error = self.check_abort().err().unwrap_or_else(|| network(&what, url, &e));
                Failure { error, again: Again::Later }.unless_offline()
            })?;
            let header = |name: &str| response.headers().get(name).ok().flatten();
            let is_page = header("Content-Type").is_some_and(|t| t.starts_with("text/html"));
            let is_missing = matches!(response.status(), 404 | 405 | 410 | 501) && header("X-Error-Code").is_none();
            if is_missing || (is_page && response.ok()) {
                attempt.abort();
                return Ok(None);
            }
            if let Some(refusal) = self.refusal(&what, &response, Host::Hub) {
                attempt.abort();
                return Err(refusal.into());
            }
            self.wait_for(None);
            let mut body = Body::open(&response, &what, attempt)?;
            let too_long = || Error::new(ErrorCode::Network, format!("{what} is too long."));
            let json = body.whole(API_LIMIT).await?.ok_or_else(too_long)?;
            Ok(Some((json, header("Link"))))
        })
        .await
    }

    /// One request; the token goes to the endpoint alone.
    async fn send(
        &self,
        url: &str,
        range: Option<&Range<u64>>,
        to_endpoint: bool,
        attempt: &AbortController,
    ) -> std::result::Result<Response, JsValue> {
        let init = Object::new();
        let set = |object: &Object, key: &str, value: &JsValue| Reflect::set(object, &key.into(), value).map(|_| ());
        set(&init, "cache", &"no-store".into())?;
        set(&init, "referrerPolicy", &"no-referrer".into())?;
        set(&init, "credentials", &"omit".into())?;
        set(&init, "signal", self.signal_of(attempt)?.as_ref())?;
        let headers = Object::new();
        if let Some(range) = range {
            // The one form of this header that needs no preflight, which the hub's CDN would refuse.
            set(&headers, "Range", &format!("bytes={}-{}", range.start, range.end - 1).into())?;
        }
        if let (Some(token), Location::Repository { .. }, true) = (&self.token, &self.location, to_endpoint) {
            set(&headers, "Authorization", &format!("Bearer {token}").into())?;
        }
        set(&init, "headers", &headers)?;
        let asked = global_fetch(url, &init);
        let soon = race(&asked, SILENCE).await?;
        let response = match soon {
            Some(response) => Some(response),
            None => {
                self.wait_for(Some(format!("Waiting for an answer of {}", host(url))));
                race(&asked, STALL - SILENCE).await?
            }
        };
        response.ok_or_else(|| JsValue::from(js_sys::Error::new(NO_ANSWER)))?.dyn_into()
    }

    /// Aborts with the attempt, with the client, and with the caller's signal.
    fn signal_of(&self, attempt: &AbortController) -> std::result::Result<AbortSignal, JsValue> {
        let others: Vec<AbortSignal> = std::iter::once(self.own.signal()).chain(self.signal.clone()).collect();
        let all = std::iter::once(attempt.signal()).chain(others.iter().cloned()).map(JsValue::from).collect();
        if let Ok(signal) = any_signal(&all) {
            return Ok(signal);
        }
        // Chrome has `AbortSignal.any` since 116, Firefox since 124, Safari since 17.4.
        let abort: Function = Reflect::get(attempt, &"abort".into())?.dyn_into()?;
        let abort = abort.bind0(attempt);
        for other in others {
            if other.aborted() {
                attempt.abort();
            }
            other.add_event_listener_with_callback("abort", &abort)?;
        }
        Ok(attempt.signal())
    }

    fn is_endpoint(&self, url: &str) -> bool {
        match &self.location {
            Location::Repository { endpoint, .. } => url.starts_with(&format!("{endpoint}/")),
            Location::Folder { url: folder } => url.starts_with(folder),
        }
    }

    /// What is wrong with an answer, if anything.
    fn refusal(&self, what: &str, response: &Response, host: Host) -> Option<Refusal> {
        let header = |name: &str| response.headers().get(name).ok().flatten();
        let (content_type, error_code) = (header("Content-Type"), header("X-Error-Code"));
        let (retry_after, rate_limit) = (header("Retry-After"), header("RateLimit"));
        Answer {
            what,
            place: &self.location.to_string(),
            host,
            status: response.status(),
            has_token: self.token.is_some(),
            content_type: content_type.as_deref(),
            error_code: error_code.as_deref(),
            retry_after: retry_after.as_deref(),
            rate_limit: rate_limit.as_deref(),
        }
        .refusal()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.own.abort();
    }
}

/// Something to abort with.
///
/// # Errors
/// `webgpu-unavailable` where the browser has none.
pub fn controller() -> Result<AbortController> {
    AbortController::new().map_err(|e| {
        Error::new(ErrorCode::WebgpuUnavailable, "The browser cannot abort requests.").caused_by(format!("{e:?}"))
    })
}

/// The error of an aborted load.
pub fn aborted() -> Error {
    Error::new(ErrorCode::Aborted, "Loading was aborted.")
}

/// True if no answer could be read, of a server that did answer: see [`ErrorKind::Unreadable`].
pub fn is_opaque(e: &Error) -> bool {
    e.kind == ErrorKind::Unreadable && e.source.as_ref().is_none_or(|s| s.to_string() != NO_ANSWER)
}

/// The error of a request that no answer came to.
pub(super) fn network(what: &str, url: &str, e: &JsValue) -> Error {
    let own = Reflect::get(&js_sys::global(), &"origin".into()).ok().and_then(|origin| origin.as_string());
    unreachable(what, url, &own.unwrap_or_default(), is_offline()).caused_by(message_of(e))
}

/// True where the browser knows that it has no network.
fn is_offline() -> bool {
    let navigator = Reflect::get(&js_sys::global(), &"navigator".into()).unwrap_or(JsValue::UNDEFINED);
    Reflect::get(&navigator, &"onLine".into()).ok().and_then(|online| online.as_bool()) == Some(false)
}

pub(super) fn message_of(e: &JsValue) -> String {
    Reflect::get(e, &"message".into()).ok().and_then(|m| m.as_string()).unwrap_or_default()
}
