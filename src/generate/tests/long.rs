//! Texts that are longer than the context.

use super::*;
use crate::sampling::Sampler;

fn sliding(max_tokens: usize, keep: usize, seed: u64) -> GenerateOptions {
    let sampling = SamplingOptions {
        temperature: 1.0,
        frequency_penalty: 0.02,
        repetition_penalty: 1.1,
        logit_bias: vec![(0, -1e3)], // no end of text
        seed,
        ..Default::default()
    };
    GenerateOptions { max_tokens, sampling, overflow: Overflow::Slide, keep, ..Default::default() }
}

/// Writes a story of `tokens` tokens. After each slide the context is what it has to be, and another engine that reads
/// just that would choose the same token next.
pub(crate) fn check_story<B: Backend>(model: &mut Model<B>, another: &mut Model<B>, tokens: usize) -> Completion {
    let (context, keep, prompt) = (model.backend().context_length(), 5, vec![3, 1, 4, 1, 5, 9, 2, 6]);
    let options = sliding(tokens, keep, 7);
    let mut sampler = Sampler::new(options.sampling.clone(), &prompt, model.real_ids());
    let mut generation =
        Generation::start(model, &Prompt::Ids(prompt.clone()), options, AbortFlag::default()).expect("start");
    let (mut text, mut slides) = (prompt.clone(), 0);
    while let Some(chunk) = block_on(generation.next(model)).expect("a step") {
        let result = generation.result().usage.slides;
        if result > slides {
            slides += 1;
            assert_eq!(result, slides);
            let newest = context / 2 - keep;
            let window = [&text[..keep], &text[text.len() - newest..]].concat();
            // Steps may be ahead, but only known tokens are reported.
            let (seen, told) = model.context().split_at(window.len());
            assert_eq!(seen, window, "after slide {slides}");
            assert!(told.is_empty() || told == [chunk.token_id], "after slide {slides}: {told:?}");
            another.reset();
            let logits = block_on(another.logits(&window, &AbortFlag::default())).expect("logits");
            assert_eq!(sampler.would_choose(&logits), chunk.token_id, "after slide {slides}");
        }
        sampler.note(chunk.token_id);
        text.push(chunk.token_id);
    }
    let result = generation.result();
    assert_eq!((result.token_ids.len(), result.finish_reason), (tokens, FinishReason::Length));
    assert_eq!(text[prompt.len()..], result.token_ids);
    let (first, each) = (context - prompt.len(), context - context / 2);
    assert_eq!(slides, (tokens - first - 1) / each + 1, "so many that each is made as late as can be");
    assert_eq!(result.usage.dropped_prompt_tokens, prompt.len() - keep);
    result
}

/// The definition: the next token is drawn after what is in the context, and all of the text is counted.
fn by_definition(prompt: &[u32], options: &GenerateOptions, context: usize) -> (Vec<u32>, usize, usize) {
    let mut backend = FakeBackend::new(64, context);
    let mut sampler = Sampler::new(options.sampling.clone(), prompt, 64);
    let (mut text, mut dropped, mut slides) = (prompt.to_vec(), 0, 0);
    for _ in 0..options.max_tokens {
        if text.len() - dropped == context || text.len() >= context && slides == 0 {
            (dropped, slides) = (text.len() - context / 2, slides + 1);
        }
        backend.tokens = text.clone();
        backend.tokens.drain(options.keep..options.keep + dropped);
        text.push(sampler.next(&backend.logits_after(backend.tokens.len())));
    }
    let gone = dropped.min(prompt.len().saturating_sub(options.keep));
    (text.split_off(prompt.len()), slides, gone)
}

proptest! {
    #[test]
    fn a_text_that_slides_is_what_its_definition_says(
        prompt in prop::collection::vec(0u32..64, 4..40), context in 16usize..30, keep in 0usize..4, seed in 0u64..1000,
        ahead in 1usize..7, logprobs in 0usize..2,
    ) {
        let mut model = ids_only(context);
        model.backend.ahead = ahead;
        let options = GenerateOptions { logprobs, ..sliding(70, keep, seed) };
        let (_, result) = run(&mut model, &Prompt::Ids(prompt.clone()), options.clone()).expect("text");
        let (tokens, slides, dropped) = by_definition(&prompt, &options, context);
        prop_assert_eq!(&result.token_ids, &tokens);
        let usage = &result.usage;
        prop_assert_eq!((usage.prompt_tokens, usage.slides, usage.dropped_prompt_tokens), (prompt.len(), slides, dropped));
        prop_assert_eq!(result.finish_reason, FinishReason::Length);
        // What the model saw last ends as the text does, but for the token drawn last.
        let text = [prompt.as_slice(), &tokens].concat();
        prop_assert!(text[..text.len() - 1].ends_with(&model.context()[keep..]), "{:?}", model.context());
        prop_assert_eq!(model.context(), &model.backend.tokens[..]);
        // Again, from what is cached now.
        let (_, again) = run(&mut model, &Prompt::Ids(prompt), options).expect("text");
        prop_assert_eq!(again.token_ids, tokens);
    }
}

