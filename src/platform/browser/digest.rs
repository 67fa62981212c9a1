//! SHA-256 of bytes in the browser's memory.

use crate::hash::{hex, sha256};
use js_sys::{Promise, Reflect, Uint8Array};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

#[wasm_bindgen]
extern "C" {
    /// `crypto.subtle`.
    type SubtleCrypto;
    #[wasm_bindgen(method, catch)]
    fn digest(this: &SubtleCrypto, algorithm: &str, data: &Uint8Array) -> Result<Promise, JsValue>;
}

/// By WebCrypto, which works in parallel to this thread; by our own code on a page without a secure context, which has
/// none.
pub async fn digest(bytes: &Uint8Array) -> String {
    match by_browser(bytes).await {
        Some(hash) => hash,
        None => sha256(&bytes.to_vec()),
    }
}

async fn by_browser(bytes: &Uint8Array) -> Option<String> {
    let crypto = Reflect::get(&js_sys::global(), &"crypto".into()).ok()?;
    let subtle = Reflect::get(&crypto, &"subtle".into()).ok().filter(|s| !s.is_undefined())?;
    let promise = subtle.unchecked_into::<SubtleCrypto>().digest("SHA-256", bytes).ok()?;
    Some(hex(&Uint8Array::new(&JsFuture::from(promise).await.ok()?).to_vec()))
}
