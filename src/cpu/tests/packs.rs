//! The CPU engine with token packs, against the reference with the same.

use super::*;
use crate::packs::{ActivePack, Pack};
use crate::pattention::Pattention;
use std::rc::Rc;

/// A pack whose keys matter as much as the base's.
fn pack(config: &ModelConfig, name: &str, strength: f32, kinds: &[Pattention], tokens: usize) -> ActivePack {
    let seed = name.len() as u64;
    let mut pack = Pack::fresh(config, kinds, tokens, seed);
    let keys = Pack::fresh(config, kinds, tokens, seed + 1000);
    for (tokens, keys) in pack.layers.iter_mut().flatten().flatten().zip(keys.layers.iter().flatten().flatten()) {
        tokens.keys = keys.values.iter().map(|x| 10.0 * x).collect();
        tokens.values.iter_mut().for_each(|x| *x *= 10.0);
    }
    pack.layers.truncate(if name == "short" { 1 } else { config.num_layers });
    ActivePack { name: name.into(), strength, pack: Rc::new(pack) }
}

pub(super) fn packs(config: &ModelConfig) -> [ActivePack; 3] {
    [
        pack(config, "everything", 1.0, &Pattention::ALL, 5),
        pack(config, "less", -0.5, &[Pattention::Key, Pattention::Mlp], 33),
        pack(config, "short", 2.0, &[Pattention::Proj], 1),
    ]
}

/// Logits of all positions: a prefill in two chunks, and single steps.
pub(super) fn logits(model: &mut CpuModel, ids: &[u32]) -> Vec<f32> {
    model.truncate(0);
    let mut all = block_on(model.forward(&ids[..9], Logits::Each(9))).expect("prefill");
    all.extend(block_on(model.forward(&ids[9..13], Logits::Each(4))).expect("prefill"));
    for id in &ids[13..] {
        all.extend(block_on(model.forward(std::slice::from_ref(id), Logits::Last)).expect("step"));
    }
    all
}

#[test]
fn packs_agree_with_the_reference_and_off_is_the_base() {
    let config = config();
    let vocab = config.padded_vocab_size;
    let ids = Random(3).ids(16, vocab);
    for q in Quantization::ALL {
        let (mut model, reference) = build(&config, q, 40);
        let mut reference = ReferenceEngine::new(reference, 40);
        let (base, bytes) = (logits(&mut model, &ids), model.weight_bytes());
        let [one, two, three] = packs(&config);
        for packs in [vec![one.clone()], vec![one.clone(), two.clone(), three.clone()]] {
            block_on(reference.set_packs(&packs)).expect("packs");
            let want = block_on(reference.forward(&ids, Logits::Each(16))).expect("reference");
            block_on(model.set_packs(&packs)).expect("packs");
            assert_eq!(model.len(), 0, "the context is forgotten");
            assert!(model.weight_bytes() > bytes);
            let got = logits(&mut model, &ids);
            for (t, (got, want)) in got.chunks_exact(vocab).zip(want.chunks_exact(vocab)).enumerate() {
                let error = relative_error(got, want);
                assert!(error < TOLERANCE, "{q:?}, {} packs, position {t}: {error:.2e}", packs.len());
            }
            let moved = relative_error(&got, &base);
            assert!(moved > 0.05, "packs that change nothing show nothing: {moved}");
        }
        let in_order = logits(&mut model, &ids);
        block_on(model.set_packs(&[three.clone(), one.clone(), two])).expect("packs");
        assert_eq!(logits(&mut model, &ids), in_order, "{q:?}: the order of adding shows");
        for off in [vec![], vec![ActivePack { strength: 0.0, ..one }]] {
            block_on(model.set_packs(&off)).expect("packs");
            assert_eq!(logits(&mut model, &ids), base, "{q:?}");
            assert_eq!(model.weight_bytes(), bytes);
        }
    }
}

#[test]
fn each_of_several_texts_is_what_it_is_alone_with_packs() {
    let (mut model, reference) = build(&config(), Quantization::Q4, 300);
    let packs = packs(&config());
    block_on(model.set_packs(&packs)).expect("packs");
    several::check_several(&mut Model::new(model, None).expect("model"), 20);
    let mut reference = ReferenceEngine::new(reference, 300);
    block_on(reference.set_packs(&packs)).expect("packs");
    several::check_several(&mut Model::new(reference, None).expect("model"), 10);
}

#[test]
fn packs_that_do_not_fit_are_refused_and_leave_none() {
    let config = config();
    let (mut model, _) = build(&config, Quantization::Q4, 40);
    let ids = Random(3).ids(16, config.padded_vocab_size);
    let base = logits(&mut model, &ids);
    let good = pack(&config, "good", 1.0, &Pattention::ALL, 2);
    let deep = ModelConfig { num_layers: 3, ..config.clone() };
    // Rows of another length: 324 values are no tokens of 160.
    let wide = ModelConfig { hidden_size: 324, ..config.clone() };
    for (other, says) in [(wide, "324 values of keys"), (deep, "3 layers, but the model has 2")] {
        block_on(model.set_packs(std::slice::from_ref(&good))).expect("packs");
        let bad = pack(&other, "bad", 1.0, &Pattention::ALL, 1);
        let e = block_on(model.set_packs(&[bad])).expect_err(says);
        assert_eq!(e.code, ErrorCode::InvalidConfig);
        assert!(e.to_string().contains(says), "{e}");
        assert_eq!(logits(&mut model, &ids), base);
    }
    let softmax = ModelConfig { norm_activation_type: NormActivation::Softmax, ..config };
    let (mut model, _) = build(&softmax, Quantization::Q4, 40);
    let e = block_on(model.set_packs(&[good])).expect_err("softmax");
    assert_eq!(e.code, ErrorCode::UnsupportedCheckpoint);
    assert!(e.message.contains("softmax"), "{e}");
    block_on(model.set_packs(&[])).expect("none is always right");
}
