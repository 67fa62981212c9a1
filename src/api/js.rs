//! Between Rust values and JavaScript's.

use crate::error::{Error, Result};
use js_sys::{Object, Reflect};
use serde::Serialize;
use wasm_bindgen::prelude::*;

/// An `Error` object with `code` and `hint`, which `www/lib/errors.js` turns into a `TokenFormerError`.
pub fn error(e: &Error) -> JsValue {
    let object = js_sys::Error::new(&e.message);
    set(&object, "code", e.code.as_str());
    set(&object, "hint", e.hint.as_str());
    if let Some(source) = &e.source {
        set(&object, "cause", source.to_string());
    }
    object.into()
}

/// Sets a property. An object that was just made takes every property.
pub fn set(object: &Object, key: &str, value: impl Into<JsValue>) {
    let _ = Reflect::set(object, &key.into(), &value.into());
}

/// A plain JavaScript value: maps become objects, `None` becomes null, bytes arrays.
///
/// # Errors
/// If the value has no JavaScript form.
pub fn value(v: &impl Serialize) -> Result<JsValue> {
    let plain = serde_wasm_bindgen::Serializer::json_compatible();
    v.serialize(&plain).map_err(|e| Error::internal(format!("A result cannot be passed to JavaScript: {e}.")))
}

/// A Rust value of a JavaScript one.
///
/// # Errors
/// `invalid-argument`.
pub fn parse<T: serde::de::DeserializeOwned>(v: JsValue) -> Result<T> {
    serde_wasm_bindgen::from_value(v).map_err(|e| Error::invalid_argument(format!("An option cannot be used: {e}.")))
}
