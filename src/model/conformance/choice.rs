//! Cases of the kernels that choose and judge tokens: `score`, `repeats`, `sample_adjust`, `sample_pick`. The latter
//! three are compared with `src/sampling`, which chooses on the CPU.

use super::case::{Cases, DependsOn, SIZES};
use super::lab::{DIRT, Lab};
use crate::error::Result;
use crate::model::kernels::leaving;
use crate::model::kernels::repeats::TEXT;
use crate::model::kernels::sample_adjust::TOKENS;
use crate::model::kernels::sample_pick::RING;
use crate::model::kernels::sampling::{BARRED, BREAKS, Sampling, bias_of, seen_words, text_words};
use crate::model::kernels::{
    Repeats, RepeatsBuffers, SampleAdjust, SampleAdjustBuffers, SamplePick, SamplePickBuffers, Score, ScoreBuffers,
    Step,
};
use crate::reference::math;
use crate::sampling::{Dry, END_OF_TEXT, Sampler, SamplingOptions, Seen, Xtc, best, dry_matches, dry_penalty};

/// The value of tokens that cannot be drawn (LOWEST of the shader).
const LOWEST: f32 = -3.4e38;
/// Error of a score's noise from a GPU's logarithms, relative to the scores.
const NOISE: f64 = 1e-2;

pub fn add(cases: &mut Cases) {
    let vocabularies = || SIZES.into_iter().chain([50_304]);
    for vocab in vocabularies() {
        cases.add(("score", format!("3 × {vocab}"), None), "", DependsOn::Nothing, move |lab| score(lab, vocab));
        for (variant, options, index) in adjustments() {
            let size = vocab.to_string();
            cases.add(("sample_adjust", size, None), variant, DependsOn::Nothing, move |lab| {
                adjust(lab, vocab, &options, index)
            });
        }
    }
    for tokens in SIZES.into_iter().chain([1540]) {
        for (variant, options) in repeating() {
            let size = format!("{tokens} of 40");
            cases.add(("repeats", size, None), variant, DependsOn::Nothing, move |lab| repeats(lab, tokens, &options));
        }
    }
    for (i, vocab) in vocabularies().enumerate() {
        for (j, (variant, options)) in draws().into_iter().enumerate() {
            if cases.is_full() || (i + j) % 2 == 0 || vocab > 255 {
                let size = vocab.to_string();
                cases.add(("sample_pick", size, None), variant, DependsOn::Software, move |lab| {
                    pick(lab, vocab, &options)
                });
            }
        }
    }
}

/// With the number of the token that is chosen.
fn adjustments() -> Vec<(&'static str, SamplingOptions, u32)> {
    let base = SamplingOptions { temperature: 1.0, top_p: 1.0, seed: 77, ..Default::default() };
    let penalties = SamplingOptions {
        temperature: 0.7,
        repetition_penalty: 1.3,
        presence_penalty: 0.5,
        frequency_penalty: 0.25,
        logit_bias: vec![(0, 2.0), (30, -4.0)],
        ..base.clone()
    };
    let first = SamplingOptions { first: Some((0..50_304).map(|id| id % 9 == 0).collect()), ..base.clone() };
    let sigma = SamplingOptions { top_n_sigma: 1.0, min_tokens: 5, ..first.clone() };
    let dry_breakers = Some((0..50_304).map(|id| id % 4 == 0).collect());
    vec![
        ("greedy", SamplingOptions { temperature: 0.0, ..base.clone() }, 0),
        ("penalties", penalties, 0),
        ("first", first.clone(), 0),
        // A token that is not permitted first is permitted later; and the noise is different.
        ("not first", first, 70),
        // It is drawn from all tokens here, whatever the second half keeps.
        ("top-k", SamplingOptions { top_k: 7, ..base.clone() }, 70),
        // The end of the text is not permitted yet, wherever the completion began.
        ("top-n-sigma", sigma, 3),
        ("dry", SamplingOptions { frequency_penalty: 0.5, dry: dry(3, 0), dry_breakers, ..base }, 70),
    ]
}

