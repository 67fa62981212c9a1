//! Several completions at once: each is the same as it is alone.

use super::*;
use crate::sampling::Sampler;

/// Writes several texts, from prompts that are alike and from others, and compares each token with the logits that the
/// same engine gives when it reads the text as a prompt: between two tokens that are equally good (within 1e-3) it may
/// choose either. Most texts are exactly the same as alone.
pub(crate) fn check_several<B: Backend>(model: &mut Model<B>, tokens: usize) {
    let vocab = model.real_ids() as u32;
    let common: Vec<u32> = (0..23).map(|i| i * 37 % vocab).collect();
    for (ends, logprobs) in
        [([&[5u32] as &[u32]; 6], 0), ([&[5, 6, 7], &[5], &[9, 8, 7, 6, 5, 4], &[5], &[1, 2], &[3]], 2)]
    {
        let sampling = SamplingOptions {
            temperature: 0.9,
            top_p: 0.9,
            frequency_penalty: 0.3,
            logit_bias: vec![(0, -1e4)], // no end of text
            ..Default::default()
        };
        let options = GenerateOptions { max_tokens: tokens, sampling, logprobs, ..Default::default() };
        let prompts: Vec<(Prompt, u64)> =
            ends.iter().zip(40..).map(|(end, seed)| (Prompt::Ids([&common, *end].concat()), seed)).collect();
        let abort = AbortFlag::default();
        let mut several = Several::start(model, &prompts, &options, abort.clone()).expect("start");
        let mut chunks = vec![Vec::new(); prompts.len()];
        while let Some((index, chunk)) = block_on(several.next(model)).expect("a step") {
            chunks[index].push(chunk);
        }
        let mut same = 0;
        for (((prompt, seed), result), chunks) in prompts.iter().zip(several.results()).zip(chunks) {
            let mut options = options.clone();
            options.sampling.seed = *seed;
            let mut alone = Generation::start(model, prompt, options.clone(), abort.clone()).expect("start");
            let mut want = Vec::new();
            while let Some(chunk) = block_on(alone.next(model)).expect("a step") {
                want.push(chunk);
            }
            assert_eq!((result.token_ids.len(), result.finish_reason), (tokens, FinishReason::Length));
            same += usize::from(alone.result().token_ids == result.token_ids);
            let Prompt::Ids(prompt) = prompt else { unreachable!() };
            let mut sampler = Sampler::new(options.sampling, prompt, vocab as usize);
            for (at, chunk) in chunks.iter().enumerate() {
                let text = [prompt.as_slice(), &result.token_ids[..at]].concat();
                let logits = block_on(model.logits(&text, &abort)).expect("logits");
                let margin = sampler.margin(&logits, chunk.token_id);
                assert!(margin < 1e-3, "seed {seed}, token {at}: {margin} worse than the best");
                sampler.note(chunk.token_id);
                let logprob = crate::sampling::LogProbs::new(&logits).of(chunk.token_id);
                assert!(chunk.logprob.is_none_or(|got| (got - logprob).abs() < 2e-3), "{:?} {logprob}", chunk.logprob);
                assert_eq!(chunk.logprob.is_some(), logprobs > 0);
            }
        }
        assert!(same >= 5, "{same} of 6 texts are what they are alone");
    }
}

fn options(max_tokens: usize) -> GenerateOptions {
    let sampling = SamplingOptions { temperature: 1.0, frequency_penalty: 0.1, ..Default::default() };
    GenerateOptions { max_tokens, sampling, ..Default::default() }
}

