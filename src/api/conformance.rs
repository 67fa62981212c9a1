//! Compares the kernels with plain arithmetic, on the GPU of the visitor of `conformance.html`.

use super::js;
use crate::model::conformance::{self, Tier};
use js_sys::Function;
use wasm_bindgen::prelude::*;

/// Runs the table of `src/model/conformance`, as much of it as `tier` says ("quick", "short", "full"), and only the
/// named kernels if any are named. Calls `tell` with each row, `{ kernel, size, format, variant, error, isOk, wrong }`,
/// and resolves to `{ run, failed, skipped }`.
#[wasm_bindgen]
pub async fn conformance(tier: JsValue, kernels: Vec<String>, tell: Function) -> Result<JsValue, JsValue> {
    let tier: Tier = js::parse(tier).map_err(|e| js::error(&e))?;
    let mut failed = None;
    let report = |row| {
        let called = js::value(&row).map_err(|e| js::error(&e)).and_then(|row| tell.call1(&JsValue::UNDEFINED, &row));
        failed = failed.take().or(called.err());
    };
    let summary = conformance::run(tier, &kernels, report).await.map_err(|e| js::error(&e))?;
    match failed {
        Some(e) => Err(e),
        None => js::value(&summary).map_err(|e| js::error(&e)),
    }
}
