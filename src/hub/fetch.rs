//! `fetch` in a page or a worker.

use super::{Location, error_of_answer};
use crate::error::{Error, ErrorCode, Result};
use js_sys::{Object, Promise, Reflect, Uint8Array};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{AbortSignal, ReadableStreamDefaultReader, Response};

#[wasm_bindgen]
extern "C" {
    // The global function, which a page and a worker have alike.
    #[wasm_bindgen(js_name = fetch)]
    fn global_fetch(url: &str, init: &Object) -> Promise;
}

/// Fetches files of one [`Location`].
pub struct Client {
    location: Location,
    token: Option<String>,
    signal: Option<AbortSignal>,
}

/// A body that is read piece by piece.
pub struct Body {
    reader: ReadableStreamDefaultReader,
    file: String,
}

impl Client {
    /// A client; the token goes to a repository's endpoint only.
    pub fn new(location: Location, token: Option<String>, signal: Option<AbortSignal>) -> Self {
        Self { location, token, signal }
    }

    /// A client for another repository of the same endpoint.
    pub fn elsewhere(&self, repository: &str, revision: &str) -> Self {
        let location = match &self.location {
            Location::Repository { endpoint, .. } => Location::Repository {
                endpoint: endpoint.clone(),
                repository: repository.to_owned(),
                revision: revision.to_owned(),
            },
            folder => folder.clone(),
        };
        Self { location, token: self.token.clone(), signal: self.signal.clone() }
    }

    /// Fails if the caller has aborted.
    ///
    /// # Errors
    /// `aborted`.
    pub fn check_abort(&self) -> Result<()> {
        if self.signal.as_ref().is_some_and(AbortSignal::aborted) { Err(aborted()) } else { Ok(()) }
    }

    async fn request(&self, file: &str) -> Result<Response> {
        self.check_abort()?;
        let init = Object::new();
        let set = |key: &str, value: &JsValue| Reflect::set(&init, &key.into(), value).map(|_| ());
        let built = (|| {
            set("cache", &"no-store".into())?;
            set("referrerPolicy", &"no-referrer".into())?;
            set("credentials", &"omit".into())?;
            if let Some(signal) = &self.signal {
                set("signal", signal)?;
            }
            if let (Some(token), Location::Repository { .. }) = (&self.token, &self.location) {
                let headers = Object::new();
                Reflect::set(&headers, &"Authorization".into(), &format!("Bearer {token}").into())?;
                set("headers", &headers)?;
            }
            Ok::<_, JsValue>(())
        })();
        built.map_err(|e| self.failed(file, &e))?;
        let response = JsFuture::from(global_fetch(&self.location.url(file), &init))
            .await
            .and_then(JsCast::dyn_into::<Response>)
            .map_err(|e| self.failed(file, &e))?;
        let headers = response.headers();
        let error_code = headers.get("X-Error-Code").ok().flatten();
        if let Some(e) = error_of_answer(file, response.status(), error_code.as_deref(), self.token.is_some()) {
            return Err(e);
        }
        // Single-page hosts answer every missing path with their index page.
        if headers.get("Content-Type").ok().flatten().is_some_and(|t| t.starts_with("text/html")) {
            return Err(Error::new(
                ErrorCode::ModelNotFound,
                format!("The server has no {file}: it answered with a page."),
            )
            .hint("Check the model's address."));
        }
        Ok(response)
    }

    /// Opens a file for reading in order.
    ///
    /// # Errors
    /// Those of [`error_of_answer`], `network` and `aborted`.
    pub async fn open(&self, file: &str) -> Result<Body> {
        let response = self.request(file).await?;
        let body =
            response.body().ok_or_else(|| Error::new(ErrorCode::Network, format!("{file} came without a body.")))?;
        let reader = body.get_reader().dyn_into::<ReadableStreamDefaultReader>();
        Ok(Body { reader: reader.map_err(|e| self.failed(file, &e))?, file: file.into() })
    }

    /// A whole small file, of at most `limit` bytes.
    ///
    /// # Errors
    /// As [`open`](Self::open); `invalid-config` for a larger file.
    pub async fn bytes(&self, file: &str, limit: usize) -> Result<Vec<u8>> {
        let mut body = self.open(file).await?;
        let mut out = Vec::new();
        while let Some(piece) = body.next().await? {
            self.check_abort()?;
            if out.len() + piece.length() as usize > limit {
                return Err(Error::invalid_config(format!("{file} is larger than {} MB.", limit >> 20)));
            }
            out.extend(piece.to_vec());
        }
        Ok(out)
    }

    fn failed(&self, file: &str, e: &JsValue) -> Error {
        if self.check_abort().is_err() { aborted() } else { network(file, e) }
    }
}

impl Body {
    /// The next piece, or `None` at the end.
    ///
    /// # Errors
    /// `network` if the connection breaks, `aborted`.
    pub async fn next(&mut self) -> Result<Option<Uint8Array>> {
        let result = JsFuture::from(self.reader.read()).await.map_err(|e| {
            let name = Reflect::get(&e, &"name".into()).ok().and_then(|n| n.as_string());
            if name.as_deref() == Some("AbortError") { aborted() } else { network(&self.file, &e) }
        })?;
        let get = |key: &str| Reflect::get(&result, &key.into()).unwrap_or(JsValue::UNDEFINED);
        if get("done").is_truthy() {
            return Ok(None);
        }
        get("value").dyn_into::<Uint8Array>().map(Some).map_err(|e| network(&self.file, &e))
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        let _ = self.reader.cancel(); // stops the download of what nobody reads
    }
}

fn aborted() -> Error {
    Error::new(ErrorCode::Aborted, "Loading was aborted.")
}

fn network(file: &str, e: &JsValue) -> Error {
    let cause = Reflect::get(e, &"message".into()).ok().and_then(|m| m.as_string()).unwrap_or_default();
    Error::new(ErrorCode::Network, format!("{file} could not be fetched: the connection failed."))
        .hint("Check the network and that the server allows other origins (CORS), then try again.")
        .caused_by(cause)
}
