//! The loop over a fake engine.

mod ends;
mod fake;
pub(crate) mod long;
pub(crate) mod several;

pub(crate) use fake::FakeBackend;

use super::*;
use crate::engine::*;
use crate::error::{ErrorCode, Result};
use crate::sampling::SamplingOptions;
use crate::tokenizer::Tokenizer;
use crate::tokenizer::tests::NEOX_JSON;
use pollster::block_on;
use proptest::prelude::*;

fn ids_only(context: usize) -> Model<FakeBackend> {
    Model::new(FakeBackend::new(64, context), None).expect("model")
}

pub(super) fn with_text(script: &str, prompt_tokens: usize) -> Model<FakeBackend> {
    let tokenizer = Tokenizer::from_json(NEOX_JSON).expect("tokenizer");
    let mut backend = FakeBackend::new(50_304, 100);
    backend.script = Some((prompt_tokens, tokenizer.encode(script).expect("ids")));
    Model::new(backend, Some(tokenizer)).expect("model")
}

pub(super) fn greedy(max_tokens: usize) -> GenerateOptions {
    let sampling = SamplingOptions { temperature: 0.0, logit_bias: vec![(0, -1e3)], ..Default::default() };
    GenerateOptions { max_tokens, sampling, ..Default::default() }
}

pub(super) fn run(
    model: &mut Model<FakeBackend>,
    prompt: &Prompt,
    options: GenerateOptions,
) -> Result<(Vec<Chunk>, Completion)> {
    let mut generation = Generation::start(model, prompt, options, AbortFlag::default())?;
    let mut chunks = Vec::new();
    while let Some(chunk) = block_on(generation.next(model))? {
        chunks.push(chunk);
    }
    let result = generation.result();
    assert_eq!(chunks.iter().map(|c| c.text.as_str()).collect::<String>(), result.text);
    assert_eq!(chunks.iter().map(|c| c.token_id).collect::<Vec<_>>(), result.token_ids);
    assert_eq!(model.backend().tokens, model.backend().tokens[..model.backend().len()]);
    Ok((chunks, result))
}

fn ids(n: u32) -> Prompt {
    Prompt::Ids((0..n).map(|i| i * 7 % 64).collect())
}

#[test]
fn a_long_prompt_is_prefilled_in_steps_and_only_the_last_gives_logits() {
    let mut model = ids_only(50);
    let (_, result) = run(&mut model, &ids(10), greedy(3)).expect("text");
    let calls = &model.backend().calls;
    let last = Logits::Last;
    assert_eq!(*calls, [(4, Logits::None), (4, Logits::None), (2, last), (1, last), (1, last)]);
    assert_eq!(result.finish_reason, FinishReason::Length);
    assert_eq!((result.usage.prompt_tokens, result.usage.completion_tokens), (10, 3));
    assert!(result.usage.time_to_first_token_ms.is_some());
}

#[test]
fn a_common_beginning_is_not_computed_again() {
    let mut model = ids_only(50);
    let (_, first) = run(&mut model, &ids(10), greedy(3)).expect("text");
    let (_, again) = run(&mut model, &ids(10), greedy(3)).expect("text");
    assert_eq!((again.usage.cached_prompt_tokens, &again.token_ids), (9, &first.token_ids));
    // Continuing what was written: the last token was never put into the cache.
    let Prompt::Ids(mut longer) = ids(10) else { unreachable!() };
    longer.extend(&first.token_ids);
    longer.push(5);
    let (_, on) = run(&mut model, &Prompt::Ids(longer.clone()), greedy(3)).expect("text");
    assert_eq!(on.usage.cached_prompt_tokens, 12);
    model.reset();
    let (_, fresh) = run(&mut model, &Prompt::Ids(longer), greedy(3)).expect("text");
    assert_eq!((fresh.usage.cached_prompt_tokens, fresh.token_ids), (0, on.token_ids));
}

#[test]
fn a_full_context_ends_the_text() {
    let (_, result) = run(&mut ids_only(12), &ids(10), greedy(50)).expect("text");
    assert_eq!((result.finish_reason, result.token_ids.len()), (FinishReason::Context, 2));
    let (_, result) = run(&mut ids_only(12), &ids(10), greedy(2)).expect("text");
    assert_eq!(result.finish_reason, FinishReason::Length);
    let e = run(&mut ids_only(12), &ids(12), greedy(2)).expect_err("no room");
    assert_eq!(e.code, ErrorCode::InvalidArgument);
}

