//! An answer's body, piece by piece: an end for those that stall or trickle.

use super::fetch::{Again, Failure, message_of, network};
use super::retry::{LEAST, LEAST_OF_SMALL, Pace};
use super::timer::race;
use crate::error::{Error, ErrorCode, Result};
use js_sys::{Reflect, Uint8Array};
use wasm_bindgen::prelude::*;
use web_sys::{AbortController, ReadableStreamDefaultReader, Response};
use web_time::Instant;

/// A body that is read piece by piece.
pub struct Body {
    reader: ReadableStreamDefaultReader,
    attempt: AbortController,
    file: String,
    pace: Pace,
}

impl Body {
    /// The body of an answer; dropping it aborts `attempt`.
    ///
    /// # Errors
    /// `network` for an answer that has none.
    pub fn open(response: &Response, file: &str, attempt: AbortController) -> Result<Self> {
        let body =
            response.body().ok_or_else(|| Error::new(ErrorCode::Network, format!("{file} came without a body.")))?;
        let reader = body.get_reader().dyn_into().map_err(|e| network(file, &response.url(), &e))?;
        Ok(Self { reader, attempt, file: file.into(), pace: Pace::new(LEAST) })
    }

    /// The next piece, or `None` at the end.
    ///
    /// # Errors
    /// `network` if the connection breaks, stalls or is slower than anybody waits for.
    pub async fn next(&mut self) -> std::result::Result<Option<Uint8Array>, Failure> {
        let failed = |e: &JsValue| {
            let error = Error::new(ErrorCode::Network, format!("The connection broke while {} came.", self.file))
                .hint("Try again: what is stored is not downloaded again.")
                .caused_by(message_of(e));
            Failure { error, again: Again::Later }
        };
        let too_slow = || failed(&js_sys::Error::new("too little came for a while"));
        let began = Instant::now();
        let result = race(&self.reader.read(), self.pace.left()).await.map_err(|e| failed(&e))?;
        let result = result.ok_or_else(too_slow)?;
        let get = |key: &str| Reflect::get(&result, &key.into()).unwrap_or(JsValue::UNDEFINED);
        if get("done").is_truthy() {
            return Ok(None);
        }
        let piece = get("value").dyn_into::<Uint8Array>().map_err(|e| failed(&e))?;
        if self.pace.came(piece.length().into(), began.elapsed()) { Ok(Some(piece)) } else { Err(too_slow()) }
    }

    /// All bytes; `None` if there are more than `limit`.
    ///
    /// # Errors
    /// Those of [`next`](Self::next).
    pub async fn whole(&mut self, limit: usize) -> std::result::Result<Option<Vec<u8>>, Failure> {
        self.pace = Pace::new(LEAST_OF_SMALL);
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
