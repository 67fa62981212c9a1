//! Looking inside: which parameter tokens wrote a word, what each pushes towards, and writing without some.

use super::model::Model;
use super::options::Prompt;
use crate::engine::{AbortFlag, Backend, FiredToken, InspectRequest, Logits};
use crate::error::{Error, Result};
use crate::packs::{Ablation, ActivePack, ParameterToken};
use crate::pattention::Pattention;
use serde::Serialize;

/// What to look at in a text.
#[derive(Clone, Debug, Default)]
pub struct InspectOptions {
    /// Positions, from 0; `None`: the last.
    pub positions: Option<Vec<usize>>,
    /// Layers, from 0; `None`: all.
    pub layers: Option<Vec<usize>>,
    /// Pattentions; `None`: all.
    pub kinds: Option<Vec<Pattention>>,
    /// How many parameter tokens of each place.
    pub top: usize,
}

/// The strongest parameter tokens of a Pattention at a position: the word at the next one is what they write.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Inspected {
    /// In the text, from 0.
    pub position: usize,
    /// From 0.
    pub layer: usize,
    /// Its name in the public interface.
    pub kind: &'static str,
    /// The one that contributes most comes first.
    pub top: Vec<Fired>,
}

/// As [`FiredToken`] says.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct Fired {
    pub slot: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pack: Option<String>,
    pub score: f32,
    pub activation: f32,
    pub contribution: f32,
}

impl From<FiredToken> for Fired {
    fn from(token: FiredToken) -> Self {
        let FiredToken { slot, pack, score, activation, contribution } = token;
        Self { slot, pack: pack.map(|name| name.to_string()), score, activation, contribution }
    }
}

/// A token of the vocabulary, and how much it is pushed.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pushed {
    /// The token.
    pub token_id: u32,
    /// Its text, alone; empty without a tokenizer.
    pub text: String,
    /// (v ∘ w)·E of it.
    pub logit: f32,
}

/// What a value token pushes up and down most, of the real ids.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Promotes {
    /// The highest logit first.
    pub up: Vec<Pushed>,
    /// The lowest first.
    pub down: Vec<Pushed>,
}

impl<B: Backend> Model<B> {
    /// The parameter tokens that contributed most, for each position asked for, each layer and each kind, in the order in
    /// which these are given. What was read at and after the first of the positions is forgotten afterwards.
    ///
    /// # Errors
    /// `invalid-argument` for a text that does not fit the context, ids out of range, and positions or layers that do
    /// not exist; the engine's.
    pub async fn inspect(
        &mut self,
        text: &Prompt,
        options: &InspectOptions,
        abort: &AbortFlag,
    ) -> Result<Vec<Inspected>> {
        let ids = self.prompt_ids(text)?;
        let (most, layers) = (self.backend().context_length(), self.backend().config().num_layers);
        if ids.len() > most {
            return Err(Error::invalid_argument(format!("{} tokens do not fit the context of {most}.", ids.len()))
                .hint("Inspect a part of the text, or load the model with a larger contextLength."));
        }
        let positions = options.positions.clone().unwrap_or_else(|| vec![ids.len() - 1]);
        check_below("position", &positions, ids.len(), "the text has", "tokens")?;
        let layers = match &options.layers {
            None => (0..layers).collect(),
            Some(asked) => {
                check_below("layers", asked, layers, "the model has", "layers")?;
                asked.clone()
            }
        };
        let kinds = options.kinds.clone().unwrap_or_else(|| Pattention::ALL.to_vec());
        let mut rows = positions.clone();
        rows.sort_unstable();
        rows.dedup();
        let (Some(first), Some(last)) = (rows.first().copied(), rows.last().copied()) else { return Ok(Vec::new()) };
        let read = self.reuse(&ids, first);
        if read < first {
            self.extend(&ids[read..first], Logits::None, abort).await?;
        }
        let fired = self.fired(&ids[..=last], &rows, (layers.clone(), kinds.clone(), options.top), abort).await;
        self.keep(first);
        let fired = fired?;
        let places: Vec<_> = layers.iter().flat_map(|layer| kinds.iter().map(|kind| (*layer, *kind))).collect();
        let mut all = Vec::new();
        for position in positions {
            let row = rows.partition_point(|row| *row < position);
            let of_row = fired[row * places.len()..].iter().zip(&places);
            all.extend(of_row.map(|(top, (layer, kind))| Inspected {
                position,
                layer: *layer,
                kind: kind.name(),
                top: top.iter().cloned().map(Fired::from).collect(),
            }));
        }
        Ok(all)
    }