/// All chunks and results; the candidate `aborted.0` is aborted once it has given `aborted.1` chunks.
fn run_several(
    model: &mut Model<FakeBackend>,
    prompts: &[(Prompt, u64)],
    options: &GenerateOptions,
    aborted: Option<(usize, usize)>,
) -> (Vec<Vec<Chunk>>, Vec<Completion>) {
    let mut several = Several::start(model, prompts, options, AbortFlag::default()).expect("start");
    let mut chunks = vec![Vec::new(); prompts.len()];
    let abort = |chunks: &[Vec<Chunk>], several: &Several| {
        if let Some((index, after)) = aborted
            && chunks[index].len() == after
        {
            several.aborts()[index].set();
        }
    };
    abort(&chunks, &several);
    while let Some((index, chunk)) = block_on(several.next(model)).expect("a step") {
        chunks[index].push(chunk);
        abort(&chunks, &several);
    }
    let results = several.results();
    for (chunks, result) in chunks.iter().zip(&results) {
        assert_eq!(chunks.iter().map(|c| c.token_id).collect::<Vec<_>>(), result.token_ids);
        assert_eq!(chunks.iter().map(|c| c.text.as_str()).collect::<String>(), result.text);
    }
    assert!(model.backend().tails.is_empty() && model.backend().rows.is_none(), "nothing is left behind");
    assert!(model.context().iter().eq(&model.backend().tokens));
    (chunks, results)
}

fn alone(prompt: &(Prompt, u64), options: &GenerateOptions, context: usize) -> (Vec<Chunk>, Completion) {
    let mut options = options.clone();
    options.sampling.seed = prompt.1;
    run(&mut ids_only(context), &prompt.0, options).expect("text")
}

proptest! {
    #[test]
    fn each_is_what_it_is_alone(
        common in prop::collection::vec(0u32..64, 1..20),
        // An end of the prompt of its own, and a seed.
        candidates in prop::collection::vec((prop::collection::vec(0u32..64, 0..6), 0u64..1000), 1..20),
        is_one_prompt in any::<bool>(), max_tokens in 1usize..120, context in 40usize..160, ahead in 1usize..7,
        logprobs in 0usize..2, slides in any::<bool>(), keep in 0usize..4, min_tokens in 0u32..30,
    ) {
        let prompts: Vec<(Prompt, u64)> = candidates
            .iter()
            .map(|(own, seed)| (Prompt::Ids([&common, if is_one_prompt { &candidates[0].0 } else { own }].into_iter().flatten().copied().collect()), *seed))
            .collect();
        let mut options = GenerateOptions { logprobs, keep, ..options(max_tokens) };
        options.sampling.min_tokens = min_tokens.min(max_tokens as u32);
        if slides {
            options.overflow = Overflow::Slide;
        }
        let mut model = ids_only(context);
        model.backend.ahead = ahead;
        let (chunks, results) = run_several(&mut model, &prompts, &options, None);
        for ((prompt, chunks), result) in prompts.iter().zip(chunks).zip(results) {
            let (want_chunks, want) = alone(prompt, &options, context);
            prop_assert_eq!(chunks, want_chunks);
            prop_assert_eq!((result.token_ids, result.finish_reason, result.seed), (want.token_ids, want.finish_reason, want.seed));
            let (got, want) = (result.usage, want.usage);
            prop_assert_eq!((got.prompt_tokens, got.completion_tokens, got.slides), (want.prompt_tokens, want.completion_tokens, want.slides));
        }
    }

    #[test]
    fn one_can_be_aborted_while_the_others_go_on(n in 2usize..12, index in 0usize..12, after in 0usize..30, ahead in 1usize..7) {
        let index = index % n;
        let prompts: Vec<_> = (0..n as u64).map(|seed| (ids(9), seed)).collect();
        let mut options = options(30);
        options.sampling.min_tokens = 30;
        let mut model = ids_only(100);
        model.backend.ahead = ahead;
        let (_, results) = run_several(&mut model, &prompts, &options, Some((index, after)));
        for (i, (prompt, result)) in prompts.iter().zip(results).enumerate() {
            let (_, want) = alone(prompt, &options, 100);
            if i == index {
                prop_assert!(result.token_ids.len() >= after && want.token_ids.starts_with(&result.token_ids));
                prop_assert_eq!(result.finish_reason == FinishReason::Abort, result.token_ids.len() < 30);
            } else {
                prop_assert_eq!((result.token_ids, result.finish_reason), (want.token_ids, FinishReason::Length));
            }
        }
    }
}

