//! A space at the end of a text prompt: what every engine must do about it, and what the loop makes of it.

use super::tests::{FakeBackend, greedy, run, with_text};
use super::*;
use crate::config::{ModelConfig, PartialConfig};
use crate::engine::*;
use crate::error::Result;
use crate::sampling::{Sampler, SamplingOptions};
use crate::tokenizer::Tokenizer;
use crate::tokenizer::tests::NEOX_JSON;
use pollster::block_on;

/// A prompt, which the tests give with a space at its end.
const TEXT: &str = "The old man looked at the sea and";

/// A small shape with the published models' vocabulary.
pub(crate) fn config() -> ModelConfig {
    let json = r#"{"num_layers":1,"hidden_size":32,"num_attention_heads":1,"qkv_slot_num":32,"proj_slot_num":32,
        "ffn_slot_num":64,"padded_vocab_size":50304,"max_position_embeddings":64}"#;
    PartialConfig::from_json(json.as_bytes()).and_then(PartialConfig::finish).expect("config")
}

/// An engine with the published models' tokenizer.
pub(crate) fn with_tokenizer<B: Backend>(engine: B) -> Model<B> {
    Model::new(engine, Some(Tokenizer::from_json(NEOX_JSON).expect("tokenizer"))).expect("model")
}

fn encode<B: Backend>(model: &Model<B>, text: &str) -> Vec<u32> {
    model.tokenizer().and_then(|t| t.encode(text)).expect("ids")
}

/// The first token's distribution after [`TEXT`] and a space, as it must be: that after [`TEXT`], restricted to tokens that
/// begin with a space and renormalized; 0 for the others.
pub(crate) fn wanted_distribution<B: Backend>(model: &mut Model<B>, temperature: f32) -> Vec<f64> {
    let logits = restricted_logits(model).expect("logits");
    let weights: Vec<f64> = logits.iter().map(|x| (f64::from(*x) / f64::from(temperature)).exp()).collect();
    let sum: f64 = weights.iter().sum();
    weights.into_iter().map(|w| w / sum).collect()
}

/// Logits after [`TEXT`], −∞ for tokens that do not begin with a space.
fn restricted_logits<B: Backend>(model: &mut Model<B>) -> Result<Vec<f32>> {
    let ids = encode(model, TEXT);
    let mut logits = block_on(model.logits(&ids, &AbortFlag::default()))?;
    for (id, x) in (0..).zip(&mut logits) {
        if !model.token_bytes(id).starts_with(b" ") {
            *x = f32::NEG_INFINITY;
        }
    }
    Ok(logits)
}

/// Writes after [`TEXT`] and a space.
pub(crate) fn write<B: Backend>(model: &mut Model<B>, sampling: &SamplingOptions, logprobs: usize) -> Vec<Chunk> {
    let options = GenerateOptions { max_tokens: 1, sampling: sampling.clone(), logprobs, ..Default::default() };
    let prompt = Prompt::Text(format!("{TEXT} "));
    let mut generation = Generation::start(model, &prompt, options, AbortFlag::default()).expect("start");
    let mut chunks = Vec::new();
    while let Some(chunk) = block_on(generation.next(model)).expect("a step") {
        chunks.push(chunk);
    }
    assert_eq!(generation.result().usage.prompt_tokens, encode(model, TEXT).len());
    chunks
}

/// Checks an engine: the tokens that it draws are those that the host's sampler draws from the restricted logits, with
/// every sampler, and log-probabilities are those of the unmodified distribution.
pub(crate) fn check<B: Backend>(model: &mut Model<B>) {
    let restricted = restricted_logits(model).expect("logits");
    let ids = encode(model, TEXT);
    let logits = block_on(model.logits(&ids, &AbortFlag::default())).expect("logits");
    let (mut draws, mut differing) = (0, 0);
    for seed in 0..5 {
        let plain = SamplingOptions { temperature: 1.0, top_p: 1.0, seed, ..Default::default() };
        for sampling in [
            plain.clone(),
            SamplingOptions { temperature: 0.0, ..plain.clone() },
            SamplingOptions { top_k: 40, top_p: 0.7, min_p: 0.01, ..plain.clone() },
            SamplingOptions { top_k: 50_000, repetition_penalty: 1.3, ..plain },
        ] {
            let logprobs = if seed % 2 == 0 { 0 } else { 3 };
            let [Chunk { text, token_id, logprob, top_logprobs }] = &write(model, &sampling, logprobs)[..] else {
                panic!("one chunk")
            };
            draws += 1;
            differing +=
                u32::from(Sampler::new(sampling, &ids, model.real_ids()).would_choose(&restricted) != *token_id);
            let bytes = model.token_bytes(*token_id);
            assert_eq!((bytes[0], text.as_bytes()), (b' ', String::from_utf8_lossy(&bytes[1..]).as_bytes()));
            assert_eq!(logprob.is_some(), logprobs > 0);
            if let (Some(logprob), Some(top)) = (logprob, top_logprobs) {
                let p = crate::sampling::LogProbs::new(&logits);
                assert!((logprob - p.of(*token_id)).abs() < 1e-5);
                let best: Vec<u32> = p.top(3, model.real_ids()).iter().map(|t| t.token_id).collect();
                assert_eq!(top.iter().map(|t| t.token_id).collect::<Vec<_>>(), best);
            }
        }
    }
    // A GPU rounds logarithms differently: once in a while two tokens are equally good.
    assert!(differing <= 1, "{differing} of {draws} tokens are others");
}