/// Options with no breakers in the text, or with one at every seventh id.
fn repeating() -> Vec<(&'static str, SamplingOptions)> {
    let base = SamplingOptions { dry: dry(2, 0), ..Default::default() };
    let breakers = Some((0..40).map(|id| id % 7 == 3).collect());
    vec![
        ("", base.clone()),
        ("range", SamplingOptions { dry: dry(1, 25), ..base.clone() }),
        ("breakers", SamplingOptions { dry: dry(1, 0), dry_breakers: breakers, ..base.clone() }),
        // So steep that a match counts only as many tokens as it needs.
        ("steep", SamplingOptions { dry: Dry { base: 1e30, ..dry(1, 0) }, ..base.clone() }),
        ("flat", SamplingOptions { dry: Dry { base: 1.0, ..dry(4, 0) }, ..base }),
    ]
}

fn dry(allowed_length: u32, range: u32) -> Dry {
    Dry { multiplier: 0.8, allowed_length, range, ..Dry::default() }
}

fn draws() -> Vec<(&'static str, SamplingOptions)> {
    let base = SamplingOptions { temperature: 1.0, top_p: 1.0, seed: 77, ..Default::default() };
    vec![
        ("greedy", SamplingOptions { temperature: 0.0, ..base.clone() }),
        ("all", base.clone()),
        ("top-k", SamplingOptions { top_k: 7, ..base.clone() }),
        ("top-p", SamplingOptions { top_p: 0.6, ..base.clone() }),
        // Filters that keep what was drawn from all, and those that hardly do.
        ("top-p, most", SamplingOptions { top_p: 0.999, ..base.clone() }),
        ("top-p, few", SamplingOptions { top_p: 0.01, ..base.clone() }),
        ("top-k, top-p", SamplingOptions { top_p: 0.7, top_k: 12, ..base.clone() }),
        ("min-p", SamplingOptions { min_p: 0.2, ..base.clone() }),
        ("top-n-sigma", SamplingOptions { top_n_sigma: 1.5, top_k: 20, ..base.clone() }),
        ("xtc", SamplingOptions { xtc: Xtc { probability: 1.0, threshold: 0.05 }, ..base.clone() }),
        (
            "xtc of few",
            SamplingOptions { xtc: Xtc { probability: 1.0, threshold: 0.2 }, top_k: 6, top_p: 0.9, ..base.clone() },
        ),
        ("penalty range", SamplingOptions { penalty_range: 20, top_k: 7, ..base }),
    ]
}

fn score(lab: &mut Lab<'_>, vocab: usize) -> Result<()> {
    let (rows, first_row, real_ids) = (3, 2, vocab.div_ceil(2));
    let logits = lab.numbers(rows * vocab, 8.0);
    let mut targets = lab.random.ids(first_row + rows, vocab);
    // Distinguishes the best of the real ids from the best of all.
    targets[first_row] = best(logits[..real_ids].iter().copied());
    // Pairs of a number and a word; those of earlier rows stay untouched.
    let mut words = vec![Some(DIRT); 2 * (first_row + rows)];
    let mut logprobs = vec![None; words.len()];
    for (row, logits) in logits.chunks_exact(vocab).enumerate() {
        let (at, target) = (2 * (first_row + row), targets[first_row + row]);
        logprobs[at] = Some(math::log_softmax(logits)[target as usize] as f32);
        words[at] = None;
        words[at + 1] = Some(u32::from(target == best(logits[..real_ids].iter().copied())));
    }
    let step = lab.step(Step { first_row: first_row as u32, real_ids: real_ids as u32, ..Step::new(9, rows) });
    let (logits, targets, scores) = (lab.input(&logits), lab.input(&targets), lab.output(words.len()));
    let buffers = ScoreBuffers { step: &step, logits: &logits, targets: &targets, scores: &scores.buffer };
    lab.run(&Score { vocab }.dispatch(&buffers))?;
    lab.expect_words(&scores, words);
    lab.expect_near(&scores, logprobs, 1e-4);
    Ok(())
}

