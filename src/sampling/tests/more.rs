//! DRY, XTC, top-n-sigma, the range of penalties, bars: each compared with its definition, written out plainly.

use super::*;

/// 40 logits, no two of which are equal.
fn logits(seed: usize) -> Vec<f32> {
    (0..40).map(|i| ((i * 37 + seed * 11) % 101) as f32 / 12.0 - (i % 7) as f32 / 3.0).collect()
}

/// Probabilities of candidates, best first.
fn by_probability(candidates: &[(u32, f64)]) -> Vec<(u32, f64)> {
    let sum: f64 = candidates.iter().map(|c| c.1.exp()).sum();
    let mut p: Vec<_> = candidates.iter().map(|c| (c.0, c.1.exp() / sum)).collect();
    p.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    p
}

fn sorted(kept: Vec<Candidate>) -> Vec<u32> {
    let mut ids: Vec<u32> = kept.into_iter().map(|c| c.0).collect();
    ids.sort_unstable();
    ids
}

/// llama.cpp's `llama_sampler_top_n_sigma`.
fn top_n_sigma(candidates: &mut Vec<(u32, f64)>, n: f64) {
    let mean = candidates.iter().map(|c| c.1).sum::<f64>() / candidates.len() as f64;
    let variance = candidates.iter().map(|c| (c.1 - mean).powi(2)).sum::<f64>() / candidates.len() as f64;
    let max = candidates.iter().map(|c| c.1).fold(f64::NEG_INFINITY, f64::max);
    candidates.retain(|c| c.1 >= max - n * variance.sqrt());
}

/// llama.cpp's `llama_sampler_xtc`, once its coin has said yes.
fn xtc(candidates: &mut Vec<(u32, f64)>, threshold: f64) {
    if threshold > 0.5 || candidates.len() < 2 {
        return;
    }
    let p = by_probability(candidates);
    let above = p.iter().take_while(|c| c.1 >= threshold).count();
    let gone: Vec<u32> = p.iter().take(above.saturating_sub(1)).map(|c| c.0).collect();
    candidates.retain(|c| !gone.contains(&c.0));
}

#[test]
fn top_n_sigma_and_xtc_keep_what_their_definitions_do() {
    let mut smaller = 0;
    for seed in 0..20 {
        let logits = logits(seed);
        for (n, temperature, threshold, top_k) in [
            (1.0f32, 1.0f32, 0.0f32, 0u32),
            (0.5, 2.0, 0.1, 0),
            (2.0, 0.7, 0.02, 10),
            (0.0, 1.0, 0.15, 3),
            (1.3, 1.0, 0.6, 0),
            (0.0, 3.0, 0.5, 0),
        ] {
            let masked = SamplingOptions { first: Some((0..40).map(|id| id % 5 != 0).collect()), ..plain(3) };
            let options = SamplingOptions {
                top_n_sigma: n,
                temperature,
                top_k,
                xtc: Xtc { probability: 1.0, threshold },
                ..masked
            };
            let mut want: Vec<(u32, f64)> = (0..)
                .zip(&logits)
                .filter(|(id, _)| id % 5 != 0)
                .map(|(id, x)| (id, f64::from(*x) / f64::from(temperature)))
                .collect();
            if n > 0.0 {
                top_n_sigma(&mut want, f64::from(n));
            }
            if top_k > 0 {
                want = by_probability(&want)
                    .iter()
                    .take(top_k as usize)
                    .map(|c| *want.iter().find(|w| w.0 == c.0).expect("one of them"))
                    .collect();
            }
            let before = want.len();
            xtc(&mut want, f64::from(threshold));
            smaller += usize::from(want.len() < before);
            let mut want: Vec<u32> = want.into_iter().map(|c| c.0).collect();
            want.sort_unstable();
            let sampler = Sampler::new(options.clone(), &[], 40);
            assert_eq!(sorted(sampler.kept(&logits)), want, "{options:?}");
            // Greedy takes the best, whatever they would keep.
            let greedy = SamplingOptions { temperature: 0.0, ..options };
            let best = (0..).zip(&logits).filter(|(id, _)| id % 5 != 0).max_by(|a, b| a.1.total_cmp(b.1)).map(|c| c.0);
            assert_eq!(Some(Sampler::new(greedy, &[], 40).would_choose(&logits)), best);
        }
    }
    assert!(smaller > 30, "{smaller}: XTC has to do something");
}

#[test]
fn the_coin_of_xtc_is_that_of_seed_and_place() {
    let heads = |seed: u64, probability: f32| {
        let options = SamplingOptions { xtc: Xtc { probability, threshold: 0.1 }, ..plain(seed) };
        (0..4000).filter(|index| options.has_xtc_at(*index)).collect::<Vec<u32>>()
    };
    assert_eq!((heads(1, 0.0).len(), heads(1, 1.0).len()), (0, 4000));
    let some = heads(1, 0.3);
    assert!((1100..1300).contains(&some.len()), "{}", some.len());
    assert_eq!(some, heads(1, 0.3));
    assert_ne!(some, heads(2, 0.3));
    // What falls at a small share falls at a larger one, and the coin is independent of the noise.
    assert!(some.iter().all(|index| heads(1, 0.5).contains(index)));
    let high = some.iter().filter(|index| rng::gumbel(1, **index, 0) > 0.3665).count();
    assert!((500..700).contains(&high), "{high} of {} are above the median", some.len());
}

