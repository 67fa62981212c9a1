//! The store in the browser's IndexedDB.
//!
//! Three object stores with the model's key as the beginning of every key: `models` (records), `units` (records
//! of units) and `data` (their bytes, as Blobs). Every transaction is awaited until it is complete.

use super::{FORMAT, ModelKey, ModelRecord, Store, UnitRecord};
use crate::error::{Error, ErrorCode, Result};
use futures_channel::oneshot;
use js_sys::{Array, ArrayBuffer, Promise, Reflect, Uint8Array};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    Blob, IdbDatabase, IdbFactory, IdbKeyRange, IdbOpenDbRequest, IdbRequest, IdbTransaction, IdbTransactionMode,
};

const DATABASE: &str = "tokenformer-web";
const MODELS: &str = "models";
const UNITS: &str = "units";
const DATA: &str = "data";
/// Name of the tokenizer among a model's units.
const TOKENIZER: &str = "tokenizer";

/// The database of this origin.
#[derive(Clone)]
pub struct IndexedDb {
    database: Rc<RefCell<IdbDatabase>>,
}

#[derive(Serialize, Deserialize)]
struct TokenizerRecord {
    sha256: String,
}

impl IndexedDb {
    /// Opens the database, and makes it if need be.
    ///
    /// # Errors
    /// `quota` where the browser gives no storage.
    pub async fn open() -> Result<Self> {
        Ok(Self { database: Rc::new(RefCell::new(connect().await.map_err(|e| failed(&e))?)) })
    }

    /// A note that was kept beside the models: its text.
    ///
    /// # Errors
    /// `quota` where the browser gives no storage.
    pub async fn note(&self, name: &str) -> Result<Option<String>> {
        let get = |t: &IdbTransaction| Ok(vec![t.object_store(MODELS)?.get(&name.into())?]);
        let found = self.run(IdbTransactionMode::Readonly, get).await?;
        Ok(found.first().and_then(JsValue::as_string))
    }

    /// Keeps a note. It stands among the records of models, and cannot be read as one.
    ///
    /// # Errors
    /// `quota` where the browser gives no storage.
    pub async fn put_note(&self, name: &str, text: &str) -> Result<()> {
        let put = |t: &IdbTransaction| {
            t.object_store(MODELS)?.put_with_key(&text.into(), &name.into())?;
            Ok(Vec::new())
        };
        self.run(IdbTransactionMode::Readwrite, put).await.map(|_| ())
    }

    /// Runs `work` in one transaction and waits for its end; the results of the requests that it returns.
    async fn run(
        &self,
        mode: IdbTransactionMode,
        work: impl Fn(&IdbTransaction) -> Result<Vec<IdbRequest>, JsValue>,
    ) -> Result<Vec<JsValue>> {
        let attempt = async || {
            let stores = Array::of3(&MODELS.into(), &UNITS.into(), &DATA.into());
            let transaction = self.database.borrow().transaction_with_str_sequence_and_mode(&stores, mode)?;
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
        match attempt().await {
            // Safari loses its storage process now and then: a new connection works.
            Err(e) if is_lost_connection(&e) => {
                let database = connect().await.map_err(|e| failed(&e))?;
                self.database.replace(database);
                attempt().await.map_err(|e| failed(&e))
            }
            result => result.map_err(|e| failed(&e)),
        }
    }

    /// Stores bytes, then the record that makes them count.
    async fn put(&self, key: &str, record: &str, bytes: &Uint8Array) -> Result<()> {
        let put = |store: &'static str, value: JsValue| {
            self.run(IdbTransactionMode::Readwrite, move |t| {
                t.object_store(store)?.put_with_key(&value, &key.into())?;
                Ok(Vec::new())
            })
        };
        let blob = Blob::new_with_u8_array_sequence(&Array::of1(bytes)).map_err(|e| failed(&e))?;
        match put(DATA, blob.into()).await {
            // Some browsers refuse Blobs, in private windows for example.
            Err(e) if e.code == ErrorCode::Storage => put(DATA, bytes.slice(0, bytes.length()).buffer().into()).await?,
            stored => stored?,
        };
        put(UNITS, record.into()).await.map(|_| ())
    }

    async fn bytes(&self, key: &str) -> Result<Option<Uint8Array>> {
        let found =
            self.run(IdbTransactionMode::Readonly, |t| Ok(vec![t.object_store(DATA)?.get(&key.into())?])).await?;
        let Some(found) = found.into_iter().next().filter(|v| !v.is_undefined()) else { return Ok(None) };
        let buffer = match found.dyn_into::<Blob>() {
            Ok(blob) => JsFuture::from(blob.array_buffer()).await.map_err(|e| failed(&e))?,
            Err(buffer) => buffer,
        };
        Ok(buffer.dyn_into::<ArrayBuffer>().ok().map(|b| Uint8Array::new(&b)))
    }
}

impl Store for IndexedDb {
    type Bytes = Uint8Array;