#[test]
fn a_step_is_one_for_all_and_the_prompt_is_read_once() {
    let mut model = ids_only(100);
    let prompts: Vec<_> = (0..8).map(|seed| (ids(14), seed)).collect();
    let mut options = options(20);
    options.sampling.min_tokens = 20;
    let (_, results) = run_several(&mut model, &prompts, &options, None);
    // All but the prompt's last token, in chunks of four, and nothing else.
    assert_eq!(model.backend().calls.iter().map(|(ids, _)| ids).sum::<usize>(), 13);
    assert_eq!(model.backend().steps, 20);
    assert!(results.iter().all(|result| result.usage.cached_prompt_tokens == 0));
    // Again: it is in the cache.
    let (_, results) = run_several(&mut model, &prompts, &options, None);
    assert_eq!(model.backend().calls.len(), 4);
    assert!(results.iter().all(|result| result.usage.cached_prompt_tokens == 13));
}

#[test]
fn a_phrase_is_taken_back_in_one_and_the_others_go_on() {
    let prompts: Vec<_> = (0..3).map(|seed| (Prompt::Text("Hello,".into()), seed)).collect();
    let write = |banned: &[&str]| {
        let mut model = with_text("One two three four five", 2);
        let mut options = greedy(9);
        options.banned = banned.iter().map(ToString::to_string).collect();
        let (_, several) = run_several(&mut model, &prompts, &options, None);
        let (_, alone) = run(&mut with_text("One two three four five", 2), &prompts[0].0, options).expect("text");
        assert!(several.iter().all(|result| (&result.text, &result.token_ids) == (&alone.text, &alone.token_ids)));
        alone.text
    };
    assert!(write(&[]).contains(" three") && !write(&["THREE four"]).contains(" three four"));
}

#[test]
fn an_abort_of_all_keeps_what_was_written() {
    let mut model = ids_only(100);
    let prompts: Vec<_> = (0..3).map(|seed| (ids(9), seed)).collect();
    let mut options = options(50);
    options.sampling.min_tokens = 50;
    let abort = AbortFlag::default();
    let mut several = Several::start(&model, &prompts, &options, abort.clone()).expect("start");
    let mut count = 0;
    while let Some(_chunk) = block_on(several.next(&mut model)).expect("a step") {
        count += 1;
        if count == 10 {
            abort.set();
        }
    }
    let results = several.results();
    assert!(results.iter().all(|result| result.finish_reason == FinishReason::Abort));
    assert_eq!(results.iter().map(|result| result.token_ids.len()).sum::<usize>(), count);
    assert!(model.backend().tails.is_empty());
}

#[test]
fn where_there_is_no_room_for_several_they_are_written_one_after_the_other() {
    let mut model = ids_only(100);
    model.backend.most_places = 0;
    let prompts: Vec<_> = (0..3).map(|seed| (ids(9), seed)).collect();
    let (_, results) = run_several(&mut model, &prompts, &options(20), None);
    for (prompt, result) in prompts.iter().zip(results) {
        assert_eq!(result.token_ids, alone(prompt, &options(20), 100).1.token_ids);
    }
    assert_eq!(model.backend().steps, 0);
}

#[test]
fn a_device_that_is_lost_for_good_ends_all() {
    let mut model = ids_only(100);
    model.backend.until_lost.borrow_mut().push_back(12);
    let prompts: Vec<_> = (0..3).map(|seed| (ids(9), seed)).collect();
    let mut several = Several::start(&model, &prompts, &options(50), AbortFlag::default()).expect("start");
    let e = loop {
        match block_on(several.next(&mut model)) {
            Ok(chunk) => assert!(chunk.is_some(), "the device is lost before the end"),
            Err(e) => break e,
        }
    };
    assert_eq!(e.code, ErrorCode::DeviceLost);
    assert!(several.results().iter().all(|result| result.finish_reason != FinishReason::Length));
}
