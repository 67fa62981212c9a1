//! Steps with token packs, in every way that steps are made, compared with the forward pass written out; and without
//! packs again.

use super::*;
use crate::checkpoint::layout::padded_slots;
use crate::config::NormActivation;
use crate::engine::{AbortFlag, Row};
use crate::error::ErrorCode;
use crate::model::kernels::layers::Arithmetic;
use crate::model::pack_tables::PackTables;
use crate::model::tune::Choice;
use crate::packs::{ActivePack, LayerTokens, Merged, MergedTokens, Pack, PackTokens};
use crate::reference::math;
use crate::sampling::{LogProbs, SamplingOptions};
use half::f16;

/// A software GPU runs workgroups one after the other: only one can work with values of its own dispatch.
pub(super) const ALONE: Team =
    Team { workgroups: 1, threads: 128, spin_limit: 1 << 10, arithmetic: Arithmetic::F32, subgroups: true };

/// A pack with these numbers of tokens for each kind, layer by layer.
fn pack(name: &str, strength: f32, d: usize, layers: &[[usize; 5]]) -> ActivePack {
    let mut random = Random(name.len() as u64 + layers.len() as u64);
    let mut tokens = |m: usize| {
        let mut numbers = |scale: f32| -> Vec<f32> { (0..m * d).map(|_| random.uniform() * scale).collect() };
        (m > 0).then(|| PackTokens { keys: numbers(0.5), values: numbers(0.05) })
    };
    let layers = layers.iter().map(|kinds| -> LayerTokens { kinds.map(&mut tokens) }).collect();
    ActivePack { name: name.into(), strength, pack: Rc::new(Pack { layers }) }
}

/// All kinds in both layers of the test's models, with uneven counts; and a few tokens in one of them.
pub(super) fn two_packs(d: usize) -> [ActivePack; 2] {
    [
        pack("first", 1.0, d, &[[3, 1, 0, 16, 33], [16, 3, 5, 1, 3]]),
        pack("second one", -0.75, d, &[[0, 0, 0, 0, 4], [0, 0, 0, 0, 0]]),
    ]
}

/// Logits after each of `ids`, [T, V].
fn plain_logits(reference: &Reference, packs: &[ActivePack], ids: &[u32]) -> Vec<f32> {
    let config = &reference.config;
    let (d, head) = (config.hidden_size, (config.head_size(), config.rotary_dims()));
    let merged = Merged::new(packs, d);
    let none = <[MergedTokens; 5]>::default();
    let mut h: Vec<f32> = ids.iter().flat_map(|id| reference.embedding[*id as usize * d..][..d].to_vec()).collect();
    let rounded = |x: Vec<f32>| -> Vec<f32> { x.iter().map(|x| f16::from_f32(*x).to_f32()).collect() };
    for (i, layer) in reference.layers.iter().enumerate() {
        let packs = merged.layers.get(i).unwrap_or(&none);
        let pattention = |kind: usize, x: &[f32]| -> Vec<f32> {
            let (tables, packs) = (&layer.tables[kind], &packs[kind]);
            let (slots, padded) = (tables.slots, padded_slots(tables.slots));
            let of = |x: &[f32]| {
                let scores = math::product(x, &tables.keys, d);
                let mut weights = scores[..slots].to_vec();
                let norm = math::dot(&weights, &weights).sqrt();
                math::theta(NormActivation::L2NormGelu, &mut weights);
                weights.resize(padded, 0.0);
                let mut y = math::product(&weights, &tables.values, padded);
                let tokens = packs.keys.chunks_exact(d).zip(packs.values.chunks_exact(d)).zip(&packs.strengths);
                for ((key, value), strength) in tokens {
                    let z = math::dot(x, key) / norm * (slots as f32).sqrt();
                    y.iter_mut().zip(value).for_each(|(y, v)| *y += strength * math::gelu(z) * v);
                }
                y
            };
            x.chunks_exact(d).flat_map(of).collect()
        };
        let add = |h: &mut [f32], y: Vec<f32>| h.iter_mut().zip(y).for_each(|(h, y)| *h += y);
        let u = math::layer_norm(&h, d, config.layernorm_epsilon as f32);
        let [mut q, mut k, v] = [0, 1, 2].map(|kind| pattention(kind, &u));
        math::rotate(&mut q, d, head, config.rotary_emb_base, 0);
        math::rotate(&mut k, d, head, config.rotary_emb_base, 0);
        let attention = math::attention(&q, &rounded(k), &rounded(v), (d, head.0), 0);
        add(&mut h, pattention(3, &attention));
        let u = math::layer_norm(&h, d, config.layernorm_epsilon as f32);
        add(&mut h, pattention(4, &u));
    }
    reference.logits(&h)
}