fn repeats(lab: &mut Lab<'_>, tokens: usize, options: &SamplingOptions) -> Result<()> {
    let vocab = 40;
    // A text of repeating phrases, with the beginning of one at its end.
    let phrases: Vec<Vec<u32>> = [1, 3, 8, 20].iter().map(|n| lab.random.ids(*n, vocab)).collect();
    let mut text: Vec<u32> = Vec::new();
    while text.len() < tokens {
        let which = lab.random.ids(1, phrases.len())[0] as usize;
        text.extend(&phrases[which]);
    }
    text.truncate(tokens);
    let prompt = tokens / 3;
    let mut words = text_words(options, &text);
    // What follows the text must not matter.
    words.resize(TEXT.min(tokens + 300), 7);
    // Once the penalty stops growing, longer matches need not be distinguished from shorter ones.
    let most = options.dry.allowed_length as usize + (88.0 / options.dry.base.ln().max(1e-3)).ceil() as usize;
    let mut wanted = vec![0; vocab];
    for (id, length) in dry_matches(options, &text) {
        wanted[id as usize] = length.min(most) as u32;
    }
    let step = lab.step(Step { index: (tokens - prompt) as u32, ..Step::new(0, tokens) });
    let sampling = lab.uniform(&Sampling::new(options, vocab, prompt, 0));
    let (text, lengths) = (lab.input(&words), lab.in_out(&vec![0u32; vocab]));
    let buffers = RepeatsBuffers { step: &step, sampling: &sampling, text: &text, lengths: &lengths.buffer };
    lab.run(&Repeats.dispatch(&buffers))?;
    lab.expect_words(&lengths, wanted.into_iter().map(Some).collect());
    Ok(())
}

