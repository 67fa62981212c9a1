//! Looking inside an `Engine`: which parameter tokens fire, what they push towards, and writing without some of them.

use super::engine::{Engine, as_prompt};
use super::js;
use crate::engine::MOST_TOP;
use crate::error::{Error, Result};
use crate::generate::InspectOptions;
use crate::packs::{Ablation, ParameterToken, check_ablations};
use crate::pattention::Pattention;
use serde::Deserialize;
use wasm_bindgen::prelude::*;

/// What `inspect` takes; a missing field means all, missing positions mean the last one.
#[derive(Deserialize)]
struct Asked {
    positions: Option<Vec<usize>>,
    layers: Option<Vec<usize>>,
    kinds: Option<Vec<String>>,
    top: usize,
}

/// A parameter token.
#[derive(Deserialize)]
struct Token {
    layer: usize,
    kind: String,
    slot: usize,
    pack: Option<String>,
    /// For an ablation, what its activation is multiplied by.
    scale: Option<f32>,
}

impl Token {
    fn read(self) -> Result<ParameterToken> {
        let Self { layer, kind, slot, pack, .. } = self;
        Ok(ParameterToken { layer, kind: as_kind(&kind)?, slot, pack })
    }
}

fn as_kind(name: &str) -> Result<Pattention> {
    Pattention::named(name).ok_or_else(|| {
        let names = Pattention::ALL.map(Pattention::name).join(", ");
        Error::invalid_argument(format!("kind is {name:?}, which no Pattention is called."))
            .hint(format!("There are {names}."))
    })
}

#[wasm_bindgen]
impl Engine {
    /// The parameter tokens that contribute most at places of a text: `[{ position, layer, kind, top: [{ slot, pack?, score,
    /// activation, contribution }] }]`. What was read from the first position on is forgotten.
    pub async fn inspect(&self, text: JsValue, options: JsValue) -> std::result::Result<JsValue, JsValue> {
        let read = || {
            let Asked { positions, layers, kinds, top } = js::parse(options)?;
            if !(1..=MOST_TOP).contains(&top) {
                return Err(Error::invalid_argument(format!("top is {top}; it must be from 1 to {MOST_TOP}.")));
            }
            let kinds = kinds.map(|names| names.iter().map(|name| as_kind(name)).collect::<Result<_>>()).transpose()?;
            Ok((as_prompt(&text)?, InspectOptions { positions, layers, kinds, top }))
        };
        let (text, options) = read().map_err(|e| js::error(&e))?;
        let inner = self.inner();
        inner.abort.clear();
        let mut model = inner.take()?;
        let fired = model.inspect(&text, &options, &inner.abort).await;
        inner.put_back(model);
        fired.and_then(|fired| js::value(&fired)).map_err(|e| js::error(&e))
    }

    /// What a value token pushes up and down: `{ up, down: [{ tokenId, text, logit }] }`.
    pub async fn promotes(&self, token: JsValue, top: usize) -> std::result::Result<JsValue, JsValue> {
        let token = js::parse(token).and_then(Token::read).map_err(|e| js::error(&e))?;
        let inner = self.inner();
        let packs = inner.active_packs();
        inner.abort.clear();
        let mut model = inner.take()?;
        let promotes = model.promotes(&token, &packs, top).await;
        inner.put_back(model);
        promotes.and_then(|promotes| js::value(&promotes)).map_err(|e| js::error(&e))
    }

    /// Multiplies activations: `[{ layer, kind, slot, pack?, scale }]`, and no others. The context is forgotten.
    pub async fn ablate(&self, ablations: JsValue) -> std::result::Result<(), JsValue> {
        let inner = self.inner();
        let read = || {
            let tokens: Vec<Token> = js::parse(ablations)?;
            let ablation = |token: Token| Ok(Ablation { scale: token.scale.unwrap_or(0.0), token: token.read()? });
            let ablations = tokens.into_iter().map(ablation).collect::<Result<Vec<_>>>()?;
            check_ablations(&ablations, &inner.info.borrow().config, &inner.active_packs())?;
            Ok(ablations)
        };
        let ablations = read().map_err(|e| js::error(&e))?;
        let packs = inner.packs.borrow().clone();
        inner.change(packs, ablations).await
    }
}
