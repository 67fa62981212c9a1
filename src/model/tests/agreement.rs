//! Prefill, single steps and scores against the reference: precisions, head sizes, activations, long rows.

use super::*;
use crate::config::NormActivation;
use crate::engine::AbortFlag;
use crate::model::chunk_products::ChunkProducts;
use crate::model::plan::Plan;
use crate::reference::ReferenceEngine;

#[test]
fn every_precision_agrees_with_the_reference() {
    let portable = GpuOptions { no_subgroups: true, ..Default::default() };
    let gpus = [true, false].map(|software| gpu_that_is(software, &portable));
    let gpus: Vec<_> = gpus.into_iter().chain(gpu_with_subgroups()).collect();
    for (i, gpu, q) in gpus.iter().enumerate().flat_map(|(i, gpu)| Quantization::ALL.map(|q| (i, gpu, q))) {
        // Each kernel alone has every format on every kind of device; a browser's tests have all on a software GPU.
        if !is_full() && q != Quantization::ALL[i] {
            continue;
        }
        // 150 tokens need two parts of the split attention; 37 and 113 are not multiples of any tile size.
        pollster::block_on(compare(gpu, &config(UNEVEN), q, 150, 37));
    }
}

#[test]
fn prompts_in_products_of_bytes_agree_with_the_reference() {
    let gpu = gpu_with_bytes(&GpuOptions { default_limits: true, ..Default::default() });
    for q in Quantization::ALL {
        // 113 tokens are a whole tile and a part of one.
        pollster::block_on(compare(&gpu, &config(UNEVEN), q, 115, 113));
    }
    let mut c = config(UNEVEN);
    (c.num_layers, c.hidden_size, c.num_attention_heads, c.ffn_slot_num) = (1, 1024, 16, 4096);
    pollster::block_on(compare(&gpu, &c, Quantization::Q4, 21, 18));
    let (model, _) = pollster::block_on(build(&gpu, &config(UNEVEN), Quantization::Q4, 20));
    assert_eq!(model.variants()[0], "prefill: bytes");
}

#[test]
fn products_of_bytes_are_tried_where_nothing_is_known_of_them_and_both_ways_are_right() {
    let mut gpu = pollster::block_on(Gpu::open(&GpuOptions::default())).expect("a GPU");
    (gpu.is_software, gpu.vendor) = (false, "amd".into());
    let (gpu, c) = (Rc::new(gpu), config(UNEVEN));
    pollster::block_on(async {
        let (mut model, mut reference) = build(&gpu, &c, Quantization::Q4, 300).await;
        let ids = ids(37, c.padded_vocab_size);
        let h = reference.forward(&ids, false).expect("reference").last;
        let wanted = reference.logits(&h);
        let wanted = &wanted[wanted.len() - c.padded_vocab_size..];
        let logits = async |model: &mut GpuModel| {
            model.truncate(0);
            model.forward(&ids, Logits::Last).await.expect("logits")
        };
        let of_floats = logits(&mut model).await;
        assert!(gpu.may_multiply_bytes() && model.kernels_of_bytes().is_empty());
        model.make_room_for_bytes().await.expect("a GPU");
        assert!(!model.kernels_of_bytes().is_empty());
        // Whoever ends it early finds all as it was.
        let abort = AbortFlag::default();
        abort.set();
        assert_eq!(model.try_bytes(&abort).await.expect("a trial"), None);
        assert!(model.has_bytes_to_try() && !model.is_in_bytes());
        abort.clear();
        assert_eq!(model.try_bytes(&abort).await.expect("a trial"), Some(()));
        assert!(!model.has_bytes_to_try());
        assert_eq!(model.len(), ids.len(), "the text is still there");
        // Which of them was faster is the machine's business.
        let was_faster = model.is_in_bytes();
        assert_eq!(gpu.multiplies_bytes(), was_faster);
        assert_eq!(model.variants()[0], if was_faster { "prefill: bytes" } else { "prefill: f32" });
        let products = ChunkProducts::new(&gpu, &c, !was_faster);
        let mut other = (Plan::with(model.parts(), &products).expect("a plan"), products);
        for in_bytes in [was_faster, !was_faster] {
            let got = logits(&mut model).await;
            let error = relative_error(&got, wanted);
            assert!(error < TOLERANCE, "{in_bytes}: {error:.2e}");
            assert_eq!(got == of_floats, !in_bytes, "another way");
            model.exchange(&mut other);
        }
        if model.has_tried_bytes {
            model.make_room_for_bytes().await.expect("a GPU");
            assert!(!model.has_bytes_to_try(), "once");
        }
    });
}

