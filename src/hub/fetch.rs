//! `fetch` in a page or a worker: one request, and what its answer means.

use super::retry::{ATTEMPTS, STALL, asked, backoff, content_range};
use super::timer::{race, sleep};
use super::{Location, error_of_answer};
use crate::error::{Error, ErrorCode, Result};
use js_sys::{Array, Object, Promise, Reflect, Uint8Array};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ops::Range;
use std::time::Duration;
use wasm_bindgen::prelude::*;
use web_sys::{AbortController, AbortSignal, ReadableStreamDefaultReader, Response};

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
const NO_ANSWER: &str = "no answer came";

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
    /// Attempts without progress before a request has failed.
    attempts: Cell<u32>,
}

/// A failed attempt.
#[derive(Debug)]
pub struct Failure {
    /// What to tell if it was the last one.
    pub error: Error,
    /// When to try again.
    pub again: Again,
}

/// When to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// Never: it would fail the same way.
    Never,
    /// At once: the address had expired, and the next attempt takes a fresh one.
    Now,
    /// Later.
    Later,
    /// After what the server said.
    After(Duration),
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

/// A body that is read piece by piece.
pub struct Body {
    reader: ReadableStreamDefaultReader,
    attempt: AbortController,
    file: String,
}

impl Failure {
    /// Without a network there is no use in trying again: what is stored can be used at once.
    #[must_use]
    pub fn unless_offline(self) -> Self {
        let navigator = Reflect::get(&js_sys::global(), &"navigator".into()).unwrap_or(JsValue::UNDEFINED);
        let online = Reflect::get(&navigator, &"onLine".into()).ok().and_then(|o| o.as_bool());
        if online == Some(false) { Self { again: Again::Never, ..self } } else { self }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { error, again: Again::Never }
    }
}

impl Client {
    /// A client; the token goes to a repository's endpoint only.
    ///
    /// # Errors
    /// `webgpu-unavailable` where the browser has no `AbortController`.
    pub fn new(location: Location, token: Option<String>, signal: Option<AbortSignal>) -> Result<Self> {
        let (signed, ignores_ranges, attempts) = (RefCell::default(), Cell::new(false), Cell::new(ATTEMPTS));
        Ok(Self { location, token, signal, own: controller()?, signed, ignores_ranges, attempts })
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
        Self::new(location, self.token.clone(), self.signal.clone())
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
        self.attempts.set(if expect { ATTEMPTS_IF_OPTIONAL } else { ATTEMPTS });
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
        let mut failures = 0;
        loop {
            match attempt().await {
                Ok(done) => return Ok(done),
                Err(failure) => {
                    failures += 1;
                    self.wait_after(failure, failures).await?;
                }
            }
        }
    }

    /// Waits until the next attempt after `failures` failed ones.
    ///
    /// # Errors
    /// The failure's own if there is to be no further attempt, `aborted`.
    pub async fn wait_after(&self, failure: Failure, failures: u32) -> Result<()> {
        self.check_abort()?;
        let wait = match failure.again {
            _ if failures >= self.attempts.get() => return Err(failure.error),
            Again::Never => return Err(failure.error),
            Again::Now => Duration::ZERO,
            Again::Later => backoff(failures, js_sys::Math::random()),
            Again::After(wait) => wait,
        };
        sleep(wait, self.signal.as_ref()).await;
        self.check_abort()
    }

