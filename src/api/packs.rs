//! Token packs of an `Engine`: which are active, and how strongly.

use super::engine::Engine;
use super::inner::{HeldPack, Inner};
use super::js;
use crate::error::{Error, Result};
use crate::packs::{Ablation, ActivePack, MOST_PACKS, MOST_STRENGTH, PackFile, check_activation};
use serde::Deserialize;
use std::rc::Rc;
use wasm_bindgen::prelude::*;

/// What `addPack` takes: both fields are present.
#[derive(Deserialize)]
struct AddOptions {
    name: String,
    strength: f32,
}

#[wasm_bindgen]
impl Engine {
    /// Activates a pack, replacing any pack of the same name; `bytes` are its file. The context is forgotten.
    #[wasm_bindgen(js_name = addPack)]
    pub async fn add_pack(&self, bytes: Vec<u8>, options: JsValue) -> std::result::Result<(), JsValue> {
        let added = js::parse(options).and_then(|options: AddOptions| self.inner().with_pack(&bytes, options));
        drop(bytes); // the tokens are read
        self.inner().use_packs(added).await
    }

    /// Changes the strength of a pack. The context is forgotten.
    #[wasm_bindgen(js_name = setPack)]
    pub async fn set_pack(&self, name: String, strength: f32) -> std::result::Result<(), JsValue> {
        let changed = check_strength(strength).and_then(|()| {
            let mut packs = self.inner().packs_with(&name)?;
            packs.iter_mut().filter(|held| held.active.name == name).for_each(|held| held.active.strength = strength);
            Ok(packs)
        });
        self.inner().use_packs(changed).await
    }

    /// Removes a pack. The context is forgotten.
    #[wasm_bindgen(js_name = removePack)]
    pub async fn remove_pack(&self, name: String) -> std::result::Result<(), JsValue> {
        let mut left = self.inner().packs_with(&name);
        if let Ok(packs) = &mut left {
            packs.retain(|held| held.active.name != name);
        }
        self.inner().use_packs(left).await
    }
}

fn check_strength(strength: f32) -> Result<()> {
    if strength.abs() <= MOST_STRENGTH {
        return Ok(());
    }
    let message = format!("strength is {strength}; it must be between -{MOST_STRENGTH} and {MOST_STRENGTH}.");
    Err(Error::invalid_argument(message))
}

impl Inner {
    /// The current packs and another one.
    fn with_pack(&self, bytes: &[u8], AddOptions { name, strength }: AddOptions) -> Result<Vec<HeldPack>> {
        check_strength(strength)?;
        let mut packs = self.packs.borrow().clone();
        packs.retain(|held| held.active.name != name);
        if packs.len() >= MOST_PACKS {
            let message = format!("The model has {MOST_PACKS} packs, and more cannot be.");
            return Err(Error::invalid_argument(message).hint("Remove one first."));
        }
        let info = self.info.borrow();
        check_activation(&info.config)?;
        let PackFile { mut about, pack } = PackFile::read(bytes, &info.config)?;
        about.name = Some(name.clone());
        let note = about.note(&info.id, &info.revision);
        packs.push(HeldPack { active: ActivePack { name, strength, pack: Rc::new(pack) }, note });
        Ok(packs)
    }

    /// The current packs, one of which has this name.
    fn packs_with(&self, name: &str) -> Result<Vec<HeldPack>> {
        let packs = self.packs.borrow().clone();
        if packs.iter().any(|held| held.active.name == name) {
            return Ok(packs);
        }
        Err(Error::invalid_argument(format!("The model has no pack {name:?}.")))
    }

    /// The active packs, with their tokens.
    pub(super) fn active_packs(&self) -> Vec<ActivePack> {
        active(&self.packs.borrow())
    }

    /// Makes these the active packs, and no others. Ablations whose tokens no longer exist are dropped. If this fails,
    /// everything stays as it was.
    async fn use_packs(&self, packs: Result<Vec<HeldPack>>) -> std::result::Result<(), JsValue> {
        let packs = packs.map_err(|e| js::error(&e))?;
        let kept = {
            let (info, packs) = (self.info.borrow(), active(&packs));
            let is_there = |one: &&Ablation| one.token.check(&info.config, &packs, "").is_ok();
            self.ablations.borrow().iter().filter(is_there).cloned().collect()
        };
        self.change(packs, kept).await
    }

    /// Makes these packs active and these tokens ablated, and no others. If this fails, everything stays as it was.
    pub(super) async fn change(
        &self,
        packs: Vec<HeldPack>,
        ablations: Vec<Ablation>,
    ) -> std::result::Result<(), JsValue> {
        let before = (self.active_packs(), self.ablations.borrow().clone());
        let wanted = active(&packs);
        self.abort.clear();
        let mut model = self.take()?;
        let changed = async {
            if ablations != before.1 {
                model.ablate(&ablations).await?;
            }
            if wanted != before.0 || ablations == before.1 {
                model.set_packs(&wanted).await?;
            }
            Ok(())
        };
        let mut result: Result<()> = changed.await;
        if result.is_ok() {
            (*self.packs.borrow_mut(), *self.ablations.borrow_mut()) = (packs, ablations);
        } else {
            let again = async {
                model.ablate(&before.1).await?;
                model.set_packs(&before.0).await
            };
            if let Err(e) = again.await {
                result = Err(e);
            }
        }
        self.put_back(model);
        result.map_err(|e| js::error(&e))
    }
}

fn active(packs: &[HeldPack]) -> Vec<ActivePack> {
    packs.iter().map(|held| held.active.clone()).collect()
}
