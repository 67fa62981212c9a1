//! Inspecting the reference: against float64 (tests/fixtures/inspect), against its own sums, and with tokens ablated.

use crate::common::{fixture, floats, relative_error};
use pollster::block_on;
use safetensors::SafeTensors;
use serde::Deserialize;
use std::rc::Rc;
use tokenformer_web::checkpoint::files::PytorchFile;
use tokenformer_web::config::PartialConfig;
use tokenformer_web::engine::{AbortFlag, Backend, FiredToken, InspectRequest, Logits};
use tokenformer_web::generate::{InspectOptions, Model, Prompt};
use tokenformer_web::packs::{Ablation, ActivePack, Pack, ParameterToken};
use tokenformer_web::pattention::Pattention;
use tokenformer_web::reference::{Reference, ReferenceEngine};

/// Permitted error of scores, activations and contributions.
const TOLERANCE: f64 = 1e-3;

#[derive(Deserialize)]
struct Expected {
    input_ids: Vec<u32>,
    rows: Vec<ExpectedRow>,
    promotes: Vec<ExpectedPromotes>,
}

#[derive(Deserialize)]
struct ExpectedRow {
    position: usize,
    layer: usize,
    kind: String,
    top: Vec<ExpectedToken>,
}

#[derive(Deserialize)]
struct ExpectedToken {
    slot: usize,
    score: f64,
    activation: f64,
    contribution: f64,
}

#[derive(Deserialize)]
struct ExpectedPromotes {
    layer: usize,
    kind: String,
    slot: usize,
    up: Vec<u32>,
    down: Vec<u32>,
}

fn engine(name: &str) -> ReferenceEngine {
    let config = std::fs::read(fixture(name).join("config.json")).expect("config.json");
    let config = PartialConfig::from_json(&config).expect("config");
    let mut source = PytorchFile::open(&fixture(name).join("pytorch_model.bin"), Some(config)).expect(name);
    ReferenceEngine::new(Reference::load(&mut source, false).expect(name), 256)
}

fn expected(name: &str) -> Expected {
    let json = std::fs::read(fixture("inspect").join(format!("{name}.json"))).expect(name);
    serde_json::from_slice(&json).expect(name)
}

fn kind(name: &str) -> Pattention {
    Pattention::named(name).expect(name)
}

fn close(what: &str, got: f32, want: f64) {
    assert!((f64::from(got) - want).abs() <= TOLERANCE * want.abs().max(1.0), "{what}: {got} instead of {want}");
}

#[test]
fn inspect_and_promotes_agree_with_float64() {
    for name in ["head64", "uneven-slots"] {
        let want = expected(name);
        let mut model = Model::new(engine(name), None).expect("model");
        let mut positions: Vec<usize> = want.rows.iter().map(|row| row.position).collect();
        positions.sort_unstable();
        positions.dedup();
        let text = Prompt::Ids(want.input_ids.clone());
        let options = InspectOptions { positions: Some(positions.clone()), top: 8, ..Default::default() };
        let got = block_on(model.inspect(&text, &options, &AbortFlag::default())).expect("inspect");
        assert_eq!(got.len(), want.rows.len(), "every layer and kind");
        for row in &want.rows {
            let place = (row.position, row.layer, row.kind.as_str());
            let got = got.iter().find(|one| (one.position, one.layer, one.kind) == place).expect("a row");
            assert_eq!(got.top.len(), row.top.len());
            for (got, want) in got.top.iter().zip(&row.top) {
                let what = format!("{name} {place:?}");
                assert_eq!((got.slot, &got.pack), (want.slot, &None), "{what}");
                close(&what, got.score, want.score);
                close(&what, got.activation, want.activation);
                close(&what, got.contribution, want.contribution);
            }
        }
        for want in &want.promotes {
            let token = ParameterToken { layer: want.layer, kind: kind(&want.kind), slot: want.slot, pack: None };
            let got = block_on(model.promotes(&token, &[], 10)).expect("promotes");
            assert_eq!(got.up.iter().map(|p| p.token_id).collect::<Vec<_>>(), want.up, "{name} {token:?}");
            assert_eq!(got.down.iter().map(|p| p.token_id).collect::<Vec<_>>(), want.down, "{name} {token:?}");
            assert!(got.up.windows(2).all(|pair| pair[0].logit >= pair[1].logit));
        }
    }
}

/// Σ a_j·v_j over everything reported for one place.
fn sum(reference: &Reference, layer: usize, kind: Pattention, fired: &[FiredToken]) -> Vec<f32> {
    let mut sum = vec![0.0; reference.config().hidden_size];
    for token in fired {
        let value = reference.token(layer, kind, token.slot).values;
        sum.iter_mut().zip(value).for_each(|(sum, v)| *sum += token.activation * v);
    }
    sum
}