    /// Reads `ids` after what the KV cache holds; returns what fired at `rows`.
    async fn fired(
        &mut self,
        ids: &[u32],
        rows: &[usize],
        (layers, kinds, top): (Vec<usize>, Vec<Pattention>, usize),
        abort: &AbortFlag,
    ) -> Result<Vec<Vec<FiredToken>>> {
        let mut fired = Vec::new();
        let mut at = self.backend().len();
        while at < ids.len() {
            abort.check()?;
            let to = ids.len().min(at + self.backend().max_chunk());
            let rows = rows.iter().filter(|row| (at..to).contains(row)).map(|row| row - at).collect();
            let request = InspectRequest { rows, layers: layers.clone(), kinds: kinds.clone(), top };
            fired.extend(self.inspect_step(&ids[at..to], &request).await?);
            at = to;
        }
        Ok(fired)
    }

    /// The `top` real ids that a value token pushes up most, and those that it pushes down most: by (v ∘ w)·E, w being the
    /// weight of the final LayerNorm. A pack's strength does not count. The context stays.
    ///
    /// # Errors
    /// `invalid-argument` for a token that does not exist, or one whose value does not end up in the residual stream;
    /// the engine's.
    pub async fn promotes(&mut self, token: &ParameterToken, packs: &[ActivePack], top: usize) -> Result<Promotes> {
        if !matches!(token.kind, Pattention::Proj | Pattention::Mlp) {
            let kind = token.kind.name();
            return Err(Error::invalid_argument(format!("kind is \"{kind}\", whose tokens push no words."))
                .hint("Ask for tokens of \"proj\" or \"mlp\": these write into what the next word is made of."));
        }
        let config = self.backend().config();
        token.check(config, packs, "")?;
        let hidden = config.hidden_size;
        let value = match token.of_packs(packs, hidden) {
            Some(token) => token.values,
            None => {
                let tokens = self.backend_mut().base_tokens(std::slice::from_ref(token)).await?;
                tokens.into_iter().next().map(|token| token.values).unwrap_or_default()
            }
        };
        let logits = self.backend_mut().pushes(&value).await?;
        let mut ids: Vec<u32> = (0..self.real_ids() as u32).collect();
        ids.sort_by(|a, b| logits[*b as usize].total_cmp(&logits[*a as usize]).then(a.cmp(b)));
        let pushed = |id: &u32| Pushed {
            token_id: *id,
            text: String::from_utf8_lossy(&self.token_bytes(*id)).into_owned(),
            logit: logits[*id as usize],
        };
        Ok(Promotes {
            up: ids.iter().take(top).map(pushed).collect(),
            down: ids.iter().rev().take(top).map(pushed).collect(),
        })
    }

    /// Multiplies the activations of these parameter tokens from now on, and of no others; the context is forgotten.
    ///
    /// # Errors
    /// The engine's; then no pack is active, and nothing is ablated.
    pub async fn ablate(&mut self, ablations: &[Ablation]) -> Result<()> {
        self.reset();
        self.backend_mut().ablate(ablations).await
    }
}

