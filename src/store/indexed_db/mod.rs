//! The store in the browser's IndexedDB.
//!
//! Three object stores with the model's key as the beginning of every key: `models` (records), `units` (records of
//! units) and `data` (their bytes, as Blobs); and `notes`. Every transaction is awaited until it is complete, but not
//! forever. All calls of a thread share one connection (`connection`); what other versions of this program stored is
//! deleted once it is replaced (`others`). `www/lib/store` lists and deletes models for pages, by the same names.

mod connection;
mod events;
mod others;

use super::seal::{seal, unseal};
use super::{ModelKey, ModelRecord, Store, UnitRecord};
use crate::error::{ErrorCode, Result};
use crate::platform::browser::Browser;
use crate::platform::wait::within;
use connection::{DATA, MODELS, NOTES, UNITS, connect, disconnect};
use events::{completion, failed, is_lost_connection, silent};
use js_sys::{Array, ArrayBuffer, Promise, Reflect, Uint8Array};
use serde::de::DeserializeOwned;
use std::ops::Range;
use std::time::Duration;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{Blob, IdbDatabase, IdbKeyRange, IdbRequest, IdbTransaction, IdbTransactionMode};

/// After this time a transaction, or what a browser reports of its storage, is no longer waited for.
const TRANSACTION: Duration = Duration::from_secs(30);
const ESTIMATE: Duration = Duration::from_secs(5);

/// The database of this origin.
#[derive(Clone)]
pub struct IndexedDb(());

impl IndexedDb {
    /// Opens the database, and creates it if necessary.
    ///
    /// # Errors
    /// `quota` where the browser gives no storage.
    pub async fn open() -> Result<Self> {
        connect().await.map(|_| Self(()))
    }
}

/// Runs `work` in one transaction and waits for its end; the results of the requests that it returns.
async fn run(
    stores: &[&str],
    mode: IdbTransactionMode,
    work: impl Fn(&IdbTransaction) -> Result<Vec<IdbRequest>, JsValue>,
) -> Result<Vec<JsValue>> {
    match transact(&connect().await?, stores, mode, &work).await? {
        // Safari sometimes loses its storage process: a new connection works.
        Err(e) if is_lost_connection(&e) => {
            disconnect();
            transact(&connect().await?, stores, mode, &work).await?.map_err(|e| failed(&e))
        }
        result => result.map_err(|e| failed(&e)),
    }
}

/// # Errors
/// `quota` where the storage does not answer; what was thrown is inside.
async fn transact(
    database: &IdbDatabase,
    stores: &[&str],
    mode: IdbTransactionMode,
    work: impl Fn(&IdbTransaction) -> Result<Vec<IdbRequest>, JsValue>,
) -> Result<Result<Vec<JsValue>, JsValue>> {
    let attempt = async {
        let stores: Array = stores.iter().map(|name| JsValue::from(*name)).collect();
        let transaction = database.transaction_with_str_sequence_and_mode(&stores, mode)?;
        let requests = match work(&transaction) {
            Ok(requests) => requests,
            Err(e) => {
                let _ = transaction.abort(); // nothing of it must remain; the first error is the one to tell
                return Err(e);
            }
        };
        completion(&transaction).await?;
        requests.iter().map(IdbRequest::result).collect::<Result<Vec<_>, JsValue>>()
    };
    match within(&Browser, TRANSACTION, attempt).await {
        Some(result) => Ok(result),
        None => {
            disconnect(); // the next one may have more luck with another
            Err(silent())
        }
    }
}

async fn put(store: &str, key: &str, value: JsValue) -> Result<()> {
    let put = |t: &IdbTransaction| {
        t.object_store(store)?.put_with_key(&value, &key.into())?;
        Ok(Vec::new())
    };
    run(&[store], IdbTransactionMode::Readwrite, put).await.map(|_| ())
}

/// Stores bytes, then the record that makes them count.
async fn put_with_bytes(key: &str, record: &str, bytes: &Uint8Array) -> Result<()> {
    let blob = Blob::new_with_u8_array_sequence(&Array::of1(bytes)).map_err(|e| failed(&e))?;
    match put(DATA, key, blob.into()).await {
        // Some browsers refuse Blobs, in private windows for example.
        Err(e) if e.code == ErrorCode::Storage => {
            put(DATA, key, bytes.slice(0, bytes.length()).buffer().into()).await?;
        }
        stored => stored?,
    }
    put(UNITS, key, record.into()).await
}

async fn get(store: &str, key: &str) -> Result<Option<JsValue>> {
    let get = |t: &IdbTransaction| Ok(vec![t.object_store(store)?.get(&key.into())?]);
    let found = run(&[store], IdbTransactionMode::Readonly, get).await?;
    Ok(found.into_iter().next().filter(|v| !v.is_undefined()))
}

/// The records of a store with their keys, all or those of a range; records that are not as they were written are
/// skipped.
async fn records<T: DeserializeOwned>(store: &str, range: Option<JsValue>) -> Result<Vec<(String, T)>> {
    let range = range.unwrap_or(JsValue::UNDEFINED);
    let get = |t: &IdbTransaction| {
        let store = t.object_store(store)?;
        Ok(vec![store.get_all_keys_with_key(&range)?, store.get_all_with_key(&range)?])
    };
    let found = run(&[store], IdbTransactionMode::Readonly, get).await?;
    let [keys, texts] = found.as_slice() else { return Ok(Vec::new()) };
    let record = |(key, text): (JsValue, JsValue)| {
        let key = key.as_string()?;
        let record = unseal(&key, &text.as_string()?)?;
        Some((key, record))
    };
    Ok(Array::from(keys).iter().zip(Array::from(texts).iter()).filter_map(record).collect())
}

