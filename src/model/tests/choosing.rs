//! Tokens chosen by the GPU: the same as the host's choice, and surplus steps leave no trace.

use super::*;
use crate::engine::{AbortFlag, Text};
use crate::generate::tests::long;
use crate::generate::{GenerateOptions, Generation, Model, Prompt, healing};
use crate::gpu::GpuBuffer;
use crate::model::kernels::repeats::TEXT;
use crate::sampling::{Dry, Sampler, SamplingOptions, Xtc};

/// Tokens that the GPU chooses, and at how many of these steps the host's sampler, given the same logits and the same
/// tokens before, would have chosen a different one.
async fn choose(
    model: &mut Model<GpuModel>,
    sampling: &SamplingOptions,
    prompt: &[u32],
    n: usize,
) -> (Vec<u32>, usize) {
    let options = GenerateOptions { max_tokens: n, sampling: sampling.clone(), ..Default::default() };
    let abort = AbortFlag::default();
    model.reset();
    let mut generation =
        Generation::start(model, &Prompt::Ids(prompt.to_vec()), options, abort.clone()).expect("options");
    while generation.next(model).await.expect("step").is_some() {}
    let tokens = generation.result().token_ids;
    let mut sampler = Sampler::new(sampling.clone(), prompt, model.real_ids());
    let mut ids = prompt.to_vec();
    let mut otherwise = 0;
    for token in &tokens {
        let logits = model.logits(&ids, &abort).await.expect("logits");
        otherwise += usize::from(sampler.would_choose(&logits) != *token);
        sampler.note(*token);
        ids.push(*token);
    }
    (tokens, otherwise)
}

#[test]
fn tokens_are_chosen_as_the_host_would() {
    const STEPS: usize = 16;
    let gpu = gpu(&GpuOptions { default_limits: true, ..Default::default() });
    let mut c = config(UNEVEN);
    (c.num_layers, c.padded_vocab_size) = (1, 2777);
    let (model, _) = pollster::block_on(build(&gpu, &c, Quantization::Q8, 200));
    let mut model = Model::new(model, None).expect("model");
    let prompt = ids(5, 2777);
    // Id 0 would end a completion.
    let base =
        SamplingOptions { temperature: 1.0, top_p: 1.0, seed: 77, logit_bias: vec![(0, -1e4)], ..Default::default() };
    // Penalizes from the first repeated token on.
    let dry = Dry { multiplier: 2.0, allowed_length: 1, ..Dry::default() };
    let penalties = SamplingOptions {
        repetition_penalty: 1.3,
        presence_penalty: 0.5,
        frequency_penalty: 0.4,
        top_k: 5,
        ..base.clone()
    };
    let cases = [
        SamplingOptions { temperature: 0.0, ..base.clone() },
        base.clone(),
        SamplingOptions { temperature: 0.3, seed: (1 << 52) + 3, ..base.clone() },
        SamplingOptions { top_k: 1, temperature: 5.0, ..base.clone() },
        SamplingOptions { top_k: 7, ..base.clone() },
        SamplingOptions { top_k: 1000, temperature: 3.0, ..base.clone() },
        SamplingOptions { top_p: 0.9, ..base.clone() },
        SamplingOptions { top_p: 1e-6, ..base.clone() },
        SamplingOptions { top_p: 0.9999, temperature: 50.0, ..base.clone() },
        SamplingOptions { min_p: 0.2, ..base.clone() },
        SamplingOptions { top_k: 40, top_p: 0.8, min_p: 0.01, temperature: 2.0, ..base.clone() },
        SamplingOptions { repetition_penalty: 1.3, presence_penalty: 0.5, frequency_penalty: 0.4, ..base.clone() },
        SamplingOptions { temperature: 0.0, repetition_penalty: 1.5, frequency_penalty: 2.0, ..base.clone() },
        SamplingOptions { logit_bias: vec![(0, -1e4), (12, 30.0), (13, 30.0)], ..base.clone() },
        SamplingOptions { first: Some((0..2777).map(|id| id % 9 == 1).collect()), top_p: 0.5, ..base.clone() },
        // The token that leaves the range is known only to the GPU, or to the host, or belongs to the prompt.
        SamplingOptions { penalty_range: 3, ..penalties.clone() },
        SamplingOptions { penalty_range: 10, ..penalties.clone() },
        SamplingOptions { penalty_range: 500, ..penalties },
        SamplingOptions { dry: dry.clone(), ..base.clone() },
        SamplingOptions { dry: dry.clone(), temperature: 0.0, ..base.clone() },
        SamplingOptions { dry: Dry { range: 4, base: 1.0, ..dry }, temperature: 0.0, ..base.clone() },
        SamplingOptions { top_n_sigma: 1.5, temperature: 3.0, ..base.clone() },
        SamplingOptions { top_n_sigma: 2.0, top_k: 30, top_p: 0.9, ..base.clone() },
        SamplingOptions { xtc: Xtc { probability: 0.5, threshold: 0.01 }, ..base.clone() },
        SamplingOptions {
            xtc: Xtc { probability: 1.0, threshold: 0.1 },
            top_n_sigma: 3.0,
            top_k: 9,
            min_p: 0.05,
            ..base.clone()
        },
        SamplingOptions { min_tokens: STEPS as u32, logit_bias: vec![(0, 1e4)], ..base.clone() },
    ];
    let (mut steps, mut differing) = (0, 0);
    for sampling in cases {
        let (tokens, otherwise) = pollster::block_on(choose(&mut model, &sampling, &prompt, STEPS));
        assert_eq!(tokens.len(), STEPS, "{sampling:?}");
        assert!(otherwise == 0 || sampling.temperature > 0.0, "greedy is exact: {sampling:?}");
        assert!(otherwise <= 1, "{otherwise} of {STEPS} differ: {sampling:?}");
        (steps, differing) = (steps + STEPS, differing + otherwise);
        // Without steps ahead (logprobs need every step's logits), and once more: the same tokens.
        for logprobs in [1, 0].into_iter().take(if is_full() { 2 } else { 1 }) {
            let options =
                GenerateOptions { max_tokens: STEPS, sampling: sampling.clone(), logprobs, ..Default::default() };
            model.reset();
            let prompt = Prompt::Ids(prompt.clone());
            let mut g = Generation::start(&model, &prompt, options, AbortFlag::default()).expect("options");
            while let Some(chunk) = pollster::block_on(g.next(&mut model)).expect("step") {
                assert_eq!(chunk.logprob.is_some(), logprobs > 0);
            }
            assert_eq!(g.result().token_ids, tokens, "{sampling:?} with logprobs {logprobs}");
        }
    }
    // A GPU rounds logarithms differently: occasionally two tokens are tied.
    assert!(differing * 100 <= steps, "{differing} of {steps} steps differ");
}