    async fn models(&self) -> Result<Vec<ModelRecord>> {
        let all = self.run(IdbTransactionMode::Readonly, |t| Ok(vec![t.object_store(MODELS)?.get_all()?])).await?;
        // Records of other versions are left alone; what cannot be read is no model.
        let all = all.first().map(Array::from).unwrap_or_default();
        Ok(all.iter().filter_map(|json| parse(&json)).collect())
    }

    async fn put_model(&self, model: &ModelRecord) -> Result<()> {
        let (key, json) = (JsValue::from(model.key.text()), JsValue::from(text(model)?));
        let put = |t: &IdbTransaction| {
            t.object_store(MODELS)?.put_with_key(&json, &key)?;
            Ok(Vec::new())
        };
        self.run(IdbTransactionMode::Readwrite, put).await.map(|_| ())
    }

    async fn units(&self, key: &ModelKey) -> Result<Vec<(usize, UnitRecord)>> {
        let range = range(key, 0..usize::MAX)?;
        let found = self
            .run(IdbTransactionMode::Readonly, |t| {
                let units = t.object_store(UNITS)?;
                Ok(vec![units.get_all_keys_with_key(&range)?, units.get_all_with_key(&range)?])
            })
            .await?;
        let [keys, records] = found.as_slice() else { return Ok(Vec::new()) };
        let unit = |(key, json): (JsValue, JsValue)| {
            let unit = key.as_string()?.rsplit('\n').next()?.parse().ok()?;
            Some((unit, parse(&json)?))
        };
        Ok(Array::from(keys).iter().zip(Array::from(records).iter()).filter_map(unit).collect())
    }

    async fn unit(&self, key: &ModelKey, unit: usize) -> Result<Option<Uint8Array>> {
        self.bytes(&unit_key(key, unit)).await
    }

    async fn put_unit(&self, key: &ModelKey, unit: usize, record: &UnitRecord, bytes: Uint8Array) -> Result<()> {
        self.put(&unit_key(key, unit), &text(record)?, &bytes).await
    }

    async fn drop_units(&self, key: &ModelKey, units: Range<usize>) -> Result<()> {
        let range = range(key, units)?;
        let delete = |t: &IdbTransaction| {
            for store in [UNITS, DATA] {
                t.object_store(store)?.delete(&range)?;
            }
            Ok(Vec::new())
        };
        self.run(IdbTransactionMode::Readwrite, delete).await.map(|_| ())
    }

    async fn tokenizer(&self, key: &ModelKey) -> Result<Option<(String, Uint8Array)>> {
        let key = format!("{}\n{TOKENIZER}", key.text());
        let found = self
            .run(IdbTransactionMode::Readonly, |t| Ok(vec![t.object_store(UNITS)?.get(&key.as_str().into())?]))
            .await?;
        let Some(record) = found.first().and_then(parse::<TokenizerRecord>) else { return Ok(None) };
        Ok(self.bytes(&key).await?.map(|bytes| (record.sha256, bytes)))
    }

    async fn put_tokenizer(&self, key: &ModelKey, sha256: &str, bytes: Uint8Array) -> Result<()> {
        let record = text(&TokenizerRecord { sha256: sha256.to_owned() })?;
        self.put(&format!("{}\n{TOKENIZER}", key.text()), &record, &bytes).await
    }

    async fn delete(&self, key: &ModelKey) -> Result<()> {
        let text = key.text();
        let everything = bounds(&format!("{text}\n"), &format!("{text}\n\u{ffff}"))?;
        let delete = |t: &IdbTransaction| {
            // The record first: what is left of an interrupted deletion is no model.
            t.object_store(MODELS)?.delete(&text.as_str().into())?;
            for store in [UNITS, DATA] {
                t.object_store(store)?.delete(&everything)?;
            }
            Ok(Vec::new())
        };
        self.run(IdbTransactionMode::Readwrite, delete).await.map(|_| ())
    }
}

/// Numbers of equal length sort as text.
fn unit_key(key: &ModelKey, unit: usize) -> String {
    format!("{}\n{unit:08}", key.text())
}

fn range(key: &ModelKey, units: Range<usize>) -> Result<JsValue> {
    let last = units.end.saturating_sub(1).min(99_999_999);
    bounds(&unit_key(key, units.start), &unit_key(key, last))
}

fn bounds(from: &str, to: &str) -> Result<JsValue> {
    IdbKeyRange::bound(&from.into(), &to.into()).map(JsValue::from).map_err(|e| failed(&e))
}

fn parse<T: DeserializeOwned>(json: &JsValue) -> Option<T> {
    serde_json::from_str(&json.as_string()?).ok()
}

fn text(record: &impl Serialize) -> Result<String> {
    serde_json::to_string(record)
        .map_err(|e| Error::new(ErrorCode::Storage, "A record cannot be written.").caused_by(e))
}

fn name(e: &JsValue) -> String {
    Reflect::get(e, &"name".into()).ok().and_then(|n| n.as_string()).unwrap_or_default()
}

