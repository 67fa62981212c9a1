//! What is stored in this browser: the functions behind `TokenFormer.models()` and `TokenFormer.delete()`.

use super::js;
use crate::checkpoint::layout::Quantization;
use crate::error::{Error, ErrorCode};
use crate::store::Store;
use crate::store::indexed_db::IndexedDb;
use serde::Serialize;
use wasm_bindgen::prelude::*;

/// An entry of the contract's list.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    id: String,
    revision: String,
    quantization: Quantization,
    bytes: u64,
    complete: bool,
    last_used: f64,
}

/// `[{ id, revision, quantization, bytes, complete, lastUsed }]`, the last used first. Without storage there are none.
#[wasm_bindgen(js_name = storedModels)]
pub async fn stored_models() -> Result<JsValue, JsValue> {
    let models = async { IndexedDb::open().await?.models().await };
    let mut models = match models.await {
        Err(e) if e.code == ErrorCode::Storage => Vec::new(),
        models => models.map_err(|e| js::error(&e))?,
    };
    models.sort_by(|a, b| b.last_used.total_cmp(&a.last_used));
    let entries: Vec<_> = models
        .into_iter()
        .map(|m| Entry {
            id: m.key.id,
            revision: m.key.commit,
            quantization: m.key.quantization,
            bytes: m.bytes,
            complete: m.complete,
            last_used: m.last_used,
        })
        .collect();
    js::value(&entries).map_err(|e| js::error(&e))
}

/// Deletes the stored models of this name, of one revision (a commit, or the branch that was asked for) and
/// precision if these are given; the bytes that this frees.
#[wasm_bindgen(js_name = deleteModels)]
pub async fn delete_models(id: String, revision: Option<String>, quantization: Option<String>) -> Result<f64, JsValue> {
    let delete = async {
        let store = match IndexedDb::open().await {
            Err(e) if e.code == ErrorCode::Storage => return Ok(0),
            store => store?,
        };
        let mut freed = 0;
        for m in store.models().await? {
            let same = |given: &Option<String>, what: &[&str]| given.as_deref().is_none_or(|g| what.contains(&g));
            if m.key.id == id
                && same(&revision, &[&m.key.commit, &m.requested])
                && same(&quantization, &[m.key.quantization.as_str()])
            {
                store.delete(&m.key).await?;
                freed += m.bytes;
            }
        }
        Ok(freed)
    };
    delete.await.map(|freed| freed as f64).map_err(|e: Error| js::error(&e))
}