#[test]
fn stop_strings_and_characters_span_a_slide() {
    let script = "One two three four five six seven eight nine ten, é 🏳️‍🌈 and no end";
    let ids = with_text(script, 2).tokenizer().and_then(|t| t.encode(script)).expect("ids");
    let whole = |stop: &str| {
        let at = script.find(stop).unwrap_or(script.len());
        script[..at].to_owned()
    };
    for (stop, reason) in [("seven eight", FinishReason::Stop), ("never", FinishReason::Length)] {
        // The slide happens at every place of the text once.
        for context in 8..30 {
            let mut model = with_text(script, 2);
            model.backend.context = context;
            // The script goes by the text's length, which the context does not show.
            model.backend.script = Some((2, ids.clone()));
            model.backend.follows_text = true;
            let options = GenerateOptions { stop: vec![stop.into()], overflow: Overflow::Slide, ..greedy(ids.len()) };
            let (_, result) = run(&mut model, &Prompt::Ids(vec![5, 6]), options).expect("text");
            assert_eq!((result.text, result.finish_reason), (whole(stop), reason), "context {context}");
        }
    }
}

#[test]
fn a_reader_that_left_before_a_slide_sees_nothing_of_it() {
    for taken in 0..40 {
        let mut model = ids_only(16);
        let options = sliding(60, 3, 5);
        let prompt = Prompt::Ids(vec![1, 2, 3, 4]);
        let mut generation = Generation::start(&model, &prompt, options.clone(), AbortFlag::default()).expect("start");
        for _ in 0..taken + 14 {
            block_on(generation.next(&mut model)).expect("a step");
        }
        generation.rewind(&mut model, taken);
        assert!(block_on(generation.next(&mut model)).expect("the end").is_none());
        let result = generation.result();
        let (tokens, ..) = by_definition(&[1, 2, 3, 4], &options, 16);
        assert_eq!((&result.token_ids[..], result.finish_reason), (&tokens[..taken], FinishReason::Abort));
        // The token that a slide was for came after it.
        assert_eq!(result.usage.slides, if taken < 13 { 0 } else { 1 + (taken - 13) / 8 }, "{taken}");
        // What is left is what was read, and can be reused by what comes next.
        let text = [&[1, 2, 3, 4], &tokens[..taken]].concat();
        assert_eq!(model.context()[..3.min(model.context().len())], text[..3]);
        assert!(text.ends_with(&model.context()[3..]) || model.context().len() == 3, "{taken}");
        let (_, next) = run(&mut model, &prompt, options.clone()).expect("text");
        assert_eq!(next.token_ids, tokens[..60]);
    }
}

#[test]
fn an_abort_while_the_context_slides_leaves_a_usable_model() {
    let options = sliding(40, 2, 3);
    let want = run(&mut ids_only(20), &ids(10), options.clone()).expect("text").1.token_ids;
    for call in 0..24 {
        let (mut model, flag) = (ids_only(20), AbortFlag::default());
        model.backend.abort_at = Some((call, flag.clone()));
        let mut generation = Generation::start(&model, &ids(10), options.clone(), flag.clone()).expect("start");
        while block_on(generation.next(&mut model)).expect("an abort is no error").is_some() {}
        let result = generation.result();
        assert_eq!(
            (result.finish_reason, &result.token_ids[..]),
            (FinishReason::Abort, &want[..result.token_ids.len()])
        );
        assert_eq!(model.context(), &model.backend.tokens[..], "call {call}");
        assert_eq!(run(&mut model, &ids(10), options.clone()).expect("text").1.token_ids, want, "call {call}");
    }
}

#[test]
fn keep_is_below_a_quarter_of_the_context_and_no_prompt_is_too_long() {
    let mut model = ids_only(40);
    let e = run(&mut model, &ids(3), sliding(3, 10, 0)).expect_err("too much is kept");
    assert!(e.code == ErrorCode::InvalidArgument && e.message.starts_with("keep is 10"), "{e}");
    let (_, result) = run(&mut model, &ids(500), sliding(3, 9, 0)).expect("text");
    assert_eq!((result.usage.prompt_tokens, result.usage.dropped_prompt_tokens, result.usage.slides), (500, 480, 1));
    let e = run(&mut model, &ids(500), greedy(3)).expect_err("no room");
    assert!(e.to_string().contains("overflow"), "{e}");
}
