//! From a request to an engine: what one load in a browser does, and repeats if its device is lost.

use super::attempts::{Attempt, attempts};
use super::devices::BrowserDevices;
use super::progress::Reporter;
use super::request::Request;
use super::{Load, Made};
use crate::any_model::AnyModel;
use crate::error::Result;
use crate::platform::abort::Signal;
use crate::platform::browser::Browser;
use crate::store::cache::not_kept;
use crate::store::indexed_db::IndexedDb;
use std::rc::Rc;

/// Makes the engine of a model. If the device is lost meanwhile, or turns out to be unusable, another one, or the CPU,
/// gets what is stored by then.
pub async fn make(request: &Request, progress: &Rc<Reporter<Browser>>, signal: &Signal) -> Result<Made<AnyModel>> {
    let load = async |on_cpu| {
        progress.phase("resolve");
        // Opening a device takes as long as fetching the small files.
        let mut devices = BrowserDevices::begin(request, progress, on_cpu);
        let opened = match request.cache {
            true => IndexedDb::open().await.map(Some),
            false => Ok(None),
        };
        let (store, note) = match opened {
            Ok(store) => (store, None),
            Err(e) => (None, Some(not_kept(&e))),
        };
        devices.remember_in(store.clone());
        let mut load = Load::new(Browser, request, signal.clone(), progress, store, devices);
        note.into_iter().for_each(|note| load.note(note));
        let result = load.run().await;
        Attempt { result, is_on_cpu: load.devices().are_on_cpu() }
    };
    attempts(request.backend, load).await
}