#[test]
fn end_of_text_and_stop_strings_are_left_out() {
    let mut model = with_text("One two three<|endoftext|>four", 2);
    let (_, result) =
        run(&mut model, &Prompt::Text("Hello,".into()), GenerateOptions { max_tokens: 9, ..greedy(9) }).expect("text");
    // The script's end of text is suppressed by the bias of `greedy`: take it off.
    assert_ne!(result.finish_reason, FinishReason::Stop);
    let mut options = greedy(9);
    options.sampling.logit_bias.clear();
    let (_, result) = run(&mut model, &Prompt::Text("Hello,".into()), options.clone()).expect("text");
    assert_eq!((result.text.as_str(), result.finish_reason), ("One two three", FinishReason::Stop));
    options.stop = vec!["o th".into(), "zzz".into()];
    let (_, result) = run(&mut model, &Prompt::Text("Hello,".into()), options).expect("text");
    assert_eq!((result.text.as_str(), result.finish_reason), ("One tw", FinishReason::Stop));
    assert_eq!(result.token_ids.len(), 2);
}

#[test]
fn characters_that_span_tokens_come_whole() {
    let text = "naïve 🏳️‍🌈 日本語";
    let mut model = with_text(text, 2);
    let mut options = greedy(60);
    options.sampling.logit_bias.clear();
    let (chunks, result) = run(&mut model, &Prompt::Text("Hello,".into()), options).expect("text");
    assert_eq!(result.text, text);
    assert!(chunks.iter().any(|c| c.text.is_empty()) && chunks.iter().all(|c| !c.text.contains('\u{fffd}')));
}

#[test]
fn logprobs_are_of_the_unmodified_distribution() {
    let mut options = GenerateOptions { logprobs: 2, ..greedy(4) };
    options.sampling.repetition_penalty = 1.7;
    let (chunks, _) = run(&mut ids_only(50), &ids(3), options).expect("text");
    let model = ids_only(50);
    let mut backend = model.backend;
    backend.tokens = (0..3).map(|i| i * 7).collect();
    for chunk in chunks {
        let logits = backend.logits_after(backend.len());
        let sum: f64 = logits.iter().map(|x| f64::from(*x).exp()).sum();
        let want = f64::from(logits[chunk.token_id as usize]) - sum.ln();
        assert!((chunk.logprob.expect("asked for") - want).abs() < 1e-6);
        let top = chunk.top_logprobs.expect("asked for");
        assert!(top.len() == 2 && top[0].logprob >= top[1].logprob);
        backend.tokens.push(chunk.token_id);
    }
}

#[test]
fn bad_prompts() {
    let mut model = ids_only(50);
    for (prompt, code) in [
        (Prompt::Ids(vec![]), ErrorCode::InvalidArgument),
        (Prompt::Ids(vec![64]), ErrorCode::InvalidArgument),
        (Prompt::Ids(vec![1; 5000]), ErrorCode::InvalidArgument),
        (Prompt::Text("hello".into()), ErrorCode::InvalidConfig),
    ] {
        assert_eq!(run(&mut model, &prompt, greedy(1)).expect_err("bad").code, code, "{prompt:?}");
    }
    // "" is end-of-text, which needs no tokenizer.
    assert_eq!(run(&mut model, &Prompt::Text(String::new()), greedy(1)).expect("text").1.usage.prompt_tokens, 1);
    for options in [
        GenerateOptions { max_tokens: 0, ..greedy(1) },
        GenerateOptions { logprobs: 21, ..greedy(1) },
        GenerateOptions { stop: vec![String::new()], ..greedy(1) },
    ] {
        assert_eq!(run(&mut model, &ids(2), options).expect_err("bad").code, ErrorCode::InvalidArgument);
    }
    let stop = GenerateOptions { stop: vec!["x".into()], ..greedy(1) };
    assert_eq!(run(&mut model, &ids(2), stop).expect_err("no tokenizer").code, ErrorCode::InvalidConfig);
    let small = Model::new(FakeBackend::new(64, 9), Tokenizer::from_json(NEOX_JSON).ok());
    assert_eq!(small.err().expect("too many ids").code, ErrorCode::InvalidConfig);
}

