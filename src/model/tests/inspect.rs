//! Inspecting on the GPU, compared with the reference on the same tables: strongest tokens, pushed tokens, and
//! ablations.

use super::packs::{ALONE, check, set, steps, two_packs};
use super::*;
use crate::config::NormActivation;
use crate::engine::{InspectRequest, MOST_TOP, agreement};
use crate::error::ErrorCode;
use crate::model::chunk_products::MAX_CHUNK;
use crate::packs::{Ablation, ParameterToken};
use crate::pattention::Pattention;
use crate::reference::ReferenceEngine;

fn token(layer: usize, kind: Pattention, slot: usize, pack: Option<&str>) -> ParameterToken {
    ParameterToken { layer, kind, slot, pack: pack.map(str::to_owned) }
}

/// Ablations of the base's tokens in both layers, of packs' tokens, and one that changes nothing.
fn ablations() -> Vec<Ablation> {
    let of = |token, scale| Ablation { token, scale };
    vec![
        of(token(0, Pattention::Mlp, 329, None), 0.0),
        of(token(0, Pattention::Mlp, 0, None), -2.0),
        of(token(1, Pattention::Query, 97, None), 0.0),
        of(token(1, Pattention::Proj, 69, None), 1.5),
        of(token(1, Pattention::Key, 4, None), 1.0),
        of(token(0, Pattention::Mlp, 32, Some("first")), 0.0),
        of(token(1, Pattention::Value, 2, Some("first")), 0.5),
        of(token(0, Pattention::Mlp, 3, Some("second one")), -1.0),
    ]
}

/// Inspects some rows of a chunk that follows other tokens, in both engines.
async fn compare_fired(what: &str, model: &mut GpuModel, reference: &mut ReferenceEngine, ids: &[u32], chunk: usize) {
    let rows = vec![0, 1, chunk / 2, chunk - 1];
    let kinds = vec![Pattention::Mlp, Pattention::Key, Pattention::Query, Pattention::Value, Pattention::Proj];
    let request = InspectRequest { rows, layers: vec![1, 0], kinds, top: 7 };
    let all = InspectRequest { top: usize::MAX, ..request.clone() };
    let past = ids.len() - chunk - 1;
    model.truncate(0);
    Backend::truncate(reference, 0);
    for ids in ids[..past].chunks(MAX_CHUNK.min(256)) {
        model.forward(ids, Logits::None).await.expect("prefill");
        Backend::forward(reference, ids, Logits::None).await.expect("prefill");
    }
    let got = model.inspect(&ids[past..past + chunk], &request).await.expect("inspect");
    let want = Backend::inspect(reference, &ids[past..past + chunk], &all).await.expect("inspect");
    agreement::check(what, &got, &want, 7, 2.0);
    assert_eq!(model.len(), past + chunk, "what was read is in the context");
    let last = &ids[past + chunk..];
    let got = model.forward(last, Logits::Last).await.expect("step");
    let want = Backend::forward(reference, last, Logits::Last).await.expect("step");
    check(what, &got, &want, got.len());
    // A single token, and only some places, one of them twice.
    model.truncate(past);
    Backend::truncate(reference, past);
    let request = InspectRequest {
        rows: vec![0],
        layers: vec![1, 1],
        kinds: vec![Pattention::Value, Pattention::Mlp],
        top: MOST_TOP,
    };
    let all = InspectRequest { top: usize::MAX, ..request.clone() };
    let got = model.inspect(&ids[past..=past], &request).await.expect("inspect");
    let want = Backend::inspect(reference, &ids[past..=past], &all).await.expect("inspect");
    agreement::check(what, &got, &want, MOST_TOP, 2.0);
    assert_eq!(got[..2], got[2..]);
}

async fn compare_inside(gpu: &Rc<Gpu>, config: &ModelConfig, q: Quantization, team: Option<Team>) {
    let vocab = config.padded_vocab_size;
    let (mut model, reference) = build(gpu, config, q, 40).await;
    let mut reference = ReferenceEngine::new(reference, 40);
    if let Some(team) = team {
        assert!(model.employ(team).await.expect("kernel"));
    }
    let ids = ids(24, vocab);
    let what = format!("{q:?} {team:?}");
    compare_fired(&what, &mut model, &mut reference, &ids, 13).await;
    // Tokens as they are in the tables, and what one of them pushes.
    let slots = [98, 70, 330].map(|n| n - 1);
    let tokens = [
        token(1, Pattention::Proj, slots[1], None),
        token(0, Pattention::Query, 0, None),
        token(0, Pattention::Value, slots[0], None),
        token(1, Pattention::Mlp, slots[2], None),
        token(1, Pattention::Key, 37, None),
    ];
    let got = model.base_tokens(&tokens).await.expect("tokens");
    assert_eq!(got, Backend::base_tokens(&mut reference, &tokens).await.expect("tokens"));
    let before = model.len();
    let value = &got[0].values;
    let got = model.pushes(value).await.expect("pushes");
    check("pushes", &got, &Backend::pushes(&mut reference, value).await.expect("pushes"), vocab);
    assert_eq!(model.len(), before, "the context stays");
    // With packs and ablations, set in either order, in prefill, single steps and scores.
    let base = steps(&mut model, &ids, 21).await;
    let bytes = gpu.memory.bytes();
    let packs = two_packs(config.hidden_size);
    model.ablate(&ablations()).await.expect("ablate");
    assert_eq!(model.len(), 0, "the context is forgotten");
    set(&mut model, &packs).await;
    Backend::set_packs(&mut reference, &packs).await.expect("packs");
    Backend::ablate(&mut reference, &ablations()).await.expect("ablate");
    compare_fired(&format!("{what} with packs"), &mut model, &mut reference, &ids, 13).await;
    Backend::truncate(&mut reference, 0);
    let want = Backend::forward(&mut reference, &ids, Logits::Each(ids.len())).await.expect("reference");
    assert!(relative_error(&want, &base) > 20.0 * TOLERANCE, "what changes nothing shows nothing");
    check(&what, &steps(&mut model, &ids, 21).await, &want, vocab);
    assert_eq!(model.team(), team, "a workgroup timed out");
    // Different factors for the same tokens need no other tables.
    let mut other = ablations();
    other[1].scale = 0.25;
    let with = gpu.memory.bytes();
    model.ablate(&other).await.expect("ablate");
    Backend::ablate(&mut reference, &other).await.expect("ablate");
    let want = Backend::forward(&mut reference, &ids, Logits::Each(ids.len())).await.expect("reference");
    check("another factor", &steps(&mut model, &ids, 21).await, &want, vocab);
    assert!(gpu.memory.bytes() <= with);
    // Without packs the base's tokens stay ablated; without both, results equal the base's bit by bit, and nothing is
    // left on the GPU.
    set(&mut model, &[]).await;
    Backend::set_packs(&mut reference, &[]).await.expect("packs");
    let want = Backend::forward(&mut reference, &ids, Logits::Each(ids.len())).await.expect("reference");
    check("without packs", &steps(&mut model, &ids, 21).await, &want, vocab);
    for none in [vec![], vec![Ablation { scale: 1.0, ..ablations()[0].clone() }]] {
        model.ablate(&none).await.expect("ablate");
        assert_eq!(steps(&mut model, &ids, 21).await, base);
        assert_eq!(model.team(), team);
    }
    assert!(gpu.memory.bytes() <= bytes);
}

