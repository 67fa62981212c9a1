//! Where a text ends, and what must not occur in it: `minTokens`, `finishSentence`, `banned`.

use super::*;

fn write(script: &str, change: impl Fn(&mut GenerateOptions)) -> (Vec<Chunk>, Completion, Model<FakeBackend>) {
    let mut results = Vec::new();
    for ahead in [1, 5] {
        let mut model = with_text(script, 2);
        (model.backend.ahead, model.backend.follows_text, model.backend.context) = (ahead, true, 300);
        let mut options = greedy(60);
        options.sampling.logit_bias.clear();
        change(&mut options);
        let (chunks, result) = run(&mut model, &Prompt::Text("Hello,".into()), options).expect("text");
        results.push((chunks, result, model));
    }
    let (chunks, result, model) = results.remove(0);
    assert_eq!((&results[0].0, &results[0].1.token_ids), (&chunks, &result.token_ids), "steps ahead change nothing");
    (chunks, result, model)
}

fn tokens_of(model: &Model<FakeBackend>, text: &str) -> usize {
    model.tokenizer().and_then(|t| t.encode(text)).expect("ids").len()
}

#[test]
fn a_text_does_not_end_before_its_fewest_tokens() {
    // The script's end of text would come after three tokens.
    let script = "One two three<|endoftext|> four five six";
    let (_, result, _) = write(script, |o| (o.max_tokens, o.sampling.min_tokens) = (6, 6));
    assert_eq!((result.token_ids.len(), result.finish_reason), (6, FinishReason::Length));
    assert!(result.text.starts_with("One two three") && !result.token_ids.contains(&END_OF_TEXT));
    let (_, result, _) = write(script, |o| o.sampling.min_tokens = 3);
    assert_eq!((result.text.as_str(), result.finish_reason), ("One two three", FinishReason::Stop));
    // Stop texts.
    let stopped = |min_tokens: u32| {
        let (_, result, _) = write("One two one two one two", |o| {
            (o.stop, o.sampling.min_tokens) = (vec![" two".into()], min_tokens);
        });
        (result.text, result.finish_reason)
    };
    assert_eq!(stopped(0), ("One".into(), FinishReason::Stop));
    assert_eq!(stopped(2), ("One two one".into(), FinishReason::Stop));
    let e = run(&mut with_text("a", 1), &Prompt::Text("a".into()), {
        let mut options = greedy(3);
        options.sampling.min_tokens = 4;
        options
    })
    .expect_err("more than maxTokens");
    assert!(e.code == ErrorCode::InvalidArgument && e.message.starts_with("minTokens is 4"), "{e}");
}

#[test]
fn a_sentence_is_finished() {
    let script = "He said \"Go.\" It was 3.14 miles. Then he went";
    let finish = |max_tokens: usize| {
        let (chunks, result, model) = write(script, |o| (o.max_tokens, o.finish_sentence) = (max_tokens, true));
        assert_eq!(chunks.len(), result.usage.completion_tokens);
        // What was written beyond the end is removed from the context again.
        let most = result.usage.prompt_tokens + chunks.len();
        assert!(model.context().len() <= most && model.context().len() + 1 >= most, "{}", model.context().len());
        (result.text, result.finish_reason)
    };
    let model = with_text(script, 2);
    let first = tokens_of(&model, "He said \"Go.\"");
    let second = tokens_of(&model, "He said \"Go.\" It was 3.14 miles.");
    for max_tokens in [1, first - 1, first, first + 1, second - 1] {
        let want = if max_tokens <= first { "He said \"Go.\"" } else { "He said \"Go.\" It was 3.14 miles." };
        assert_eq!(finish(max_tokens), (want.into(), FinishReason::Length), "{max_tokens}");
    }
    // The end of the text is the end of a sentence as well.
    assert_eq!(finish(second + 1), (script.into(), FinishReason::Length));
    // Without an end among 64 tokens, it is as if nothing had been asked for; and nothing was handed out too early.
    let endless = "on and ".repeat(60);
    let (chunks, result, model) = write(&endless, |o| (o.max_tokens, o.finish_sentence) = (5, true));
    assert_eq!((chunks.len(), result.finish_reason), (5, FinishReason::Length));
    assert!(model.backend.calls.len() >= 64, "it was looked for");
    let later = format!("{}. And", "on and ".repeat(30));
    let (_, result, _) = write(&later, |o| (o.max_tokens, o.finish_sentence) = (5, true));
    assert!(result.text.ends_with("."), "{}", result.text);
    // Stop texts end it, too.
    let (_, result, _) = write("One two three four", |o| {
        (o.max_tokens, o.finish_sentence, o.stop) = (2, true, vec![" four".into()]);
    });
    assert_eq!((result.text.as_str(), result.finish_reason), ("One two three", FinishReason::Length));
}

