//! `fetch`, and the body that it delivers in pieces.

use super::super::{Body, HEADERS, Request, Response};
use js_sys::{Function, Object, Promise, Reflect, Uint8Array};
use std::cell::RefCell;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{AbortController, ReadableStreamDefaultReader};

#[wasm_bindgen]
extern "C" {
    // The global function, which both a page and a worker have.
    #[wasm_bindgen(js_name = fetch)]
    fn global_fetch(url: &str, init: &Object) -> Promise;
}

thread_local! {
    /// What reads files from disk, where anything does.
    static FILES: RefCell<Option<Function>> = const { RefCell::new(None) };
}

/// Answers `file:` URLs with `fetch` from now on: outside a page, the global one does not read files.
pub fn read_files_with(fetch: Function) {
    FILES.set(Some(fetch));
}

/// Requests `url` from the function that answers it.
fn ask(url: &str, init: &Object) -> Result<Promise, JsValue> {
    let files = FILES.with_borrow(Option::clone).filter(|_| url.starts_with("file:"));
    match files {
        Some(fetch) => fetch.call2(&JsValue::UNDEFINED, &url.into(), init)?.dyn_into(),
        None => Ok(global_fetch(url, init)),
    }
}

/// A request; dropping it stops a download that is no longer read.
struct Attempt(AbortController);

impl Drop for Attempt {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The body of a response.
pub struct Stream {
    response: web_sys::Response,
    reader: Option<ReadableStreamDefaultReader>,
    _attempt: Attempt,
}

/// Sends a request; an error is the browser's message.
pub async fn fetch(request: Request<'_>) -> Result<Response<Stream>, String> {
    send(request).await.map_err(|e| message_of(&e))
}

async fn send(request: Request<'_>) -> Result<Response<Stream>, JsValue> {
    let attempt = Attempt(AbortController::new()?);
    let (init, headers) = (Object::new(), Object::new());
    let set = |object: &Object, key: &str, value: &JsValue| Reflect::set(object, &key.into(), value).map(|_| ());
    set(&init, "cache", &"no-store".into())?;
    set(&init, "referrerPolicy", &"no-referrer".into())?;
    set(&init, "credentials", &"omit".into())?;
    set(&init, "signal", attempt.0.signal().as_ref())?;
    if let Some(range) = request.range_header() {
        set(&headers, "Range", &range.into())?;
    }
    if let Some(token) = request.token {
        set(&headers, "Authorization", &format!("Bearer {token}").into())?;
    }
    set(&init, "headers", &headers)?;
    let response: web_sys::Response = JsFuture::from(ask(request.url, &init)?).await?.dyn_into()?;
    let header = |name| Some((name, response.headers().get(name).ok().flatten()?));
    Ok(Response {
        status: response.status(),
        url: response.url(),
        redirected: response.redirected(),
        headers: HEADERS.into_iter().filter_map(header).collect(),
        body: Stream { response, reader: None, _attempt: attempt },
    })
}

impl Stream {
    async fn read(&mut self) -> Result<Option<Uint8Array>, JsValue> {
        let reader = match &self.reader {
            Some(reader) => reader,
            None => {
                // For example that of a 204: nothing arrives.
                let Some(body) = self.response.body() else { return Ok(None) };
                self.reader.insert(body.get_reader().dyn_into()?)
            }
        };
        let result = JsFuture::from(reader.read()).await?;
        if Reflect::get(&result, &"done".into())?.is_truthy() {
            return Ok(None);
        }
        Reflect::get(&result, &"value".into())?.dyn_into().map(Some)
    }
}

impl Body for Stream {
    type Bytes = Uint8Array;

    async fn next(&mut self) -> Result<Option<Uint8Array>, String> {
        self.read().await.map_err(|e| message_of(&e))
    }
}

/// The message of what was thrown.
fn message_of(e: &JsValue) -> String {
    Reflect::get(e, &"message".into()).ok().and_then(|m| m.as_string()).unwrap_or_default()
}
