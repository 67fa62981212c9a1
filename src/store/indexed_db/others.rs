//! What other versions of this program stored on this origin, each format in a database of its own. It cannot be loaded
//! here, but takes up space: it is deleted once the same model is stored by this version. Whatever fails is skipped.

use super::super::list::Foreign;
use super::connection::{NAME, database_name, ended, factory};
use super::events::completion;
use super::{DATA, MODELS, UNITS, everything};
use crate::platform::browser::Browser;
use crate::platform::wait::within;
use futures_channel::oneshot;
use js_sys::{Array, Function, Promise, Reflect};
use std::time::Duration;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{IdbDatabase, IdbTransactionMode};

/// How long one database is waited for.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Deletes those that `is_meant` selects.
pub async fn delete(is_meant: impl Fn(&Foreign) -> bool) {
    for name in names().await {
        let Some(database) = open(name).await else { continue };
        let found = within(&Browser, TIMEOUT, read(&database)).await.and_then(Result::ok).unwrap_or_default();
        for (key, _) in found.iter().filter(|(_, model)| is_meant(model)) {
            let _ = within(&Browser, TIMEOUT, remove(&database, key)).await; // then it only takes room
        }
        database.close();
    }
}

/// Names of the other databases: all of them where the browser lists them, else the one that every old version used.
async fn names() -> Vec<String> {
    let listed = async {
        let factory = JsValue::from(factory().ok()?);
        let databases = Reflect::get(&factory, &"databases".into()).ok()?.dyn_into::<Function>().ok()?;
        let promise = databases.call0(&factory).ok()?.dyn_into::<Promise>().ok()?;
        let list = within(&Browser, TIMEOUT, JsFuture::from(promise)).await?.ok()?;
        let name = |info: JsValue| Reflect::get(&info, &"name".into()).ok()?.as_string();
        Some(Array::from(&list).iter().filter_map(name).collect::<Vec<_>>())
    };
    let all = listed.await.unwrap_or_else(|| vec![NAME.to_owned()]);
    let is_other = |name: &String| {
        let format = name.strip_prefix(NAME).map(|rest| rest.strip_prefix(' ').unwrap_or(rest));
        format.is_some_and(|f| f.bytes().all(|b| b.is_ascii_digit())) && *name != database_name()
    };
    all.into_iter().filter(is_other).collect()
}

/// Opens a database as it is; `None` where there is none, or it does not answer.
async fn open(name: String) -> Option<IdbDatabase> {
    let (sender, receiver) = oneshot::channel();
    spawn_local(async move {
        let opened = async {
            let opening = factory()?.open(&name)?;
            let request = opening.clone();
            // It does not exist, and must not be created.
            let refuse = Closure::<dyn FnMut()>::new(move || {
                if let Some(transaction) = request.transaction() {
                    let _ = transaction.abort(); // then the request fails
                }
            });
            opening.set_onupgradeneeded(Some(refuse.as_ref().unchecked_ref()));
            let database = ended(&opening).await;
            drop(refuse);
            database
        };
        // The caller may be gone.
        if let Ok(database) = opened.await
            && let Err(database) = sender.send(database)
        {
            database.close();
        }
    });
    within(&Browser, TIMEOUT, receiver).await?.ok()
}

/// Its stores, where they are as they always were.
fn stores(database: &IdbDatabase) -> Option<Array> {
    let names = database.object_store_names();
    let all = [MODELS, UNITS, DATA];
    all.iter().all(|name| names.contains(name)).then(|| all.iter().map(|name| JsValue::from(*name)).collect())
}

async fn read(database: &IdbDatabase) -> Result<Vec<(String, Foreign)>, JsValue> {
    let Some(stores) = stores(database) else { return Ok(Vec::new()) };
    let transaction = database.transaction_with_str_sequence_and_mode(&stores, IdbTransactionMode::Readonly)?;
    let models = transaction.object_store(MODELS)?;
    let (keys, records) = (models.get_all_keys()?, models.get_all()?);
    completion(&transaction).await?;
    let pairs = Array::from(&keys.result()?).iter().zip(Array::from(&records.result()?).iter()).collect::<Vec<_>>();
    let model = |(key, text): (JsValue, JsValue)| Some((key.as_string()?, Foreign::parse(&text.as_string()?)?));
    Ok(pairs.into_iter().filter_map(model).collect())
}

async fn remove(database: &IdbDatabase, key: &str) -> Result<(), JsValue> {
    let Some(stores) = stores(database) else { return Ok(()) };
    let transaction = database.transaction_with_str_sequence_and_mode(&stores, IdbTransactionMode::Readwrite)?;
    transaction.object_store(MODELS)?.delete(&key.into())?;
    let range = everything(key).map_err(|e| JsValue::from(e.message))?;
    for store in [UNITS, DATA] {
        transaction.object_store(store)?.delete(&range)?;
    }
    completion(&transaction).await
}