pub(super) async fn set(model: &mut GpuModel, packs: &[ActivePack]) {
    model.set_packs(packs).await.expect("packs");
    assert_eq!(model.len(), 0, "what was read without them is worth nothing");
}

/// Logits after each of `ids`, the first `prefill` of which are a chunk.
pub(super) async fn steps(model: &mut GpuModel, ids: &[u32], prefill: usize) -> Vec<f32> {
    model.truncate(0);
    let mut all = model.forward(&ids[..prefill], Logits::Each(prefill)).await.expect("prefill");
    for position in prefill..ids.len() {
        all.extend(model.forward(&ids[position..=position], Logits::Last).await.expect("step"));
    }
    all
}

pub(super) fn check(what: &str, got: &[f32], want: &[f32], vocab: usize) {
    assert_eq!(got.len(), want.len());
    for (i, (got, want)) in got.chunks_exact(vocab).zip(want.chunks_exact(vocab)).enumerate() {
        let error = relative_error(got, want);
        assert!(error < TOLERANCE, "{what} at position {i}: error {error:.2e}");
    }
}

/// Every way of making steps with packs: chunks, single steps, scores, several texts.
async fn compare_packs(gpu: &Rc<Gpu>, config: &ModelConfig, q: Quantization, team: Option<Team>) {
    let (d, vocab) = (config.hidden_size, config.padded_vocab_size);
    let (mut model, reference) = build(gpu, config, q, 40).await;
    if let Some(team) = team {
        assert!(model.employ(team).await.expect("kernel"));
    }
    let ids = ids(24, vocab);
    let base = plain_logits(&reference, &[], &ids);
    let packs = two_packs(d);
    let want = plain_logits(&reference, &packs, &ids);
    assert!(relative_error(&want, &base) > 20.0 * TOLERANCE, "packs that change nothing show nothing");
    set(&mut model, &packs).await;
    check("with packs", &steps(&mut model, &ids, 21).await, &want, vocab);
    assert_eq!(model.team(), team, "a workgroup timed out");
    model.truncate(0);
    let scores = model.score(&ids[..20], &ids[11..21], vocab).await.expect("scores");
    for (i, score) in scores.iter().enumerate() {
        let wanted = LogProbs::new(&want[(10 + i) * vocab..][..vocab]).of(ids[11 + i]);
        assert!((score.logprob - wanted).abs() < 5e-3, "{score:?} instead of {wanted}");
    }
    // Texts that diverge after ten tokens, one of them by several tokens at once.
    model.truncate(0);
    model.forward(&ids[..10], Logits::None).await.expect("prompt");
    let row = |place: usize, tail: &[u32]| Row {
        place,
        tail: tail.to_vec(),
        is_held: false,
        options: SamplingOptions { temperature: 0.0, ..Default::default() },
        prompt: Vec::new(),
        written: Vec::new(),
    };
    let mut tails = [vec![ids[10], ids[11]], vec![7], vec![9]];
    let rows: Vec<Row> = tails.iter().enumerate().map(|(place, tail)| row(place, tail)).collect();
    model.begin_rows(&rows, vocab, true).await.expect("texts");
    for _ in 0..2 {
        model.step_rows().await.expect("step");
        let chosen = model.chosen_rows().await.expect("tokens");
        for (tail, chosen) in tails.iter_mut().zip(chosen) {
            let text = [&ids[..10], tail].concat();
            let want = plain_logits(&reference, &packs, &text);
            check("several", &chosen.logits.expect("logits"), &want[want.len() - vocab..], vocab);
            tail.push(chosen.id);
        }
    }
    model.stop_rows();
    // A different strength of one pack, in the same tables.
    let packs = [packs[0].clone(), ActivePack { strength: 0.5, ..packs[1].clone() }];
    set(&mut model, &packs).await;
    check("after a change", &steps(&mut model, &ids, 21).await, &plain_logits(&reference, &packs, &ids), vocab);
    set(&mut model, &[]).await;
    check("without packs", &steps(&mut model, &ids, 21).await, &base, vocab);
    assert_eq!(model.team(), team);
}

