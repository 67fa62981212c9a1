//! What is stored in this browser: the functions behind `TokenFormer.models()` and `TokenFormer.delete()`.

use super::js;
use crate::error::{Error, ErrorCode};
use crate::store::indexed_db::IndexedDb;
use crate::store::list::Which;
use wasm_bindgen::prelude::*;

/// `[{ id, revision, quantization, bytes, complete, lastUsed }]`, the last used first. Without storage there are none.
#[wasm_bindgen(js_name = storedModels)]
pub async fn stored_models() -> Result<JsValue, JsValue> {
    let entries = async { IndexedDb::open().await?.entries().await };
    let entries = match entries.await {
        Err(e) if e.code == ErrorCode::Storage => Vec::new(),
        entries => entries.map_err(|e| js::error(&e))?,
    };
    js::value(&entries).map_err(|e| js::error(&e))
}

/// Deletes the stored models of this name, of one revision (a commit, or a branch that was asked for) and precision if
/// these are given; the bytes that this frees.
#[wasm_bindgen(js_name = deleteModels)]
pub async fn delete_models(id: String, revision: Option<String>, quantization: Option<String>) -> Result<f64, JsValue> {
    let delete = async {
        match IndexedDb::open().await {
            Err(e) if e.code == ErrorCode::Storage => Ok(0),
            store => store?.delete_all(&Which { id, revision, quantization }).await,
        }
    };
    delete.await.map(|freed| freed as f64).map_err(|e: Error| js::error(&e))
}