#[test]
fn repeats_are_found_where_a_text_becomes_too_long_for_the_gpu() {
    const STEPS: usize = 24;
    let gpu = gpu(&GpuOptions { default_limits: true, ..Default::default() });
    let mut c = config(UNEVEN);
    (c.num_layers, c.padded_vocab_size) = (1, 277);
    let (mut engine, _) = pollster::block_on(build(&gpu, &c, Quantization::Q8, 60));
    // Some of the steps before the text becomes too long are ahead of the host's knowledge.
    let prompt = ids(TEXT - 9, 277);
    let dry = Dry { multiplier: 2.0, allowed_length: 1, ..Dry::default() };
    let dry_breakers = Some((0..277).map(|id| id % 5 == 1).collect());
    let options = SamplingOptions { temperature: 0.0, dry, dry_breakers, ..Default::default() };
    let mut sampler = Sampler::new(options.clone(), &prompt, 277);
    let mut tokens = Vec::new();
    pollster::block_on(async {
        engine.begin_choosing(&options, Text::after(&prompt), 277, false);
        engine.choose_after(&prompt[..3]).await.expect("a step");
        let mut made = 1;
        while tokens.len() < STEPS {
            while made < STEPS && made - tokens.len() < engine.steps_ahead() {
                engine.choose_next().await.expect("a step");
                made += 1;
            }
            tokens.push(engine.chosen().await.expect("a token").id);
        }
    });
    engine.stop_choosing();
    for (i, token) in tokens.iter().enumerate() {
        engine.truncate(0);
        let before = [&prompt[..3], &tokens[..i]].concat();
        let logits = pollster::block_on(engine.forward(&before, Logits::Last)).expect("logits");
        assert_eq!(sampler.next(&logits), *token, "{i}");
    }
}

#[test]
fn steps_that_were_too_many_leave_no_trace() {
    let gpu = gpu(&GpuOptions { default_limits: true, ..Default::default() });
    let (model, _) = pollster::block_on(build(&gpu, &config(UNEVEN), Quantization::Q4, 100));
    let mut model = Model::new(model, None).expect("model");
    let sampling =
        SamplingOptions { seed: 5, logit_bias: vec![(0, -1e4)], frequency_penalty: 0.5, ..Default::default() };
    let complete = |model: &mut Model<GpuModel>, prompt: &[u32], max_tokens: usize, leave_after: usize| {
        let options = GenerateOptions { max_tokens, sampling: sampling.clone(), ..Default::default() };
        let abort = AbortFlag::default();
        let mut g = Generation::start(model, &Prompt::Ids(prompt.to_vec()), options, abort.clone()).expect("options");
        for _ in 0..leave_after {
            if pollster::block_on(g.next(model)).expect("step").is_none() {
                break;
            }
        }
        abort.set();
        while pollster::block_on(g.next(model)).expect("end").is_some() {}
        g.result().token_ids
    };
    let whole = complete(&mut model, &[3, 1, 4], 60, 100);
    assert_eq!(whole.len(), 60);
    for leave_after in [1, 2, 31] {
        model.reset();
        let part = complete(&mut model, &[3, 1, 4], 60, leave_after);
        assert_eq!(part, whole[..leave_after]);
        // The cache remains in use, and its contents are correct.
        let again = complete(&mut model, &[3, 1, 4], 60, 100);
        assert_eq!(again.len(), 60);
        let fresh = {
            model.reset();
            complete(&mut model, &[3, 1, 4], 60, 100)
        };
        assert_eq!(fresh, whole);
    }
    // A full context ends the text, however many steps are ahead.
    model.reset();
    assert_eq!(complete(&mut model, &[3, 1, 4], 1000, 1000).len(), 97);
}