#[test]
fn a_sentence_that_is_not_finished_when_it_is_aborted_or_the_context_is_full() {
    let endless = "on and ".repeat(60);
    for (context, abort_at, reason) in [(20, None, FinishReason::Length), (100, Some(9), FinishReason::Abort)] {
        let (mut model, flag) = (with_text(&endless, 2), AbortFlag::default());
        model.backend.context = context;
        model.backend.abort_at = abort_at.map(|at| (at, flag.clone()));
        let options = GenerateOptions { finish_sentence: true, ..greedy(5) };
        let mut generation = Generation::start(&model, &Prompt::Text("Hello,".into()), options, flag).expect("start");
        while block_on(generation.next(&mut model)).expect("a step").is_some() {}
        let result = generation.result();
        assert_eq!((result.token_ids.len(), result.finish_reason), (5, reason));
    }
    // A reader leaves while the end is looked for.
    let mut model = with_text(&endless, 2);
    let options = GenerateOptions { finish_sentence: true, ..greedy(5) };
    let mut generation =
        Generation::start(&model, &Prompt::Text("Hello,".into()), options, AbortFlag::default()).expect("start");
    for _ in 0..3 {
        block_on(generation.next(&mut model)).expect("a step");
    }
    generation.rewind(&mut model, 2);
    while block_on(generation.next(&mut model)).expect("the end").is_some() {}
    assert_eq!((generation.result().token_ids.len(), generation.result().finish_reason), (2, FinishReason::Abort));
}

/// The definition, where the next token does not depend on those before: the best one that is not barred, and a phrase
/// goes back to its first token.
#[test]
fn a_banned_phrase_is_taken_back_to_its_first_token() {
    let script = "One two three four five six";
    for (banned, first) in
        [("THREE Four", " three"), ("e f", " three"), (" two three four five", " two"), ("one", "One")]
    {
        let (chunks, result, model) = write(script, |o| {
            (o.banned, o.max_tokens) = (vec![banned.into()], 6);
            o.sampling.logit_bias = vec![(0, -1e3)];
        });
        let lower = result.text.to_lowercase();
        assert!(!lower.contains(&banned.to_lowercase()), "{banned}: {lower}");
        // Another token takes its place, and the rest is unchanged.
        let ids = model.tokenizer().and_then(|t| t.encode(script)).expect("ids");
        let place = ids.iter().position(|id| model.token_bytes(*id) == first.as_bytes()).expect("the token");
        for (i, id) in ids.iter().enumerate() {
            assert_eq!(result.token_ids[i] == *id, i != place, "{banned}: {i}");
        }
        assert_eq!((chunks.len(), result.usage.completion_tokens, result.finish_reason), (6, 6, FinishReason::Length));
    }
}

