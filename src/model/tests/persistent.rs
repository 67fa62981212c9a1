//! Decode steps by workgroups that share the layers: their results, and that they leave no trace when they time out.

use super::*;
use crate::config::NormActivation;
use crate::engine::AbortFlag;
use crate::generate::{GenerateOptions, Generation, Model, Prompt};
use crate::model::kernels::layers::Arithmetic;
use crate::model::tune::Choice;
use crate::sampling::SamplingOptions;

/// A software GPU runs workgroups one after the other: only one can work with values of its own dispatch.
const ALONE: Team =
    Team { workgroups: 1, threads: 128, spin_limit: 1 << 10, arithmetic: Arithmetic::F32, subgroups: true };
const PACKED: Team = Team { arithmetic: Arithmetic::Int8, ..ALONE };
const HALF: Team = Team { arithmetic: Arithmetic::F16, ..ALONE };

#[test]
fn persistent_workgroups_agree_with_the_reference() {
    let portable = Some(gpu(&GpuOptions::default()));
    let (subgroups, f16) = (gpu_with_subgroups(), gpu_with_f16());
    let mut uneven = config(UNEVEN);
    uneven.qkv_slot_num = 98;
    // Three slots of activations per thread, the last of them only for some threads.
    let long = ModelConfig { ffn_slot_num: 1100, num_layers: 1, ..uneven.clone() };
    let with = |hidden, heads, layers, activation| {
        let mut c = config(UNEVEN);
        (c.num_layers, c.norm_activation_type) = (layers, activation);
        (c.hidden_size, c.num_attention_heads) = (hidden, heads);
        c
    };
    let cases = [
        (&subgroups, uneven.clone(), Quantization::Q4, PACKED),
        (&portable, long.clone(), Quantization::Q4, PACKED),
        (&f16, with(96, 3, 3, NormActivation::GeluL2Norm), Quantization::Q8, HALF),
        // Software GPUs take ten seconds and more to compile each of these.
        (&subgroups, long, Quantization::Q8, PACKED),
        (&portable, uneven.clone(), Quantization::Q4, ALONE),
        (&subgroups, with(96, 3, 3, NormActivation::Softmax), Quantization::Q8, ALONE),
        (&f16, uneven.clone(), Quantization::Q4, Team { subgroups: false, ..HALF }),
        (&subgroups, uneven.clone(), Quantization::Q8, Team { threads: 256, ..ALONE }),
        (&subgroups, uneven, Quantization::F16, ALONE),
        (&subgroups, with(64, 1, 1, NormActivation::L2NormGelu), Quantization::Q4, ALONE),
        (&subgroups, with(192, 2, 2, NormActivation::GeluL2Norm), Quantization::Q4, ALONE),
    ];
    let count = if is_full() { cases.len() } else { 3 };
    for (gpu, c, q, team) in cases.into_iter().take(count) {
        // 150 positions are two stretches of the attention, and the first step is alone in the second.
        let Some(gpu) = gpu else { continue };
        pollster::block_on(compare_with(gpu, &c, q, (131, 128), Some(team)));
    }
}

#[test]
fn workgroups_that_time_out_leave_no_trace() {
    let gpu = gpu(&GpuOptions { default_limits: true, ..Default::default() });
    let options = GenerateOptions {
        max_tokens: 20,
        sampling: SamplingOptions {
            seed: 5,
            logit_bias: vec![(0, -1e4)],
            frequency_penalty: 0.5,
            ..Default::default()
        },
        ..Default::default()
    };
    let complete = |model: &mut Model<GpuModel>, logprobs| {
        let options = GenerateOptions { logprobs, ..options.clone() };
        let prompt = Prompt::Ids(vec![3, 1, 4]);
        let mut g = Generation::start(model, &prompt, options, AbortFlag::default()).expect("options");
        while pollster::block_on(g.next(model)).expect("step").is_some() {}
        g.result().token_ids
    };
    let mut c = config(UNEVEN);
    c.num_layers = 1;
    let (model, _) = pollster::block_on(build(&gpu, &c, Quantization::Q4, 100));
    let mut model = Model::new(model, None).expect("model");
    let wanted = complete(&mut model, 0);
    // Three workgroups that wait for each other but run one after the other: in a text, with logprobs, and for logits
    // alone.
    let three = Team { workgroups: 3, spin_limit: 4, ..ALONE };
    for logprobs in [0, 1] {
        assert!(pollster::block_on(model.backend_mut().employ(three)).expect("kernel"));
        model.reset();
        assert_eq!(complete(&mut model, logprobs), wanted);
        assert!(model.backend().persistent.is_none());
    }
    let logits = pollster::block_on(model.logits(&[3, 1, 4], &AbortFlag::default())).expect("logits");
    assert!(pollster::block_on(model.backend_mut().employ(three)).expect("kernel"));
    pollster::block_on(model.logits(&[3, 1], &AbortFlag::default())).expect("logits");
    let got = pollster::block_on(model.logits(&[3, 1, 4], &AbortFlag::default())).expect("logits");
    assert!(model.backend().persistent.is_none() && relative_error(&got, &logits) < 1e-4);
    // Steps that were voided after the last token that was requested leave no trace either.
    for taken in [1, 2] {
        assert!(pollster::block_on(model.backend_mut().employ(three)).expect("kernel"));
        model.reset();
        let abort = AbortFlag::default();
        let prompt = Prompt::Ids(vec![3, 1, 4]);
        let mut g = Generation::start(&model, &prompt, options.clone(), abort.clone()).expect("options");
        for _ in 0..taken {
            assert!(pollster::block_on(g.next(&mut model)).expect("step").is_some());
        }
        abort.set();
        while pollster::block_on(g.next(&mut model)).expect("end").is_some() {}
        let ids = [&[3, 1, 4], &wanted[..taken], &[9]].concat();
        let got = pollster::block_on(model.logits(&ids, &AbortFlag::default())).expect("logits");
        model.reset();
        let fresh = pollster::block_on(model.logits(&ids, &AbortFlag::default())).expect("logits");
        assert!(relative_error(&got, &fresh) < 1e-4, "after {taken}");
    }
    // Trying them leaves no trace either, and they are not chosen.
    model.reset();
    pollster::block_on(async {
        let backend = model.backend_mut();
        let remembered = Choice { team: Some(three), is_in_bytes: None };
        let prepared = backend.prepare(Some(remembered), 0).expect("a team").run().await;
        let abort = AbortFlag::default();
        assert_eq!(
            backend.tune(&prepared, &abort).await.expect("trial"),
            Some(Choice { team: None, is_in_bytes: None })
        );
        abort.set();
        assert_eq!(backend.tune(&prepared, &abort).await.expect("trial"), None);
        assert_eq!(backend.len(), 0);
    });
    assert_eq!(complete(&mut model, 0), wanted);
}