/// # Errors
/// `invalid-argument` for a number that is not below `end`.
fn check_below(name: &str, numbers: &[usize], end: usize, whose: &str, what: &str) -> Result<()> {
    match numbers.iter().find(|number| **number >= end) {
        None => Ok(()),
        Some(number) => Err(Error::invalid_argument(format!("{name} holds {number}, but {whose} {end} {what}."))
            .hint(format!("Give numbers from 0 to {}.", end - 1))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorCode;
    use crate::generate::tests::FakeBackend;
    use pollster::block_on;

    fn options(positions: &[usize]) -> InspectOptions {
        InspectOptions { positions: Some(positions.to_vec()), top: 2, ..Default::default() }
    }

    /// The fake's scores say which id it read, and where.
    #[test]
    fn positions_come_in_the_order_of_asking_over_chunks_and_what_is_known() {
        let mut model = Model::new(FakeBackend::new(64, 60), None).expect("model");
        let (abort, ids) = (AbortFlag::default(), (20..40).collect::<Vec<u32>>());
        let text = Prompt::Ids(ids.clone());
        block_on(model.logits(&ids[..7], &abort)).expect("logits");
        let places =
            |told: &[Inspected]| told.iter().map(|one| (one.position, one.layer, one.kind)).collect::<Vec<_>>();
        let asked =
            InspectOptions { kinds: Some(vec![Pattention::Mlp, Pattention::Query]), ..options(&[15, 5, 6, 15]) };
        let told = block_on(model.inspect(&text, &asked, &abort)).expect("inspect");
        let wanted = [15, 5, 6, 15].into_iter().flat_map(|at| [(at, 0, "mlp"), (at, 0, "query")]);
        assert_eq!(places(&told), wanted.collect::<Vec<_>>());
        for one in &told {
            let read: Vec<usize> = one.top.iter().map(|token| token.slot).collect();
            assert_eq!(read, [20 + one.position, one.position], "id and position");
        }
        assert_eq!(model.context(), &ids[..5]);
        assert_eq!(model.backend().len(), 5);
        // The last position, and what is in the cache already is not read again.
        let calls = model.backend().calls.len();
        let told =
            block_on(model.inspect(&text, &InspectOptions { top: 1, ..Default::default() }, &abort)).expect("inspect");
        assert_eq!(places(&told), ["query", "key", "value", "proj", "mlp"].map(|kind| (19, 0, kind)));
        let read: usize = model.backend().calls[calls..].iter().map(|(count, _)| count).sum();
        assert_eq!(read, 20 - 5);
        assert_eq!(model.context(), &ids[..19]);
    }

    #[test]
    fn what_is_not_there_is_named() {
        let mut model = Model::new(FakeBackend::new(64, 8), None).expect("model");
        let abort = AbortFlag::default();
        let mut ask = |ids: usize, options: InspectOptions| {
            let text = Prompt::Ids(vec![1; ids]);
            block_on(model.inspect(&text, &options, &abort)).expect_err("refused")
        };
        let layer = InspectOptions { layers: Some(vec![0, 1]), ..options(&[0]) };
        for (e, says) in [
            (ask(4, options(&[4])), "position holds 4, but the text has 4"),
            (ask(4, layer), "layers holds 1, but the model has 1"),
            (ask(9, options(&[0])), "9 tokens do not fit the context of 8"),
            (ask(0, options(&[0])), "no token ids"),
        ] {
            assert_eq!(e.code, ErrorCode::InvalidArgument);
            assert!(e.message.contains(says), "{e}");
        }
        let token = |kind, slot| ParameterToken { layer: 0, kind, slot, pack: None };
        let e = block_on(model.promotes(&token(Pattention::Value, 0), &[], 3)).expect_err("refused");
        assert!(e.code == ErrorCode::InvalidArgument && e.message.contains("kind is \"value\""), "{e}");
        let e = block_on(model.promotes(&token(Pattention::Mlp, 32), &[], 3)).expect_err("refused");
        assert!(e.message.contains("slot is 32"), "{e}");
        // The fake's logits are 0 … 63 of a slot's value, turned by it.
        let told = block_on(model.promotes(&token(Pattention::Mlp, 5), &[], 3)).expect("promotes");
        assert_eq!(told.up.iter().map(|p| p.token_id).collect::<Vec<_>>(), [58, 57, 56]);
        assert_eq!(
            told.down.iter().map(|p| (p.token_id, p.logit)).collect::<Vec<_>>(),
            [(59, 0.0), (60, 1.0), (61, 2.0)]
        );
    }
}