#[test]
fn the_space_is_left_to_the_first_token_and_not_written_again() {
    let complete = |script: &str, prompt: &str, tokens: usize, change: &dyn Fn(&mut GenerateOptions)| {
        let mut options = greedy(3);
        change(&mut options);
        run(&mut with_text(script, tokens), &Prompt::Text(prompt.into()), options).expect("text")
    };
    let (chunks, result) = complete(" two three four", "One ", 1, &|_| ());
    assert_eq!((result.text.as_str(), result.usage.prompt_tokens), ("two three four", 1));
    assert_eq!(chunks[0].text, "two");
    assert_eq!(with_text("", 1).decode(&result.token_ids).expect("text"), " two three four");
    // A model that wants another token there gets one with a space.
    let (_, result) = complete("ices two three", "One ", 1, &|_| ());
    assert!(with_text("", 1).decode(&result.token_ids).expect("text").starts_with(' '));
    assert!(result.text.ends_with(" two three") && !result.text.starts_with("ices"), "{:?}", result.text);
    // Stop strings are looked for in the text.
    let stop = |stop: &'static str| move |options: &mut GenerateOptions| options.stop = vec![stop.into()];
    let (_, result) = complete(" two three four", "One ", 1, &stop("two"));
    assert_eq!((result.text.as_str(), result.finish_reason), ("", FinishReason::Stop));
    // Without it, for a prompt of ids, and where there is no space at the end, everything is as it was.
    let (_, result) = complete(" two three four", "One ", 2, &|options| options.heal = false);
    assert_eq!((result.text.as_str(), result.usage.prompt_tokens), (" two three four", 2));
    let ids = encode(&with_text("", 1), "One ");
    let (_, result) = run(&mut with_text(" two three four", 2), &Prompt::Ids(ids), greedy(3)).expect("text");
    assert_eq!((result.text.as_str(), result.usage.prompt_tokens), (" two three four", 2));
    let (_, result) = complete(" two three four", "One", 1, &|_| ());
    assert_eq!(result.text, " two three four");
    let (_, result) = complete(" two three four", "One\n", 2, &|_| ());
    assert_eq!(result.text, " two three four");
}

#[test]
fn one_space_is_left_off_even_of_a_prompt_of_nothing_else() {
    for (prompt, tokens) in [(" ", 1), ("  ", 1), ("One  ", 2)] {
        let (_, result) =
            run(&mut with_text(" two three four", tokens), &Prompt::Text(prompt.into()), greedy(3)).expect("text");
        assert_eq!((result.text.as_str(), result.usage.prompt_tokens), ("two three four", tokens), "{prompt:?}");
    }
    // Without a tokenizer there is no text to heal.
    let mut model = Model::new(FakeBackend::new(64, 50), None).expect("model");
    let e = run(&mut model, &Prompt::Text("One ".into()), greedy(1)).expect_err("no tokenizer");
    assert_eq!(e.code, crate::error::ErrorCode::InvalidConfig);
}

#[test]
fn a_healed_text_that_is_taken_back_is_what_its_reader_saw() {
    for taken in 0..4 {
        let mut model = with_text(" two three four five", 1);
        let prompt = Prompt::Text("One ".into());
        let mut generation = Generation::start(&model, &prompt, greedy(4), AbortFlag::default()).expect("start");
        let mut texts = Vec::new();
        while let Some(chunk) = block_on(generation.next(&mut model)).expect("a step") {
            texts.push(chunk.text);
            if texts.len() == 3 {
                break;
            }
        }
        generation.rewind(&mut model, taken);
        while block_on(generation.next(&mut model)).expect("the end").is_some() {}
        assert_eq!(generation.result().text, texts[..taken.min(3)].concat());
    }
}