async fn bytes(key: &str) -> Result<Option<Uint8Array>> {
    let Some(found) = get(DATA, key).await? else { return Ok(None) };
    let buffer = match found.dyn_into::<Blob>() {
        Ok(blob) => {
            let reading =
                within(&Browser, TRANSACTION, JsFuture::from(blob.array_buffer())).await.ok_or_else(silent)?;
            reading.map_err(|e| failed(&e))?
        }
        Err(buffer) => buffer,
    };
    Ok(buffer.dyn_into::<ArrayBuffer>().ok().map(|b| Uint8Array::new(&b)))
}

async fn delete_within(stores: &[&str], range: &JsValue, model: Option<&str>) -> Result<()> {
    let everywhere = [MODELS, UNITS, DATA];
    let delete = |t: &IdbTransaction| {
        // The record first: what is left of an interrupted deletion is no model.
        if let Some(model) = model {
            t.object_store(MODELS)?.delete(&model.into())?;
        }
        for store in stores {
            t.object_store(store)?.delete(range)?;
        }
        Ok(Vec::new())
    };
    run(&everywhere, IdbTransactionMode::Readwrite, delete).await.map(|_| ())
}

impl Store for IndexedDb {
    type Bytes = Uint8Array;

    async fn models(&self) -> Result<Vec<ModelRecord>> {
        Ok(records(MODELS, None).await?.into_iter().map(|(_, model)| model).collect())
    }

    async fn put_model(&self, model: &ModelRecord) -> Result<()> {
        let key = model.key.text();
        put(MODELS, &key, seal(&key, model)?.into()).await
    }

    async fn units(&self, key: &ModelKey) -> Result<Vec<(usize, UnitRecord)>> {
        let found = records(UNITS, Some(range(key, 0..usize::MAX)?)).await?;
        let unit = |(key, unit): (String, UnitRecord)| Some((key.rsplit('\n').next()?.parse().ok()?, unit));
        Ok(found.into_iter().filter_map(unit).collect())
    }

    async fn unit(&self, key: &ModelKey, unit: usize) -> Result<Option<Uint8Array>> {
        bytes(&key.unit(unit)).await
    }

    async fn put_unit(&self, key: &ModelKey, unit: usize, record: &UnitRecord, bytes: Uint8Array) -> Result<()> {
        let key = key.unit(unit);
        put_with_bytes(&key, &seal(&key, record)?, &bytes).await
    }

    async fn drop_units(&self, key: &ModelKey, units: Range<usize>) -> Result<()> {
        delete_within(&[UNITS, DATA], &range(key, units)?, None).await
    }

    async fn tokenizer(&self, key: &ModelKey) -> Result<Option<(String, Uint8Array)>> {
        let key = key.tokenizer();
        let record = get(UNITS, &key).await?.and_then(|text| unseal::<String>(&key, &text.as_string()?));
        let Some(sha256) = record else { return Ok(None) };
        Ok(bytes(&key).await?.map(|bytes| (sha256, bytes)))
    }

    async fn put_tokenizer(&self, key: &ModelKey, sha256: &str, bytes: Uint8Array) -> Result<()> {
        let key = key.tokenizer();
        put_with_bytes(&key, &seal(&key, &sha256)?, &bytes).await
    }

    async fn delete(&self, key: &ModelKey) -> Result<()> {
        let text = key.text();
        delete_within(&[UNITS, DATA], &everything(&text)?, Some(&text)).await
    }

    async fn note(&self, name: &str) -> Result<Option<String>> {
        Ok(get(NOTES, name).await?.and_then(|text| unseal(name, &text.as_string()?)))
    }

    async fn put_note(&self, name: &str, text: &str) -> Result<()> {
        put(NOTES, name, seal(name, &text)?.into()).await
    }

    async fn free_bytes(&self) -> Option<u64> {
        let navigator = Reflect::get(&js_sys::global(), &"navigator".into()).ok()?;
        let storage = Reflect::get(&navigator, &"storage".into()).ok().filter(|s| !s.is_undefined())?;
        let promise = storage.unchecked_into::<StorageManager>().estimate().ok()?;
        let estimate = within(&Browser, ESTIMATE, JsFuture::from(promise)).await?.ok()?;
        let number = |key: &str| Reflect::get(&estimate, &key.into()).ok()?.as_f64();
        Some((number("quota")? - number("usage")?).max(0.0) as u64)
    }

    async fn replaces_older(&self, key: &ModelKey) {
        others::delete(|model| model.is_replaced_by(key)).await;
    }
}

/// Keys of all that belongs to a model.
fn everything(model: &str) -> Result<JsValue> {
    bounds(&format!("{model}\n"), &format!("{model}\n\u{ffff}"))
}

fn range(key: &ModelKey, units: Range<usize>) -> Result<JsValue> {
    let last = units.end.saturating_sub(1).min(99_999_999);
    bounds(&key.unit(units.start), &key.unit(last))
}

fn bounds(from: &str, to: &str) -> Result<JsValue> {
    IdbKeyRange::bound(&from.into(), &to.into()).map(JsValue::from).map_err(|e| failed(&e))
}

#[wasm_bindgen]
extern "C" {
    /// `navigator.storage`.
    type StorageManager;
    #[wasm_bindgen(method, catch)]
    fn estimate(this: &StorageManager) -> Result<Promise, JsValue>;
}