#[test]
fn subgroups_agree_with_the_reference() {
    let Some(gpu) = gpu_with_subgroups() else { return };
    for (hidden, heads, slots, activation) in [
        (64, 1, 98, NormActivation::L2NormGelu),
        (192, 2, 900, NormActivation::GeluL2Norm),
        (224, 2, 98, NormActivation::Softmax),
        (1024, 16, 4096, NormActivation::L2NormGelu),
    ] {
        let mut c = config(UNEVEN);
        (c.num_layers, c.norm_activation_type) = (1, activation);
        (c.hidden_size, c.num_attention_heads, c.ffn_slot_num) = (hidden, heads, slots);
        pollster::block_on(compare(&gpu, &c, Quantization::Q4, 21, 18));
    }
}

#[test]
fn scores_agree_with_the_reference() {
    let portable = gpu(&GpuOptions { default_limits: true, ..Default::default() });
    let (c, context) = (config(UNEVEN), 150);
    for gpu in [Some(portable), gpu_with_subgroups()].into_iter().flatten() {
        let (mut model, reference) = pollster::block_on(build(&gpu, &c, Quantization::Q8, context));
        let mut reference = ReferenceEngine::new(reference, context);
        let ids = ids(context, c.padded_vocab_size);
        // A whole chunk, with more rows than are computed at a time; the end of one; none; and single steps.
        for (count, targets, real_ids) in [(100, 100, 333), (40, 3, 333), (2, 0, 300), (1, 1, 300), (1, 1, 300)] {
            let at = model.len();
            let next = &ids[at + count + 1 - targets..=at + count];
            let step = &ids[at..at + count];
            let got = pollster::block_on(model.score(step, next, real_ids)).expect("scores");
            let want = pollster::block_on(reference.score(step, next, real_ids)).expect("scores");
            assert_eq!((got.len(), model.len()), (targets, at + count));
            for (i, (got, want)) in got.iter().zip(&want).enumerate() {
                let error = (got.logprob - want.logprob).abs();
                assert!(error < 5e-3, "{count} tokens at {at}, target {i}: {got:?} instead of {want:?}");
            }
        }
        // Only the best of the real ids is marked: neither the second best, nor a better one that is not real.
        model.truncate(10);
        let logits = pollster::block_on(model.forward(&ids[10..12], Logits::Last)).expect("logits");
        let mut order: Vec<u32> = (0..333).collect();
        order.sort_by(|a, b| logits[*b as usize].total_cmp(&logits[*a as usize]));
        let best_below = |real: u32| *order.iter().find(|id| **id < real).expect("one");
        for (target, real_ids) in
            [(order[0], 333), (order[1], 333), (order[0], order[0] as usize), (best_below(order[0]), order[0] as usize)]
        {
            model.truncate(10);
            let got = pollster::block_on(model.score(&ids[10..12], &[target], real_ids)).expect("score")[0];
            assert_eq!(got.is_best, target == best_below(real_ids as u32), "{target} of {real_ids}");
        }
    }
}

#[test]
fn texts_that_are_scored_together_see_only_themselves() {
    let portable = GpuOptions { default_limits: true, ..Default::default() };
    [gpu(&portable), gpu_with_bytes(&portable)].iter().for_each(score_together);
}