    /// Requests a file, or a range of it.
    ///
    /// # Errors
    /// Those of [`error_of_answer`], `network` and `aborted`.
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
                return Err(Failure { error: network(file, &e), again });
            }
        };
        let led_away = used_signed || (response.redirected() && !self.is_endpoint(&response.url()));
        if let Some(failure) = self.refusal(file, &response, used_signed, led_away) {
            attempt.abort();
            self.signed.borrow_mut().remove(file);
            return Err(failure);
        }
        if led_away && !used_signed {
            self.signed.borrow_mut().insert(file.to_owned(), response.url());
        }
        let header = |name: &str| response.headers().get(name).ok().flatten();
        let told = header("Content-Range").as_deref().and_then(content_range);
        let version = header("ETag").or_else(|| header("Last-Modified")).unwrap_or_default();
        let opened = |start, total| -> std::result::Result<Opened, Failure> {
            let body = Body::open(&response, file, attempt.clone())?;
            Ok(Opened { body, start, total, version })
        };
        match (response.status(), range, told) {
            (206, Some(range), None) => opened(range.start, None),
            (206, Some(range), Some((first, _, total))) if first == range.start => opened(first, total),
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
    /// Those of [`error_of_answer`], `network` and `aborted`.
    pub async fn api(&self, url: &str) -> Result<Option<(Vec<u8>, Option<String>)>> {
        const WHAT: &str = "The hub's answer";
        if !self.is_endpoint(url) {
            return Err(Error::new(ErrorCode::Network, "The hub's list of files goes on at another host."));
        }
        self.retry(async || {
            self.check_abort()?;
            let attempt = controller()?;
            let response = self.send(url, None, true, &attempt).await.map_err(|e| {
                attempt.abort();
                let error = self.check_abort().err().unwrap_or_else(|| network(WHAT, &e));
                Failure { error, again: Again::Later }.unless_offline()
            })?;
            let header = |name: &str| response.headers().get(name).ok().flatten();
            let is_page = header("Content-Type").is_some_and(|t| t.starts_with("text/html"));
            let is_missing = matches!(response.status(), 404 | 405 | 410 | 501) && header("X-Error-Code").is_none();
            if is_missing || (is_page && response.ok()) {
                attempt.abort();
                return Ok(None);
            }
            if let Some(failure) = self.refusal(WHAT, &response, false, false) {
                attempt.abort();
                return Err(failure);
            }
            let mut body = Body::open(&response, WHAT, attempt)?;
            let too_long = || Error::new(ErrorCode::Network, format!("{WHAT} is too long."));
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
        set(&init, "signal", any_signal(&self.signals(attempt))?.as_ref())?;
        let headers = Object::new();
        if let Some(range) = range {
            // The one form of this header that needs no preflight, which the hub's CDN would refuse.
            set(&headers, "Range", &format!("bytes={}-{}", range.start, range.end - 1).into())?;
        }
        if let (Some(token), Location::Repository { .. }, true) = (&self.token, &self.location, to_endpoint) {
            set(&headers, "Authorization", &format!("Bearer {token}").into())?;
        }
        set(&init, "headers", &headers)?;
        let response = race(&global_fetch(url, &init), STALL).await?;
        response.ok_or_else(|| JsValue::from(js_sys::Error::new(NO_ANSWER)))?.dyn_into()
    }

    fn signals(&self, attempt: &AbortController) -> Array {
        let own = [self.own.signal(), attempt.signal()];
        own.into_iter().chain(self.signal.clone()).map(JsValue::from).collect()
    }

    fn is_endpoint(&self, url: &str) -> bool {
        match &self.location {
            Location::Repository { endpoint, .. } => url.starts_with(&format!("{endpoint}/")),
            Location::Folder { url: folder } => url.starts_with(folder),
        }
    }

    /// What is wrong with an answer, if anything.
    fn refusal(&self, file: &str, response: &Response, used_signed: bool, led_away: bool) -> Option<Failure> {
        let header = |name: &str| response.headers().get(name).ok().flatten();
        let status = response.status();
        // Single-page hosts answer every missing path with their index page.
        if status == 200 && header("Content-Type").is_some_and(|t| t.starts_with("text/html")) {
            let error = format!("The server has no {file}: it answered with a page.");
            return Some(Error::new(ErrorCode::ModelNotFound, error).hint("Check the model's address.").into());
        }
        if status == 416 {
            let error = Error::new(ErrorCode::Integrity, format!("{file} is shorter than was said (HTTP 416)."));
            return Some(error.hint("Try again; if it stays so, the file on the server is damaged.").into());
        }
        let error_code = header("X-Error-Code");
        let error = error_of_answer(file, status, error_code.as_deref(), self.token.is_some())?;
        let again = match status {
            _ if error_code.is_some() && status != 429 => Again::Never,
            429 => match asked(header("Retry-After").as_deref(), header("RateLimit").as_deref()) {
                Some(Ok(wait)) => Again::After(wait),
                Some(Err(_)) => Again::Never,
                None => Again::Later,
            },
            // After the redirect it is the signature that has run out, not the right to read.
            400..=403 if used_signed => Again::Now,
            400..=403 if led_away => Again::Later,
            408 | 425 | 500.. => Again::Later,
            _ => Again::Never,
        };
        Some(Failure { error, again })
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.own.abort();
    }
}

impl Body {
    fn open(response: &Response, file: &str, attempt: AbortController) -> Result<Self> {
        let body =
            response.body().ok_or_else(|| Error::new(ErrorCode::Network, format!("{file} came without a body.")))?;
        let reader = body.get_reader().dyn_into().map_err(|e| network(file, &e))?;
        Ok(Self { reader, attempt, file: file.into() })
    }

    /// The next piece, or `None` at the end.
    ///
    /// # Errors
    /// `network` if the connection breaks or stalls.
    pub async fn next(&mut self) -> std::result::Result<Option<Uint8Array>, Failure> {
        let failed = |e: &JsValue| {
            let error = Error::new(ErrorCode::Network, format!("The connection broke while {} came.", self.file))
                .hint("Try again: what is stored is not downloaded again.")
                .caused_by(message_of(e));
            Failure { error, again: Again::Later }
        };
        let result = race(&self.reader.read(), STALL).await.map_err(|e| failed(&e))?;
        let result = result.ok_or_else(|| failed(&js_sys::Error::new("nothing came for a while")))?;
        let get = |key: &str| Reflect::get(&result, &key.into()).unwrap_or(JsValue::UNDEFINED);
        if get("done").is_truthy() {
            return Ok(None);
        }
        get("value").dyn_into::<Uint8Array>().map(Some).map_err(|e| failed(&e))
    }

    /// All bytes; `None` if there are more than `limit`.
    ///
    /// # Errors
    /// Those of [`next`](Self::next).
    pub async fn whole(&mut self, limit: usize) -> std::result::Result<Option<Vec<u8>>, Failure> {
        let mut bytes = Vec::new();
        while let Some(piece) = self.next().await? {
            if bytes.len() + piece.length() as usize > limit {
                return Ok(None);
            }
            bytes.extend(piece.to_vec());
        }
        Ok(Some(bytes))
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        self.attempt.abort(); // stops the download of what nobody reads
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

/// True if no answer could be read: the server is out of reach, or does not allow this origin to see its answer, which
/// some hosts do for files that they do not have.
pub fn is_opaque(e: &Error) -> bool {
    e.message.ends_with(OPAQUE) && e.source.as_ref().is_none_or(|s| s.to_string() != NO_ANSWER)
}

const OPAQUE: &str = "could not be fetched: the connection failed.";

fn network(file: &str, e: &JsValue) -> Error {
    let cause = message_of(e);
    Error::new(ErrorCode::Network, format!("{file} {OPAQUE}"))
        .hint("Check the network and that the server allows other origins (CORS), then try again: what is stored is not downloaded again.")
        .caused_by(cause)
}

fn message_of(e: &JsValue) -> String {
    Reflect::get(e, &"message".into()).ok().and_then(|m| m.as_string()).unwrap_or_default()
}