#[test]
fn an_abort_or_a_failure_at_any_call_leaves_a_usable_model() {
    let want = run(&mut ids_only(50), &ids(10), greedy(5)).expect("text").1;
    for call in 0..7usize {
        let mut model = ids_only(50);
        let flag = AbortFlag::default();
        model.backend.abort_at = Some((call, flag.clone()));
        let mut generation = Generation::start(&model, &ids(10), greedy(5), flag.clone()).expect("start");
        while block_on(generation.next(&mut model)).expect("an abort is no error").is_some() {}
        let result = generation.result();
        assert_eq!(result.finish_reason, FinishReason::Abort, "call {call}");
        assert_eq!(result.token_ids, want.token_ids[..call.saturating_sub(2)], "call {call}");
        flag.clear();
        assert_eq!(run(&mut model, &ids(10), greedy(5)).expect("text").1.token_ids, want.token_ids);

        let mut model = ids_only(50);
        model.backend.fail_at = Some(call);
        let e = run(&mut model, &ids(10), greedy(5)).expect_err("the engine's error");
        assert_eq!(e.code, ErrorCode::DeviceLost);
        assert_eq!(run(&mut model, &ids(10), greedy(5)).expect("text").1.token_ids, want.token_ids);
    }
}

fn scores(model: &mut Model<FakeBackend>, items: &[(Vec<u32>, Vec<u32>)]) -> Result<Vec<Score>> {
    let items: Vec<_> = items
        .iter()
        .map(|(c, t)| ScoreItem { context: Prompt::Ids(c.clone()), text: Prompt::Ids(t.clone()) })
        .collect();
    block_on(model.score(&items, &AbortFlag::default()))
}

#[test]
fn score_limits() {
    let mut model = ids_only(12);
    let one = scores(&mut model, &[(vec![], vec![5])]).expect("score");
    assert_eq!((one[0].logprobs.as_slice(), one[0].perplexity), ([None].as_slice(), None));
    assert!(scores(&mut model, &[(vec![1; 6], vec![2; 6])]).is_ok(), "exactly the context");
    for bad in [(vec![1; 6], vec![2; 7]), (vec![], vec![]), (vec![], vec![64]), (vec![99], vec![1])] {
        assert_eq!(scores(&mut model, &[bad]).expect_err("bad").code, ErrorCode::InvalidArgument);
    }
}

#[test]
fn what_items_begin_with_alike_is_computed_once() {
    let mut model = ids_only(20);
    let (a, b): (Vec<u32>, Vec<u32>) = ((1..=6).collect(), vec![9, 8, 7]);
    let items =
        [(a.clone(), vec![10, 11]), (b.clone(), vec![1]), (a.clone(), vec![20]), (b, vec![2, 3]), (a, vec![10, 12])];
    scores(&mut model, &items).expect("scores");
    let (steps, tokens) = (model.backend.calls.len(), model.backend.calls.iter().map(|(n, _)| n).sum::<usize>());
    // Each context once, but for its last token, which every first token of a text is scored after.
    let of_a = 5 + 2 + 2 + 1;
    let of_b = 2 + 1 + 2;
    assert_eq!((steps, tokens), (6, of_a + of_b), "{:?}", model.backend.calls);
}

#[test]
fn short_items_are_scored_together() {
    let mut model = ids_only(300);
    model.backend.together = 20;
    let long: Vec<u32> = (0..140).map(|i| i % 60).collect();
    let items = [
        (vec![1, 2, 3], vec![4, 5, 6, 7, 8, 9]),
        (vec![], vec![11; 9]),
        (vec![12; 9], vec![13]),
        // Nothing is computed for a first token without a context.
        (vec![], vec![20]),
        (long.clone(), vec![1]),
        (long, vec![2]),
    ];
    scores(&mut model, &items).expect("scores");
    // Those with a long common beginning take what the cache holds; the rest is too long for one step.
    assert_eq!(model.backend.texts, [2]);
    let tokens: usize = model.backend.calls.iter().map(|(n, _)| n).sum();
    assert_eq!(tokens, 140 + 1 + 9, "{:?}", model.backend.calls);
}