fn score_together(gpu: &Rc<Gpu>) {
    let (c, context) = (config(UNEVEN), 300);
    let (mut model, reference) = pollster::block_on(build(gpu, &c, Quantization::Q8, context));
    let mut reference = ReferenceEngine::new(reference, context);
    let ids = ids(context, c.padded_vocab_size);
    // With targets for each token, for the last one, for none; more rows between targets than are scored at a time.
    let texts: Vec<ScoredText<'_>> = [(70, 70), (1, 1), (90, 1), (2, 0), (33, 3)]
        .into_iter()
        .scan(0, |at, (count, targets)| {
            let (from, to) = (*at, *at + count);
            *at = to;
            Some(ScoredText { ids: &ids[from..to], targets: &ids[to + 1 - targets..=to] })
        })
        .collect();
    // What the cache held before does not matter, and nothing stays in it.
    pollster::block_on(model.forward(&ids[..50], Logits::None)).expect("tokens");
    let got = pollster::block_on(model.score_together(&texts, 333)).expect("scores");
    assert_eq!(model.len(), 0);
    let want = pollster::block_on(reference.score_together(&texts, 333)).expect("scores");
    for ((got, want), text) in got.iter().zip(&want).zip(&texts) {
        assert_eq!(got.len(), text.targets.len());
        for (got, want) in got.iter().zip(want) {
            assert!((got.logprob - want.logprob).abs() < 5e-3, "{got:?} instead of {want:?} of {text:?}");
        }
    }
}

#[test]
fn head_sizes_and_activations_agree_with_the_reference() {
    let gpu = gpu(&GpuOptions { default_limits: true, ..Default::default() });
    let activations = [NormActivation::L2NormGelu, NormActivation::GeluL2Norm, NormActivation::Softmax];
    for (i, (hidden, heads)) in [(64, 1), (192, 2), (96, 3), (224, 2)].into_iter().enumerate() {
        let mut c = config(UNEVEN);
        (c.hidden_size, c.num_attention_heads) = (hidden, heads);
        for (j, activation) in activations.into_iter().enumerate() {
            // No kernel depends on both.
            if !is_full() && i % 3 != j {
                continue;
            }
            c.norm_activation_type = activation;
            pollster::block_on(compare(&gpu, &c, Quantization::Q4, 21, 18));
        }
    }
}

#[test]
fn long_rows_are_read_in_chunks_or_rounds() {
    let mut c = config(UNEVEN);
    // 3,200 and 6,144 slots: more activations than 16 KiB of workgroup memory hold at a time, and more groups than
    // threads share a row.
    (c.num_layers, c.ffn_slot_num, c.proj_slot_num) = (1, 6144, 3200);
    for default_limits in [true, false] {
        let gpu = gpu(&GpuOptions { default_limits, ..Default::default() });
        pollster::block_on(compare(&gpu, &c, Quantization::Q4, 6, 4));
    }
}

#[test]
fn a_context_of_one_token_gives_logits() {
    let gpu = gpu(&GpuOptions::default());
    let (mut model, mut reference) = pollster::block_on(build(&gpu, &config(UNEVEN), Quantization::Q8, 1));
    let h = reference.forward(&[9], false).expect("reference").last;
    let got = pollster::block_on(model.forward(&[9], Logits::Last)).expect("step");
    assert!(relative_error(&got, &reference.logits(&h)) < TOLERANCE);
}

#[test]
fn impossible_steps_are_errors() {
    let gpu = gpu(&GpuOptions::default());
    let (mut model, _) = pollster::block_on(build(&gpu, &config(UNEVEN), Quantization::Q8, 8));
    for bad in [&[][..], &[1; 9], &[1; 300]] {
        assert!(pollster::block_on(model.forward(bad, Logits::Last)).is_err());
        assert_eq!(model.len(), 0);
    }
    let too_long = Loading::new(gpu.clone(), config(UNEVEN), Quantization::Q8, Some(301));
    assert!(pollster::block_on(too_long).is_err());
}