fn adjust(lab: &mut Lab<'_>, vocab: usize, options: &SamplingOptions, index: u32) -> Result<()> {
    let real_ids = vocab - vocab / 8;
    let logits = lab.numbers(vocab, 6.0);
    let prompt = lab.random.ids(20, vocab);
    let mut counts = Seen::new(&prompt, options.penalty_range, vocab);
    let mut seen = seen_words(options, &counts);
    // Some tokens of the prompt are in the output, too.
    prompt.iter().step_by(3).for_each(|id| counts.note(*id));
    for (word, [all, output]) in seen.iter_mut().zip(counts.counts()) {
        *word = [word[0] & BARRED | all, word[1] | output];
    }
    let bias = bias_of(options, vocab);
    // Simulates that some tokens would continue repeats.
    let lengths: Vec<u32> =
        (0..vocab as u32).map(|id| if id % 5 == 2 { options.dry.allowed_length + id % 9 } else { 0 }).collect();
    let lengths = if options.dry.multiplier > 0.0 { lengths } else { vec![0; vocab] };
    let of = |id: usize| {
        let (mut x, [all, count]) = (logits[id], [seen[id][0], seen[id][1] & !BREAKS]);
        if all & !BARRED != 0 {
            x = if x > 0.0 { x / options.repetition_penalty } else { x * options.repetition_penalty };
        }
        if count > 0 {
            x -= options.presence_penalty + options.frequency_penalty * count as f32;
        }
        if lengths[id] > 0 {
            x -= dry_penalty(options, lengths[id] as usize);
        }
        x += bias[id];
        let x = if options.is_greedy() { x } else { x / options.temperature };
        let is_barred = index == 0 && all & BARRED != 0;
        let is_early = id == END_OF_TEXT as usize && index < options.min_tokens;
        if id < real_ids && !is_barred && !is_early { x } else { LOWEST }
    };
    let mut adjusted: Vec<f32> = (0..vocab).map(of).collect();
    let ids: Vec<u32> = (0..vocab as u32).collect();
    let sampler = sampler_at(index, options, real_ids);
    let noisy = |id: u32| adjusted[id as usize] + if options.is_greedy() { 0.0 } else { sampler.noise(id) };
    // For the tokens of each workgroup: the highest value, the best score, and its token.
    let found = ids.chunks(TOKENS).map(|ids| {
        let drawn: Vec<u32> = ids.iter().copied().filter(|id| adjusted[*id as usize] != LOWEST).collect();
        let highest = drawn.iter().map(|id| adjusted[*id as usize]).fold(LOWEST, f32::max);
        match drawn.is_empty() {
            true => (highest, LOWEST, u32::MAX),
            false => {
                let winner = drawn[best(drawn.iter().map(|id| noisy(*id))) as usize];
                (highest, noisy(winner), winner)
            }
        }
    });
    let found: Vec<(f32, f32, u32)> = found.collect();
    let numbers = adjusted.chunks(TOKENS).flat_map(|values| partials_of(values, options)).collect();
    adjusted.resize(vocab.next_multiple_of(4), LOWEST);
    let step = lab.step(Step { index, ..Step::new(0, 1) });
    let sampling = lab.uniform(&Sampling::new(options, real_ids, prompt.len(), 0));
    let (logits, seen, bias) = (lab.input(&logits), lab.input(&seen), lab.input(&bias));
    let kernel = SampleAdjust { vocab };
    let (out, partials) = (lab.output(adjusted.len()), lab.output(8 * kernel.partials()));
    let lengths = lab.in_out(&lengths);
    let buffers = SampleAdjustBuffers {
        step: &step,
        sampling: &sampling,
        logits: &logits,
        seen: &seen,
        bias: &bias,
        adjusted: &out.buffer,
        partials: &partials.buffer,
        lengths: &lengths.buffer,
    };
    lab.run(&kernel.dispatch(&buffers))?;
    lab.expect_words(&lengths, vec![Some(0); vocab]);
    // Tokens that cannot be drawn have the lowest value of all, so exact numbers are compared word by word.
    let is_exact = |x: &f32| (*x == LOWEST).then_some(x.to_bits());
    lab.expect_words(&out, adjusted.iter().map(is_exact).collect());
    lab.expect_near(&out, adjusted.iter().map(|x| (*x != LOWEST).then_some(*x)).collect(), 1e-5);
    lab.expect_near(&partials, numbers, 1e-5);
    // A GPU's logarithms are far from exact where u is nearly 1.
    let score_of = |score: f32| [None, (score != LOWEST).then_some(score), None, None];
    let scores = found.iter().flat_map(|(_, score, _)| [score_of(*score), [None; 4]].concat());
    lab.expect_near(&partials, scores.collect(), NOISE);
    let words = found.iter().flat_map(|(highest, score, winner)| {
        [[is_exact(highest), is_exact(score), Some(*winner), Some(0)], [None; 4]].concat()
    });
    lab.expect_words(&partials, words.collect());
    Ok(())
}

/// A sampler with the noise of step `index`: it has chosen that many tokens before.
fn sampler_at(index: u32, options: &SamplingOptions, real_ids: usize) -> Sampler {
    let mut sampler = Sampler::new(options.clone(), &[], real_ids);
    (0..index).for_each(|_| sampler.note(u32::MAX));
    sampler
}

/// The output of a workgroup of `sample_adjust` for its values, as far as it is compared.
fn partials_of(values: &[f32], options: &SamplingOptions) -> [Option<f32>; 8] {
    let counted = || values.iter().filter(|x| **x != LOWEST).map(|x| f64::from(*x));
    let highest = counted().reduce(f64::max).map(|x| x as f32);
    let mut found = [highest, None, None, Some(0.0), None, None, None, None];
    if options.top_n_sigma > 0.0 {
        let count = counted().count() as f64;
        let mean = counted().sum::<f64>() / count.max(1.0);
        let squares = counted().map(|x| (x - mean) * (x - mean)).sum::<f64>();
        found[4..].copy_from_slice(&[count, mean, squares, 0.0].map(|x| Some(x as f32)));
    }
    found
}