#[test]
fn a_space_at_the_end_of_a_prompt_is_left_to_the_first_token() {
    let gpu = gpu(&GpuOptions { default_limits: true, ..Default::default() });
    let (model, _) = pollster::block_on(build(&gpu, &healing::config(), Quantization::Q8, 64));
    let mut model = healing::with_tokenizer(model);
    healing::check(&mut model);
    // The distribution that the GPU samples from.
    let sampling = SamplingOptions { temperature: 0.8, top_p: 1.0, ..Default::default() };
    healing::write(&mut model, &sampling, 0);
    let adjusted = {
        let model = model.backend();
        let source = &model.scratch.choose.adjusted;
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let staging = GpuBuffer::new(&gpu, "test", source.buffer.size(), usage);
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        encoder.copy_buffer_to_buffer(&source.buffer, 0, &staging.buffer, 0, source.buffer.size());
        gpu.queue.submit([encoder.finish()]);
        pollster::block_on(gpu.read::<f32>(&staging.buffer, source.buffer.size())).expect("values")
    };
    let weights: Vec<f64> = adjusted.iter().map(|x| f64::from(*x).exp()).collect();
    let sum: f64 = weights.iter().sum();
    let want = healing::wanted_distribution(&mut model, 0.8);
    for (id, (weight, p)) in weights.iter().zip(want).enumerate() {
        assert!((weight / sum - p).abs() < 1e-5 * p.max(1e-3), "token {id}: {} for {p}", weight / sum);
    }
}

#[test]
fn a_text_goes_on_where_the_context_ends() {
    let gpu = gpu(&GpuOptions { default_limits: true, ..Default::default() });
    let mut c = config(UNEVEN);
    (c.num_layers, c.padded_vocab_size) = (1, 277);
    let engine = || Model::new(pollster::block_on(build(&gpu, &c, Quantization::Q8, 40)).0, None).expect("model");
    let (mut model, mut another) = (engine(), engine());
    let story = long::check_story(&mut model, &mut another, 120);
    model.reset();
    assert_eq!(long::check_story(&mut model, &mut another, 120).token_ids, story.token_ids);
}

#[test]
fn what_is_barred_is_not_chosen_where_a_text_goes_on() {
    let gpu = gpu(&GpuOptions { default_limits: true, ..Default::default() });
    let (model, _) = pollster::block_on(build(&gpu, &config(UNEVEN), Quantization::Q8, 60));
    let mut model = Model::new(model, None).expect("model");
    let sampling = SamplingOptions { temperature: 0.0, logit_bias: vec![(0, -1e4)], ..Default::default() };
    let prompt = ids(5, 300);
    let (plain, _) = pollster::block_on(choose(&mut model, &sampling, &prompt, 6));
    let engine = model.backend_mut();
    for filters in [SamplingOptions { temperature: 1.0, top_k: 2, ..sampling.clone() }, sampling] {
        for place in [0, 3] {
            // Simulates undoing a phrase that began there.
            let written = &plain[..place];
            let bars = vec![(place as u32, plain[place])];
            let options = SamplingOptions { bars, ..filters.clone() };
            let text = [prompt.as_slice(), written].concat();
            let tokens: Vec<u32> = pollster::block_on(async {
                engine.truncate(0);
                engine.forward(&text[..text.len() - 1], Logits::None).await.expect("a step");
                engine.begin_choosing(&options, Text { prompt: &prompt, written }, 300, false);
                engine.choose_after(&text[text.len() - 1..]).await.expect("a step");
                engine.choose_next().await.expect("a step");
                [engine.chosen().await.expect("a token").id, engine.chosen().await.expect("a token").id].to_vec()
            });
            engine.stop_choosing();
            assert_ne!(tokens[0], plain[place], "{place}");
            let mut sampler = Sampler::new(options, &prompt, 300);
            written.iter().for_each(|id| sampler.note(*id));
            for (i, token) in tokens.iter().enumerate() {
                engine.truncate(0);
                let before = [text.as_slice(), &tokens[..i]].concat();
                let logits = pollster::block_on(engine.forward(&before, Logits::Last)).expect("logits");
                assert_eq!(sampler.next(&logits), *token, "{place}: {i}");
            }
        }
    }
}