#[test]
fn all_contributions_together_are_the_hidden_states() {
    for name in crate::common::FIXTURES {
        let mut engine = engine(name);
        let (layers, d) = (engine.reference().config().num_layers, engine.reference().config().hidden_size);
        let file = std::fs::read(fixture(name).join("expected.safetensors")).expect("expected");
        let file = SafeTensors::deserialize(&file).expect("expected");
        let ids = crate::common::ids(&file);
        let rows = vec![0, ids.len() / 2, ids.len() - 1];
        let kinds = vec![Pattention::Proj, Pattention::Mlp];
        let request = InspectRequest { rows: rows.clone(), layers: (0..layers).collect(), kinds, top: usize::MAX };
        let fired = block_on(Backend::inspect(&mut engine, &ids, &request)).expect("inspect");
        let hidden: Vec<Vec<f32>> = (0..=layers).map(|layer| floats(&file, &format!("hidden.{layer}"))).collect();
        for (row, fired) in rows.into_iter().zip(fired.chunks_exact(2 * layers)) {
            for (layer, fired) in fired.chunks_exact(2).enumerate() {
                let at = |layer: usize| &hidden[layer][row * d..][..d];
                let of = |i: usize, kind: Pattention| sum(engine.reference(), layer, kind, &fired[i]);
                let (proj, mlp) = (of(0, Pattention::Proj), of(1, Pattention::Mlp));
                let got: Vec<f32> = at(layer).iter().zip(&proj).zip(&mlp).map(|((h, p), m)| h + p + m).collect();
                let error = relative_error(&got, at(layer + 1));
                assert!(error < TOLERANCE, "{name}: row {row}, layer {layer}: {error:.1e}");
            }
        }
    }
}

/// A copy of the model whose tokens have their values multiplied by these factors, which do not affect the norm.
fn with_values_scaled(name: &str, ablations: &[Ablation]) -> ReferenceEngine {
    struct Scaled<'a>(PytorchFile<std::fs::File>, &'a [Ablation]);
    use tokenformer_web::checkpoint::TableSource;
    use tokenformer_web::checkpoint::layout::{Side, TensorId};
    impl TableSource for Scaled<'_> {
        fn config(&self) -> &tokenformer_web::config::ModelConfig {
            self.0.config()
        }
        fn table(&mut self, id: TensorId) -> tokenformer_web::error::Result<Vec<f32>> {
            let mut table = self.0.table(id)?;
            let TensorId::Tokens { layer, pattention, side: Side::Values } = id else { return Ok(table) };
            let cols = table.len() / self.0.config().hidden_size;
            for Ablation { token, scale } in
                self.1.iter().filter(|one| one.token.layer == layer && one.token.kind == pattention)
            {
                table.chunks_exact_mut(cols).for_each(|row| row[token.slot] *= scale);
            }
            Ok(table)
        }
    }
    let config = std::fs::read(fixture(name).join("config.json")).expect("config.json");
    let config = PartialConfig::from_json(&config).expect("config");
    let source = PytorchFile::open(&fixture(name).join("pytorch_model.bin"), Some(config)).expect(name);
    ReferenceEngine::new(Reference::load(&mut Scaled(source, ablations), false).expect(name), 256)
}

fn logits(engine: &mut ReferenceEngine, ids: &[u32]) -> Vec<f32> {
    engine.truncate(0);
    block_on(engine.forward(ids, Logits::Each(ids.len()))).expect("logits")
}