fn pick(lab: &mut Lab<'_>, vocab: usize, options: &SamplingOptions) -> Result<()> {
    let (real_ids, index) = (vocab - vocab / 8, 70);
    let logits = lab.numbers(vocab, 6.0);
    let sampler = sampler_at(index, options, real_ids);
    let token = sampler.would_choose(&logits);
    // The output of `sample_adjust` for logits without penalties, at temperature 1 or 0.
    let mut adjusted: Vec<f32> = (0..vocab).map(|id| if id < real_ids { logits[id] } else { LOWEST }).collect();
    let ids: Vec<u32> = (0..vocab as u32).collect();
    let partials: Vec<[f32; 8]> = ids
        .chunks(TOKENS)
        .map(|ids| {
            let of = |id: u32| adjusted[id as usize];
            let highest = ids.iter().map(|id| of(*id)).fold(LOWEST, f32::max);
            let noisy = |id: u32| of(id) + if options.is_greedy() { 0.0 } else { sampler.noise(id) };
            let winner = ids[best(ids.iter().map(|id| noisy(*id))) as usize];
            let values: Vec<f32> = ids.iter().map(|id| of(*id)).collect();
            let mut partials = partials_of(&values, options).map(|x| x.unwrap_or_default());
            partials[..4].copy_from_slice(&[highest, noisy(winner), f32::from_bits(winner), 0.0]);
            partials
        })
        .collect();
    adjusted.resize(vocab.next_multiple_of(4), LOWEST);
    let breaks = |id: u32| if id.is_multiple_of(2) { BREAKS } else { 0 };
    let mut seen: Vec<[u32; 2]> = ids.iter().map(|id| [id % 3 + 2, (id % 3 + 1) | breaks(*id)]).collect();
    // In one case the GPU itself looks up which token is no longer counted, in one it is given.
    let left = 1 % vocab as u32;
    let mut ring = vec![DIRT; RING];
    let leaving = match options.penalty_range {
        0 if options.top_k > 0 => left,
        0 => leaving::NONE,
        range => {
            ring[(index - range) as usize % RING] = left;
            leaving::CHOSEN
        }
    };
    let step = lab.step(Step { index, leaving, xtc: options.has_xtc_at(index).into(), ..Step::new(0, 1) });
    // The token is written after the text, marked if it is a breaker.
    let prompt = 5;
    let mut text = vec![DIRT; TEXT];
    let sampling = lab.uniform(&Sampling::new(options, real_ids, prompt, 0));
    let (adjusted, partials) = (lab.input(&adjusted), lab.input(&partials));
    let (counts, chosen, tokens) = (lab.in_out(&seen), lab.output(1), lab.in_out(&ring));
    let written = lab.in_out(&text);
    let buffers = SamplePickBuffers {
        step: &step,
        sampling: &sampling,
        adjusted: &adjusted,
        partials: &partials,
        seen: &counts.buffer,
        ids: &chosen.buffer,
        tokens: &tokens.buffer,
        text: &written.buffer,
    };
    lab.run(&SamplePick::new(lab.gpu, vocab).dispatch(&buffers))?;
    if leaving != leaving::NONE {
        let is_output = u32::from(leaving == leaving::CHOSEN);
        seen[left as usize] = [seen[left as usize][0] - 1, seen[left as usize][1] - is_output];
    }
    seen[token as usize] = seen[token as usize].map(|n| n + 1);
    ring[index as usize % RING] = token;
    text[prompt + index as usize] = token | breaks(token);
    for (out, words) in [(&chosen, vec![token]), (&tokens, ring), (&counts, seen.concat()), (&written, text)] {
        lab.expect_words(out, words.into_iter().map(Some).collect());
    }
    Ok(())
}