proptest! {
    #[test]
    fn scores_do_not_depend_on_what_was_cached(
        most_together in 0usize..21,
        items in prop::collection::vec((prop::collection::vec(0u32..3, 0..9), prop::collection::vec(0u32..3, 1..9)), 1..6),
    ) {
        let mut model = ids_only(20);
        model.backend.together = most_together;
        let together = scores(&mut model, &items).expect("scores");
        for (item, score) in items.iter().zip(together) {
            let alone = scores(&mut ids_only(20), std::slice::from_ref(item)).expect("score");
            prop_assert_eq!(&alone[0], &score);
            let mut backend = FakeBackend::new(64, 20);
            backend.tokens = [item.0.clone(), item.1.clone()].concat();
            for (i, id) in item.1.iter().enumerate() {
                let want = (item.0.len() + i > 0).then(|| {
                    let logits = backend.logits_after(item.0.len() + i);
                    f64::from(logits[*id as usize]) - logits.iter().map(|x| f64::from(*x).exp()).sum::<f64>().ln()
                });
                let got = score.logprobs[i];
                prop_assert!(got.is_some() == want.is_some() && (got.unwrap_or(0.0) - want.unwrap_or(0.0)).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn prefix_reuse_never_changes_the_text(
        prompts in prop::collection::vec(prop::collection::vec(0u32..3, 1..12), 1..6), seed in 0u64..1000,
    ) {
        let mut model = ids_only(40);
        for prompt in prompts {
            let mut options = greedy(6);
            options.sampling = SamplingOptions { seed, ..Default::default() };
            let kept = run(&mut model, &Prompt::Ids(prompt.clone()), options.clone()).expect("text").1;
            let fresh = run(&mut ids_only(40), &Prompt::Ids(prompt), options).expect("text").1;
            prop_assert_eq!((kept.token_ids, kept.finish_reason), (fresh.token_ids, fresh.finish_reason));
        }
    }
}

#[test]
fn steps_made_ahead_change_nothing_but_their_number() {
    for (script, stop) in
        [("the quick brown fox jumps over the lazy dog", "lazy"), ("a b c d e f g h i j", "none of it")]
    {
        let mut results = Vec::new();
        for ahead in [1, 2, 7, 40] {
            let mut model = with_text(script, 2);
            model.backend.ahead = ahead;
            let options = GenerateOptions { stop: vec![stop.into()], ..greedy(30) };
            let (chunks, result) = run(&mut model, &Prompt::Ids(vec![5, 6]), options).expect("text");
            results.push((chunks, result.text, result.token_ids, result.finish_reason));
        }
        let first = results.remove(0);
        assert!(results.iter().all(|r| *r == first), "{script}");
    }
}

/// A reader that aborts after `taken` chunks, of a writer that is `written` chunks further or at the end.
fn aborted_after(
    model: &mut Model<FakeBackend>,
    options: &GenerateOptions,
    taken: usize,
    written: usize,
) -> (Vec<Chunk>, Completion) {
    let flag = AbortFlag::default();
    let prompt = Prompt::Ids(vec![1, 2, 3]);
    let mut generation = Generation::start(model, &prompt, options.clone(), flag.clone()).expect("start");
    let mut chunks = Vec::new();
    for _ in 0..taken + written {
        chunks.extend(block_on(generation.next(model)).expect("next"));
    }
    flag.set();
    if written > 0 {
        generation.rewind(model, taken);
        chunks.truncate(generation.result().token_ids.len());
    }
    while let Some(chunk) = block_on(generation.next(model)).expect("next") {
        chunks.push(chunk);
    }
    let mut result = generation.result();
    result.usage.time_to_first_token_ms = None;
    result.usage.prefill_tokens_per_second = None;
    result.usage.decode_tokens_per_second = None;
    (chunks, result)
}

#[test]
fn a_writer_that_was_ahead_leaves_what_its_reader_saw() {
    for stop in [vec![], vec!["two thrxx".to_owned()], vec![" three".to_owned()]] {
        let fresh = || with_text("One two three four five six", 3);
        let (mut one, mut other) = (fresh(), fresh());
        for taken in 1..=6 {
            for written in 1..=6 {
                let options = GenerateOptions { stop: stop.clone(), ..greedy(6) };
                one.reset();
                other.reset();
                let direct = aborted_after(&mut one, &options, taken, 0);
                if direct.0.len() < taken {
                    continue; // a reader who has seen the end aborts nothing
                }
                let rewound = aborted_after(&mut other, &options, taken, written);
                assert_eq!(direct, rewound, "{stop:?} {taken} {written}");
                assert!(other.backend.tokens.len().abs_diff(one.backend.tokens.len()) <= 1);
                assert!(other.backend.tokens.len() <= 3 + rewound.1.token_ids.len() + 3, "held back tokens at most");
            }
        }
    }
    // Before the first chunk.
    let mut model = with_text("One two three", 3);
    let (chunks, result) = aborted_after(&mut model, &greedy(3), 0, 2);
    assert_eq!((chunks.len(), result.text.as_str(), result.finish_reason), (0, "", FinishReason::Abort));
    assert_eq!(model.backend.tokens, [1, 2, 3]);
}