#[test]
fn what_fires_and_what_is_ablated_agree_with_the_reference() {
    let uneven = ModelConfig { qkv_slot_num: 98, ..config(UNEVEN) };
    let portable = gpu(&GpuOptions { default_limits: true, ..Default::default() });
    pollster::block_on(compare_inside(&portable, &uneven, Quantization::Q4, None));
    pollster::block_on(compare_inside(&gpu_with_bytes(&GpuOptions::default()), &uneven, Quantization::Q8, None));
    // Single kernels are compared in every format by the conformance table.
    if !is_full() {
        return;
    }
    pollster::block_on(compare_inside(&gpu_that_is(true, &GpuOptions::default()), &uneven, Quantization::Q8, None));
    if let Some(gpu) = gpu_with_subgroups() {
        pollster::block_on(compare_inside(&gpu, &uneven, Quantization::F16, None));
        // Decode steps in one dispatch, which software GPUs take long to compile.
        let alone = Team { arithmetic: crate::model::Arithmetic::Int8, ..ALONE };
        pollster::block_on(compare_inside(&gpu, &uneven, Quantization::Q4, Some(alone)));
    }
}

/// Positions after more than a chunk, and more rows than one readback holds.
#[test]
fn long_texts_are_looked_at_in_pieces() {
    let small = config(
        r#"{"num_layers":1,"hidden_size":32,"num_attention_heads":2,"qkv_slot_num":33,"proj_slot_num":31,
        "ffn_slot_num":70,"padded_vocab_size":40,"max_position_embeddings":2048}"#,
    );
    pollster::block_on(async {
        let (mut model, reference) = build(&gpu(&GpuOptions::default()), &small, Quantization::Q8, 2048).await;
        let mut reference = ReferenceEngine::new(reference, 2048);
        let ids = ids(1400, 40);
        // 1,024 rows of 5 places of 64 tokens are more than 4 MiB.
        let request = InspectRequest {
            rows: (0..1000).collect(),
            layers: vec![0],
            kinds: Pattention::ALL.to_vec(),
            top: MOST_TOP,
        };
        model.forward(&ids[..360], Logits::None).await.expect("prefill");
        let got = model.inspect(&ids[360..1380], &request).await.expect("inspect");
        assert_eq!((got.len(), model.len()), (5000, 1380));
        let mut want = Vec::new();
        for (i, ids) in ids[..1380].chunks(180).enumerate() {
            let rows = (0..ids.len()).filter(|row| (360..1360).contains(&(i * 180 + row))).collect();
            let request = InspectRequest { rows, top: usize::MAX, ..request.clone() };
            want.extend(Backend::inspect(&mut reference, ids, &request).await.expect("inspect"));
        }
        agreement::check("long", &got, &want, MOST_TOP, 1.0);
        // A request for no rows is a plain prefill.
        model.truncate(0);
        let none = InspectRequest { rows: Vec::new(), ..request };
        assert!(model.inspect(&ids[..9], &none).await.expect("inspect").is_empty());
        assert_eq!(model.len(), 9);
    });
}

#[test]
fn other_activations_show_their_own_weights() {
    let gpu = gpu(&GpuOptions::default());
    for activation in [NormActivation::GeluL2Norm, NormActivation::Softmax] {
        let c = ModelConfig { norm_activation_type: activation, ..config(UNEVEN) };
        pollster::block_on(async {
            let (mut model, reference) = build(&gpu, &c, Quantization::Q8, 40).await;
            let mut reference = ReferenceEngine::new(reference, 40);
            let ids = ids(24, c.padded_vocab_size);
            compare_fired(&format!("{activation:?}"), &mut model, &mut reference, &ids, 13).await;
            let e = model.ablate(&ablations()).await.expect_err("another activation");
            assert_eq!(e.code, ErrorCode::UnsupportedCheckpoint);
            model.ablate(&[]).await.expect("none");
        });
    }
    assert_eq!(gpu.memory.bytes(), 0);
}