#[test]
fn ablated_tokens_count_as_their_factors_say_and_one_is_the_base() {
    for name in ["head64", "uneven-slots"] {
        let mut engine = engine(name);
        let ids = expected(name).input_ids;
        let base = logits(&mut engine, &ids);
        let vocab = base.len() / ids.len();
        let slots = Pattention::Proj.slots(engine.config());
        let token = |layer, kind, slot| ParameterToken { layer, kind, slot, pack: None };
        // All tokens of one Pattention, and some of others, of every kind.
        let mut ablations: Vec<Ablation> =
            (0..slots).map(|slot| Ablation { token: token(0, Pattention::Proj, slot), scale: 0.0 }).collect();
        for (i, kind) in
            [Pattention::Query, Pattention::Key, Pattention::Value, Pattention::Mlp].into_iter().enumerate()
        {
            ablations.push(Ablation { token: token(1, kind, 3 * i), scale: [0.0, -1.0, 2.5, 0.5][i] });
        }
        block_on(engine.ablate(&ablations)).expect("ablate");
        assert_eq!(engine.len(), 0, "the context is forgotten");
        let got = logits(&mut engine, &ids);
        let want = logits(&mut with_values_scaled(name, &ablations), &ids);
        for (t, (got, want)) in got.chunks_exact(vocab).zip(want.chunks_exact(vocab)).enumerate() {
            let error = relative_error(got, want);
            assert!(error < TOLERANCE, "{name} at {t}: {error:.1e}");
        }
        assert!(relative_error(&want, &base) > 0.05, "an ablation that changes nothing shows nothing");
        // Their report: the factor is included in activation and contribution, but not in the score.
        engine.truncate(0);
        let request = InspectRequest {
            rows: vec![5],
            layers: vec![0, 1],
            kinds: vec![Pattention::Proj, Pattention::Value],
            top: usize::MAX,
        };
        let fired = block_on(Backend::inspect(&mut engine, &ids, &request)).expect("inspect");
        assert!(fired[0].iter().all(|token| token.contribution == 0.0 && token.pack.is_none()));
        assert_eq!(fired[0].len(), slots);
        let mut scaled = with_values_scaled(name, &ablations);
        let plain = block_on(Backend::inspect(&mut scaled, &ids, &request)).expect("inspect");
        let of = |fired: &[FiredToken]| fired.iter().find(|token| token.slot == 6).cloned().expect("a token");
        let (got, want) = (of(&fired[3]), of(&plain[3]));
        close("score", got.score, want.score.into());
        close("activation", got.activation, f64::from(want.activation) * 2.5);
        close("contribution", got.contribution, want.contribution.into());
        for none in [vec![], vec![Ablation { token: token(0, Pattention::Mlp, 1), scale: 1.0 }]] {
            block_on(engine.ablate(&none)).expect("ablate");
            assert_eq!(logits(&mut engine, &ids), base, "{name}: bit by bit");
        }
    }
}

#[test]
fn tokens_of_packs_take_part_and_are_ablated_by_their_pack() {
    let mut engine = engine("head64");
    let ids = expected("head64").input_ids;
    let config = engine.config().clone();
    // A pack with the base's tokens would fire as they do.
    let mut layer: tokenformer_web::packs::LayerTokens = Default::default();
    let token = engine.reference().token(0, Pattention::Mlp, 9);
    let (k, v) = (token.keys, token.values);
    layer[Pattention::Mlp as usize] = Some(tokenformer_web::packs::PackTokens {
        keys: [vec![0.0; k.len()], k].concat(),
        values: [vec![0.0; v.len()], v].concat(),
    });
    let pack = ActivePack { name: "twin".into(), strength: -3.0, pack: Rc::new(Pack { layers: vec![layer] }) };
    let packs = [pack];
    block_on(engine.set_packs(&packs)).expect("packs");
    let request = InspectRequest { rows: vec![0, 1], layers: vec![0], kinds: vec![Pattention::Mlp], top: usize::MAX };
    let fired = block_on(Backend::inspect(&mut engine, &ids[..2], &request)).expect("inspect");
    for fired in &fired {
        assert_eq!(fired.len(), config.ffn_slot_num + 2);
        let of = |pack: Option<&str>, slot: usize| {
            fired.iter().find(|token| token.pack.as_deref() == pack && token.slot == slot).expect("a token")
        };
        let (twin, base) = (of(Some("twin"), 1), of(None, 9));
        close("score", twin.score, base.score.into());
        close("activation", twin.activation, base.activation.into());
        close("contribution", twin.contribution, 3.0 * f64::from(base.contribution));
        assert_eq!(of(Some("twin"), 0).contribution, 0.0);
    }
    // The pack's token at a third of −3, and the base's at 2: together they equal the base's alone.
    let ablation = |pack: Option<&str>, slot, scale| Ablation {
        token: ParameterToken { layer: 0, kind: Pattention::Mlp, slot, pack: pack.map(str::to_owned) },
        scale,
    };
    let ablations = [ablation(Some("twin"), 1, 1.0 / 3.0), ablation(None, 9, 2.0)];
    block_on(engine.ablate(&ablations)).expect("ablate");
    let got = logits(&mut engine, &ids);
    let told = block_on(async {
        engine.truncate(0);
        Backend::inspect(&mut engine, &ids[..2], &request).await
    });
    let told = told.expect("inspect");
    let twin = told[0].iter().find(|token| token.pack.is_some() && token.slot == 1).expect("the twin");
    let before = fired[0].iter().find(|token| token.pack.is_some() && token.slot == 1).expect("the twin");
    close("activation", twin.activation, f64::from(before.activation) / 3.0);
    close("contribution", twin.contribution, f64::from(before.contribution) / 3.0);
    // Packs come and go; ablations stay.
    block_on(engine.set_packs(&[])).expect("packs");
    let doubled = logits(&mut engine, &ids);
    block_on(engine.ablate(&[])).expect("ablate");
    let base = logits(&mut engine, &ids);
    assert!(relative_error(&got, &base) < 1e-4);
    assert!(relative_error(&doubled, &base) > 1e-3);
    let want = logits(&mut with_values_scaled("head64", &ablations[1..]), &ids);
    assert!(relative_error(&doubled, &want) < 1e-4);
}