#[test]
fn packs_agree_with_plain_arithmetic() {
    let uneven = ModelConfig { qkv_slot_num: 98, ..config(UNEVEN) };
    let portable = gpu(&GpuOptions { default_limits: true, ..Default::default() });
    pollster::block_on(compare_packs(&portable, &uneven, Quantization::Q4, None));
    pollster::block_on(compare_packs(&gpu_with_bytes(&GpuOptions::default()), &uneven, Quantization::Q4, None));
    pollster::block_on(compare_packs(&gpu_that_is(true, &GpuOptions::default()), &uneven, Quantization::Q8, None));
    if let Some(gpu) = gpu_with_subgroups() {
        pollster::block_on(compare_packs(&gpu, &uneven, Quantization::F16, None));
    }
}

#[test]
fn packs_agree_with_plain_arithmetic_in_one_dispatch() {
    let uneven = config(UNEVEN);
    let (subgroups, f16) = (gpu_with_subgroups(), gpu_with_f16());
    let portable = Some(gpu(&GpuOptions::default()));
    let cases = [
        (&subgroups, Quantization::Q4, Team { arithmetic: Arithmetic::Int8, ..ALONE }),
        // Software GPUs take ten seconds and more to compile each of these, twice.
        (&portable, Quantization::Q4, ALONE),
        (&portable, Quantization::Q8, Team { arithmetic: Arithmetic::Int8, threads: 256, ..ALONE }),
        (&f16, Quantization::Q4, Team { arithmetic: Arithmetic::F16, ..ALONE }),
        (&subgroups, Quantization::F16, ALONE),
    ];
    let count = if is_full() { cases.len() } else { 1 };
    for (gpu, q, team) in cases.into_iter().take(count) {
        let Some(gpu) = gpu else { continue };
        pollster::block_on(compare_packs(gpu, &uneven, q, Some(team)));
    }
}

#[test]
fn packs_that_are_off_leave_no_trace() {
    let gpu = gpu(&GpuOptions::default());
    let c = config(UNEVEN);
    pollster::block_on(async {
        let (mut model, _) = build(&gpu, &c, Quantization::Q4, 40).await;
        let ids = ids(12, c.padded_vocab_size);
        let (before, bytes) = (steps(&mut model, &ids, 9).await, gpu.memory.bytes());
        let weights = model.weight_bytes();
        let packs = two_packs(c.hidden_size);
        set(&mut model, &packs).await;
        let with = steps(&mut model, &ids, 9).await;
        assert!(with != before && gpu.memory.bytes() > bytes);
        // Keys and values of single precision for at least [16, 16, 33] tokens.
        assert!(model.weight_bytes() - weights > 2 * (3 * 16 + 16 + 33) * 160 * 2 * 4);
        // Neither the order in which packs are added nor earlier packs affect the result.
        set(&mut model, &packs[1..]).await;
        let second = steps(&mut model, &ids, 9).await;
        set(&mut model, &[packs[1].clone(), packs[0].clone()]).await;
        assert_eq!(steps(&mut model, &ids, 9).await, with);
        assert_ne!(with, second);
        // At strength 0, and removed: bit by bit the same as before, and nothing is left on the GPU.
        let off = packs.clone().map(|pack| ActivePack { strength: 0.0, ..pack });
        set(&mut model, &off).await;
        assert_eq!(steps(&mut model, &ids, 9).await, before);
        set(&mut model, &[off[0].clone(), packs[1].clone()]).await;
        assert_eq!(steps(&mut model, &ids, 9).await, second);
        set(&mut model, &[]).await;
        assert_eq!(steps(&mut model, &ids, 9).await, before);
        assert_eq!((gpu.memory.bytes(), model.weight_bytes()), (bytes, weights));
        // A whole chunk and the tails of texts are dropped as well.
        model.forward(&ids, Logits::None).await.expect("prompt");
        model.reserve_tails(&[]).await.expect("room");
        set(&mut model, &packs).await;
        assert_eq!(model.tail_capacity(), 0);
    });
    assert_eq!(gpu.memory.bytes(), 0);
}