/// The definition: for each id, the longest match that ends here and was followed by it, compared token by token.
fn dry_plainly(text: &[u32], dry: &Dry, breaks: &dyn Fn(u32) -> bool) -> Vec<(u32, f32)> {
    let text = if dry.range > 0 { &text[text.len().saturating_sub(dry.range as usize)..] } else { text };
    let mut penalties = Vec::new();
    for id in 0..40u32 {
        let lengths = (0..text.len().saturating_sub(1)).filter(|at| text[at + 1] == id).map(|at| {
            let same = |n: &usize| *n <= at && text[at - n] == text[text.len() - 1 - n] && !breaks(text[at - n]);
            (0..text.len()).take_while(same).count()
        });
        let longest = lengths.max().unwrap_or(0);
        if longest >= dry.allowed_length as usize && !breaks(id) {
            let exponent = (longest - dry.allowed_length as usize) as f32;
            penalties.push((id, dry.multiplier * dry.base.powf(exponent)));
        }
    }
    penalties
}

proptest! {
    #[test]
    fn dry_lowers_what_its_definition_says(
        text in prop::collection::vec(0u32..5, 0..60), multiplier in 0.1f32..3.0, base in 1.0f32..2.0,
        allowed_length in 1u32..4, range in prop_oneof![Just(0u32), 1u32..30], breaker in prop_oneof![Just(99u32), 0u32..5],
    ) {
        let dry = Dry { multiplier, base, allowed_length, range, breakers: Vec::new() };
        let breakers = (0..40).map(|id| id == breaker).collect();
        let options = SamplingOptions { dry: dry.clone(), dry_breakers: Some(breakers), ..plain(1) };
        let want = dry_plainly(&text, &dry, &|id| id == breaker);
        let got = dry_penalties(&options, &text);
        prop_assert_eq!(got.iter().map(|p| p.0).collect::<Vec<_>>(), want.iter().map(|p| p.0).collect::<Vec<_>>());
        for (got, want) in got.iter().zip(&want) {
            prop_assert!((got.1 - want.1).abs() <= 1e-4 * want.1, "{} for {}", got.1, want.1);
        }
        // The prompt counts as the output does, and the logits are lowered by it.
        let half = text.len() / 2;
        let mut sampler = Sampler::new(options, &text[..half], 40);
        text[half..].iter().for_each(|id| sampler.note(*id));
        let adjusted = sampler.adjusted(&[1.0; 40]);
        for (id, x) in (0..).zip(adjusted) {
            let penalty = got.iter().find(|p| p.0 == id).map_or(0.0, |p| p.1);
            prop_assert_eq!(x, 1.0 - penalty);
        }
    }

    #[test]
    fn penalties_count_their_range(
        prompt in prop::collection::vec(0u32..6, 1..20), output in prop::collection::vec(0u32..6, 0..40), range in 0u32..25,
    ) {
        let options = SamplingOptions {
            repetition_penalty: 1.5, presence_penalty: 0.5, frequency_penalty: 0.25, penalty_range: range, ..greedy()
        };
        let mut sampler = Sampler::new(options, &prompt, 8);
        output.iter().for_each(|id| sampler.note(*id));
        let text = [prompt.as_slice(), &output].concat();
        let from = if range == 0 { 0 } else { text.len().saturating_sub(range as usize) };
        let written = &text[from.max(prompt.len())..];
        for (id, x) in (0..).zip(sampler.adjusted(&[3.0; 8])) {
            let times = written.iter().filter(|other| **other == id).count();
            let divided = if text[from..].contains(&id) { 2.0 } else { 3.0 };
            let want = divided - if times > 0 { 0.5 + 0.25 * times as f32 } else { 0.0 };
            prop_assert!((x - want).abs() < 1e-5, "{} of {}: {} for {}", id, range, x, want);
        }
    }
}

#[test]
fn long_repeats_stay_finite() {
    let dry = Dry { multiplier: 1.0, base: 4.0, ..Dry::default() };
    let options = SamplingOptions { dry, ..greedy() };
    let penalties = dry_penalties(&options, &[7; 5000]);
    assert!(matches!(penalties[..], [(7, penalty)] if penalty.is_finite() && penalty > 1e30), "{penalties:?}");
    // When off, it looks at nothing.
    assert!(dry_penalties(&greedy(), &[7; 5000]).is_empty());
}

#[test]
fn what_is_barred_at_a_place_is_not_chosen_there() {
    let logits = [9.0, 8.0, 7.0, 1.0];
    let options = SamplingOptions { min_tokens: 2, bars: vec![(1, 1), (1, 2), (3, 0)], ..greedy() };
    let mut sampler = Sampler::new(options, &[], 4);
    assert_eq!([(); 5].map(|()| sampler.next(&logits)), [1, 3, 0, 1, 0]);
    // Where nothing is left, the text ends.
    let all = SamplingOptions { bars: (0..4).map(|id| (0, id)).collect(), ..plain(1) };
    assert_eq!(Sampler::new(all, &[], 4).next(&logits), END_OF_TEXT);
}