#[test]
fn what_may_be_a_banned_phrase_is_told_when_it_is_none() {
    let script = "One two three four five six";
    let mut model = with_text(script, 2);
    let options = GenerateOptions { banned: vec!["two three fun".into()], ..greedy(6) };
    let mut generation =
        Generation::start(&model, &Prompt::Text("Hello,".into()), options.clone(), AbortFlag::default())
            .expect("start");
    let mut steps = Vec::new();
    while let Some(chunk) = block_on(generation.next(&mut model)).expect("a step") {
        steps.push((chunk.text, model.backend.calls.len()));
    }
    let told: Vec<(&str, usize)> = steps.iter().map(|(text, steps)| (text.as_str(), *steps)).collect();
    assert_eq!(told, [("One", 1), (" two", 4), (" three", 4), (" four", 4), (" five", 5), (" six", 6)]);
    // At the end it is no phrase either.
    let (_, result) = run(
        &mut with_text("One two three", 2),
        &Prompt::Text("Hello,".into()),
        GenerateOptions { max_tokens: 3, ..options },
    )
    .expect("text");
    assert_eq!(result.text, "One two three");
    let e = run(&mut ids_only(20), &ids(2), GenerateOptions { banned: vec!["a".into()], ..greedy(1) })
        .expect_err("no text");
    assert_eq!(e.code, ErrorCode::InvalidConfig);
}

/// A vocabulary of letters.
const LETTERS: &[u8] = r#"{
    "model": { "type": "BPE", "merges": ["a b", "Ġ a"],
        "vocab": { "!": 0, "a": 1, "b": 2, "c": 3, "Ġ": 4, "ab": 5, "Ġa": 6, ".": 7 } },
    "pre_tokenizer": { "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true },
    "decoder": { "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true }
}"#
.as_bytes();

proptest! {
    #[test]
    fn no_banned_phrase_is_ever_told(
        banned in prop::collection::vec("[a-cA-C ]{1,3}", 0..3), seed in 0u64..500, ahead in 2usize..6, context in 12usize..40,
        left in 0usize..30, finish_sentence: bool, has_stop: bool,
    ) {
        let make = |ahead| {
            let mut backend = FakeBackend::new(8, context);
            backend.ahead = ahead;
            Model::new(backend, Some(Tokenizer::from_json(LETTERS).expect("tokenizer"))).expect("model")
        };
        let sampling = SamplingOptions { temperature: 3.0, top_p: 1.0, seed, min_tokens: 4, ..Default::default() };
        let stop = if has_stop { vec!["cc".into()] } else { Vec::new() };
        let options = GenerateOptions {
            max_tokens: 30, sampling, banned: banned.clone(), stop, finish_sentence, overflow: Overflow::Slide, ..Default::default()
        };
        let prompt = Prompt::Text("cab".into());
        let (chunks, result) = run(&mut make(1), &prompt, options.clone()).expect("text");
        for phrase in &banned {
            prop_assert!(!result.text.contains(&phrase.to_lowercase()), "{:?} in {:?}", phrase, result.text);
        }
        prop_assert_eq!(result.usage.completion_tokens, chunks.len());
        prop_assert!(chunks.len() >= 4 || banned.iter().any(|phrase| phrase.len() == 1) || has_stop, "{:?}", result.text);
        prop_assert!(chunks.len() <= 30 || finish_sentence && chunks.len() <= 94);
        // Steps that are made ahead change nothing.
        let mut model = make(ahead);
        prop_assert_eq!(&run(&mut model, &prompt, options.clone()).expect("text").1.token_ids, &result.token_ids);
        prop_assert_eq!(model.context(), &model.backend.tokens[..]);
        // A reader that leaves has seen the beginning of the same text, and the context holds only what was read.
        let mut generation = Generation::start(&model, &prompt, options, AbortFlag::default()).expect("start");
        let mut text = String::new();
        for _ in 0..left {
            text.extend(block_on(generation.next(&mut model)).expect("a step").map(|chunk| chunk.text));
        }
        prop_assert!(result.text.starts_with(&text), "{:?} of {:?}", text, result.text);
        generation.rewind(&mut model, left / 2);
        prop_assert_eq!(model.context(), &model.backend.tokens[..]);
        while block_on(generation.next(&mut model)).expect("the end").is_some() {}
        prop_assert!(result.text.starts_with(&generation.result().text) || has_stop || !banned.is_empty());
    }
}