fn is_lost_connection(e: &JsValue) -> bool {
    matches!(name(e).as_str(), "InvalidStateError" | "UnknownError")
}

fn failed(e: &JsValue) -> Error {
    let message = Reflect::get(e, &"message".into()).ok().and_then(|m| m.as_string()).unwrap_or_default();
    let cause = format!("{}: {message}", name(e));
    if name(e) == "QuotaExceededError" {
        return Error::new(ErrorCode::Quota, "The browser's storage is full.")
            .hint("Delete models that are not needed, or free some space on the disk.")
            .caused_by(cause);
    }
    Error::new(ErrorCode::Storage, "The browser's storage cannot be used.")
        .hint("Private windows and blocked site data have none.")
        .caused_by(cause)
}

async fn connect() -> Result<IdbDatabase, JsValue> {
    let factory: IdbFactory = Reflect::get(&js_sys::global(), &"indexedDB".into())?.dyn_into()?;
    let opening: IdbOpenDbRequest = factory.open_with_u32(DATABASE, FORMAT)?;
    let request = opening.clone();
    let upgrade = Closure::<dyn FnMut() -> Result<(), JsValue>>::new(move || {
        let database: IdbDatabase = request.result()?.dyn_into()?;
        // A new format: what older versions stored cannot be used.
        let old = database.object_store_names();
        for i in 0..old.length() {
            if let Some(name) = old.item(i) {
                database.delete_object_store(&name)?;
            }
        }
        for store in [MODELS, UNITS, DATA] {
            database.create_object_store(store)?;
        }
        Ok(())
    });
    opening.set_onupgradeneeded(Some(upgrade.as_ref().unchecked_ref()));
    let (success, error, blocked) = ("success", "error", "blocked");
    first_event(opening.as_ref(), &[success], &[error, blocked], || opening.error().ok().flatten().into()).await?;
    let database: IdbDatabase = opening.result()?.dyn_into()?;
    // A newer version in another tab must not wait for this one.
    let held = database.clone();
    let close = Closure::<dyn FnMut()>::new(move || held.close());
    database.set_onversionchange(Some(close.as_ref().unchecked_ref()));
    close.forget(); // as long as the page
    Ok(database)
}

async fn completion(transaction: &IdbTransaction) -> Result<(), JsValue> {
    let error = || transaction.error().map_or(JsValue::UNDEFINED, JsValue::from);
    first_event(transaction.as_ref(), &["complete"], &["abort"], error).await
}

/// Listeners that go with it: who waits may be dropped before anything happens.
struct Listeners<'a> {
    target: &'a web_sys::EventTarget,
    added: Vec<(&'a str, Listener)>,
}

type Listener = Closure<dyn FnMut()>;

impl<'a> Listeners<'a> {
    fn add(&mut self, name: &'a str, listener: Listener) -> Result<(), JsValue> {
        self.target.add_event_listener_with_callback(name, listener.as_ref().unchecked_ref())?;
        self.added.push((name, listener));
        Ok(())
    }
}

impl Drop for Listeners<'_> {
    fn drop(&mut self) {
        for (name, listener) in &self.added {
            // It was added, so it can be removed.
            let _ = self.target.remove_event_listener_with_callback(name, listener.as_ref().unchecked_ref());
        }
    }
}

/// Waits for the first of some events.
async fn first_event(
    target: &web_sys::EventTarget,
    good: &[&str],
    bad: &[&str],
    error: impl Fn() -> JsValue,
) -> Result<(), JsValue> {
    let (sender, receiver) = oneshot::channel();
    let sender = Rc::new(RefCell::new(Some(sender)));
    let mut listeners = Listeners { target, added: Vec::new() };
    for (names, is_good) in [(good, true), (bad, false)] {
        for name in names {
            let sender = sender.clone();
            listeners.add(
                name,
                Closure::new(move || {
                    if let Some(sender) = sender.borrow_mut().take() {
                        let _ = sender.send(is_good); // nobody waits any more: then nobody needs to know
                    }
                }),
            )?;
        }
    }
    if receiver.await.unwrap_or(false) { Ok(()) } else { Err(error()) }
}

#[wasm_bindgen]
extern "C" {
    /// `navigator.storage`.
    type StorageManager;
    #[wasm_bindgen(method, catch)]
    fn estimate(this: &StorageManager) -> Result<Promise, JsValue>;
}

/// Bytes that the browser still allows, where it tells.
pub async fn free_bytes() -> Option<u64> {
    let navigator = Reflect::get(&js_sys::global(), &"navigator".into()).ok()?;
    let storage = Reflect::get(&navigator, &"storage".into()).ok().filter(|s| !s.is_undefined())?;
    let promise = storage.unchecked_into::<StorageManager>().estimate().ok()?;
    let estimate = JsFuture::from(promise).await.ok()?;
    let number = |key: &str| Reflect::get(&estimate, &key.into()).ok()?.as_f64();
    Some((number("quota")? - number("usage")?).max(0.0) as u64)
}