#[test]
fn teams_are_tried_with_packs_and_go_back_without() {
    let gpu = gpu(&GpuOptions::default());
    let c = ModelConfig { num_layers: 1, ..config(UNEVEN) };
    let packs = [pack("one", 1.0, c.hidden_size, &[[0, 0, 0, 0, 5]])];
    pollster::block_on(async {
        let (mut model, reference) = build(&gpu, &c, Quantization::Q8, 40).await;
        let ids = ids(6, c.padded_vocab_size);
        let want = [&[][..], &packs].map(|packs| plain_logits(&reference, packs, &ids));
        set(&mut model, &packs).await;
        let prepared =
            model.prepare(Some(Choice { team: Some(ALONE), is_in_bytes: None }), 0).expect("a team").run().await;
        let choice = model.tune(&prepared, &AbortFlag::default()).await.expect("trial").expect("an outcome");
        assert_eq!(choice.team, model.team());
        assert!(model.notes().is_empty(), "{:?}", model.notes());
        assert!(model.employ(ALONE).await.expect("kernel"));
        check("tuned", &steps(&mut model, &ids, 4).await, &want[1], c.padded_vocab_size);
        // A team chosen with packs works without them.
        set(&mut model, &[]).await;
        assert_eq!(model.team(), Some(ALONE));
        check("without", &steps(&mut model, &ids, 4).await, &want[0], c.padded_vocab_size);
        // Workgroups that time out with packs are available again without them.
        let three = Team { workgroups: 3, spin_limit: 4, ..ALONE };
        assert!(model.employ(three).await.expect("kernel"));
        set(&mut model, &packs).await;
        assert_eq!(model.team(), None);
        check("many dispatches", &steps(&mut model, &ids, 4).await, &want[1], c.padded_vocab_size);
        set(&mut model, &[]).await;
        assert_eq!(model.team(), Some(three));
    });
}

#[test]
fn packs_that_cannot_be_are_refused() {
    let gpu = gpu(&GpuOptions { default_limits: true, ..Default::default() });
    let c = config(UNEVEN);
    pollster::block_on(async {
        let (mut model, _) = build(&gpu, &c, Quantization::Q4, 40).await;
        let bytes = gpu.memory.bytes();
        // Layers and columns of a different model.
        for bad in [pack("bad", 1.0, 160, &[[1; 5]; 3]), pack("bad", 1.0, 96, &[[1; 5]; 2])] {
            let e = model.set_packs(&[bad]).await.expect_err("another shape");
            assert!(e.code == ErrorCode::InvalidConfig && e.message.contains("\"bad\""), "{e}");
        }
        // More than a binding of 128 MiB holds.
        let counts = vec![[0, 0, 0, 0, 300_000]; 2];
        let e = PackTables::new(&gpu, &c, (&model.weights, &model.scratch), counts).expect_err("too many");
        assert_eq!(e.code, ErrorCode::OutOfMemory);
        assert_eq!(gpu.memory.bytes(), bytes);
        let softmax = ModelConfig { norm_activation_type: NormActivation::Softmax, ..c.clone() };
        let (mut model, _) = build(&gpu, &softmax, Quantization::Q4, 40).await;
        let e = model.set_packs(&two_packs(c.hidden_size)).await.expect_err("another activation");
        assert_eq!(e.code, ErrorCode::UnsupportedCheckpoint);
        model.set_packs(&[]).await.expect("none");
    });
}
