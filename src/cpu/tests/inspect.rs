//! Looking inside the CPU engine, against the reference on the same tables.

use super::packs::logits;
use super::*;
use crate::engine::{InspectRequest, agreement};
use crate::packs::{Ablation, ActivePack, ParameterToken};
use crate::pattention::Pattention;

fn token(layer: usize, kind: Pattention, slot: usize, pack: Option<&str>) -> ParameterToken {
    ParameterToken { layer, kind, slot, pack: pack.map(str::to_owned) }
}

/// Some of every sort: of the base in two layers, of packs, one that stays as it is.
fn ablations() -> Vec<Ablation> {
    let of = |token, scale| Ablation { token, scale };
    vec![
        of(token(0, Pattention::Mlp, 329, None), 0.0),
        of(token(0, Pattention::Mlp, 0, None), -2.0),
        of(token(1, Pattention::Query, 99, None), 0.0),
        of(token(1, Pattention::Proj, 69, None), 1.5),
        of(token(1, Pattention::Key, 4, None), 1.0),
        of(token(0, Pattention::Mlp, 32, Some("less")), 0.0),
        of(token(1, Pattention::Value, 2, Some("everything")), 0.5),
    ]
}

/// Packs that do not dominate the model: errors of single scores are what is measured here.
fn packs(config: &ModelConfig) -> [ActivePack; 3] {
    super::packs::packs(config).map(|pack| ActivePack { strength: 0.3 * pack.strength, ..pack })
}

/// Everything at some rows: all tokens of the reference, and the engine's strongest.
fn compare_fired(what: &str, model: &mut CpuModel, reference: &mut ReferenceEngine, ids: &[u32]) {
    let kinds = vec![Pattention::Mlp, Pattention::Query, Pattention::Key, Pattention::Value, Pattention::Proj];
    let request = InspectRequest { rows: vec![0, 3, 5], layers: vec![1, 0], kinds, top: 7 };
    let all = InspectRequest { top: usize::MAX, ..request.clone() };
    Backend::truncate(model, 0);
    Backend::truncate(reference, 0);
    block_on(Backend::forward(model, &ids[..9], Logits::None)).expect("prefill");
    block_on(Backend::forward(reference, &ids[..9], Logits::None)).expect("prefill");
    let got = block_on(Backend::inspect(model, &ids[9..15], &request)).expect("inspect");
    let want = block_on(Backend::inspect(reference, &ids[9..15], &all)).expect("inspect");
    agreement::check(what, &got, &want, 7, if what.contains("packs") { 2.0 } else { 1.0 });
    // What was read is in the context.
    assert_eq!(Backend::len(model), 15);
    let [got, want] = [
        block_on(Backend::forward(model, &ids[15..16], Logits::Last)).expect("step"),
        block_on(Backend::forward(reference, &ids[15..16], Logits::Last)).expect("step"),
    ];
    assert!(relative_error(&got, &want) < TOLERANCE, "{what}: after it");
}

#[test]
fn parameter_tokens_fire_as_in_the_reference() {
    for q in Quantization::ALL {
        let config = config();
        let ids = Random(3).ids(16, config.padded_vocab_size);
        let (mut model, reference) = build(&config, q, 40);
        let mut reference = ReferenceEngine::new(reference, 40);
        compare_fired(&format!("{q:?}"), &mut model, &mut reference, &ids);
        let tokens = [token(1, Pattention::Proj, 69, None), token(0, Pattention::Key, 37, None)];
        let got = block_on(Backend::base_tokens(&mut model, &tokens)).expect("tokens");
        assert_eq!(got, block_on(Backend::base_tokens(&mut reference, &tokens)).expect("tokens"));
        let value = &got[0].values;
        let [got, want] = [
            block_on(Backend::pushes(&mut model, value)).expect("pushes"),
            block_on(Backend::pushes(&mut reference, value)).expect("pushes"),
        ];
        assert!(relative_error(&got, &want) < TOLERANCE);
        // With packs and ablations, set in either order.
        let base = logits(&mut model, &ids);
        block_on(model.ablate(&ablations())).expect("ablate");
        block_on(model.set_packs(&packs(&config))).expect("packs");
        block_on(reference.set_packs(&packs(&config))).expect("packs");
        block_on(reference.ablate(&ablations())).expect("ablate");
        compare_fired(&format!("{q:?} with packs"), &mut model, &mut reference, &ids);
        let vocab = config.padded_vocab_size;
        Backend::truncate(&mut reference, 0);
        let want = block_on(Backend::forward(&mut reference, &ids, Logits::Each(16))).expect("reference");
        let got = logits(&mut model, &ids);
        for (t, (got, want)) in got.chunks_exact(vocab).zip(want.chunks_exact(vocab)).enumerate() {
            let error = relative_error(got, want);
            assert!(error < TOLERANCE, "{q:?}, position {t}: {error:.2e}");
        }
        block_on(model.set_packs(&[])).expect("packs");
        assert_ne!(logits(&mut model, &ids), base, "what is ablated stays so");
        block_on(model.ablate(&[])).expect("ablate");
        assert_eq!(logits(&mut model, &ids), base, "bit by bit");
        assert_eq!(model.weight_bytes(), build(&config, q, 40).0.weight_bytes());
    }
}

#[test]
fn other_activations_show_their_own_weights_and_are_not_ablated() {
    for activation in [NormActivation::GeluL2Norm, NormActivation::Softmax] {
        let config = ModelConfig { norm_activation_type: activation, ..config() };
        let ids = Random(3).ids(16, config.padded_vocab_size);
        let (mut model, reference) = build(&config, Quantization::Q8, 40);
        let mut reference = ReferenceEngine::new(reference, 40);
        compare_fired(&format!("{activation:?}"), &mut model, &mut reference, &ids);
        let e = block_on(model.ablate(&ablations())).expect_err("another activation");
        assert_eq!(e.code, ErrorCode::UnsupportedCheckpoint);
        block_on(model.ablate(&[])).expect("none is always right");
    }
}
