//! Files on this device's disk, which a global `fetch` does not read outside a page.

use crate::platform::browser;
use js_sys::Function;
use wasm_bindgen::prelude::*;

/// Answers `file:` URLs with `fetch` from now on.
#[wasm_bindgen(js_name = readFilesWith)]
pub fn read_files_with(fetch: Function) {
    browser::read_files_with(fetch);
}
