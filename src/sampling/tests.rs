mod every_option;
mod more;

use super::*;
use proptest::prelude::*;

fn greedy() -> SamplingOptions {
    SamplingOptions { temperature: 0.0, top_p: 1.0, ..Default::default() }
}

fn plain(seed: u64) -> SamplingOptions {
    SamplingOptions { temperature: 1.0, top_p: 1.0, seed, ..Default::default() }
}

fn draw(options: SamplingOptions, logits: &[f32]) -> u32 {
    Sampler::new(options, &[], logits.len()).next(logits)
}

/// The ids that some seed draws.
fn reachable(options: &SamplingOptions, logits: &[f32]) -> Vec<u32> {
    let mut ids: Vec<u32> = (0..2000).map(|seed| draw(SamplingOptions { seed, ..options.clone() }, logits)).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

#[test]
fn draws_follow_the_distribution() {
    let p = [0.5f32, 0.25, 0.15, 0.07, 0.03];
    let logits: Vec<f32> = p.iter().map(|p| p.ln()).collect();
    let n = 20_000;
    let mut counts = [0.0f64; 5];
    let mut sampler = Sampler::new(plain(42), &[], 5);
    for _ in 0..n {
        counts[sampler.next(&logits) as usize] += 1.0;
    }
    let chi2: f64 =
        counts.iter().zip(p).map(|(c, p)| (c - n as f64 * f64::from(p)).powi(2) / (n as f64 * f64::from(p))).sum();
    assert!(chi2 < 18.5, "chi² {chi2:.1} with 4 degrees of freedom (p = 0.001): {counts:?}");
}

#[test]
fn the_kept_sets() {
    // Probabilities 0.5, 0.25, 0.125, 0.0625, 0.0625.
    let logits: Vec<f32> = [0.5f32, 0.25, 0.125, 0.0625, 0.0625].iter().map(|p| p.ln()).collect();
    let base = plain(0);
    for (options, want) in [
        (SamplingOptions { top_k: 2, ..base.clone() }, vec![0, 1]),
        (SamplingOptions { top_k: 4, ..base.clone() }, vec![0, 1, 2, 3]), // of equals, the lower id
        (SamplingOptions { top_p: 0.49, ..base.clone() }, vec![0]),
        (SamplingOptions { top_p: 0.51, ..base.clone() }, vec![0, 1]),
        (SamplingOptions { top_p: 0.8, ..base.clone() }, vec![0, 1, 2]),
        (SamplingOptions { top_k: 2, top_p: 0.7, ..base.clone() }, vec![0, 1]), // top-p of what top-k left: 2/3
        (SamplingOptions { top_k: 2, top_p: 0.66, ..base.clone() }, vec![0]),
        (SamplingOptions { min_p: 0.3, ..base.clone() }, vec![0, 1]),
        (SamplingOptions { min_p: 0.2, temperature: 2.0, ..base.clone() }, vec![0, 1, 2, 3, 4]), // after temperature
    ] {
        assert_eq!(reachable(&options, &logits), want, "{options:?}");
        assert!(!options.keeps_all(), "{options:?}");
    }
    assert!(base.keeps_all());
}

#[test]
fn penalties_and_bias() {
    let logits = [2.0, 1.9, -1.0];
    let with = |options: SamplingOptions, prompt: &[u32]| Sampler::new(options, prompt, 3).next(&logits);
    assert_eq!(with(greedy(), &[0]), 0);
    // Repetition counts the prompt; negative logits are pushed down too.
    assert_eq!(with(SamplingOptions { repetition_penalty: 1.2, ..greedy() }, &[0]), 1);
    let adjusted = Sampler::new(SamplingOptions { repetition_penalty: 2.0, ..greedy() }, &[0, 2], 3).adjusted(&logits);
    assert_eq!(adjusted, [1.0, 1.9, -2.0]);
    // Presence and frequency count the output alone.
    let presence = SamplingOptions { presence_penalty: 0.5, ..greedy() };
    assert_eq!(with(presence.clone(), &[0]), 0);
    let mut sampler = Sampler::new(presence, &[], 3);
    assert_eq!([sampler.next(&logits), sampler.next(&logits), sampler.next(&logits)], [0, 1, 0]);
    let mut sampler = Sampler::new(SamplingOptions { frequency_penalty: 0.5, ..greedy() }, &[], 3);
    assert_eq!([(); 5].map(|()| sampler.next(&logits)), [0, 1, 0, 1, 0]);
    // Bias comes after the penalties and is not scaled by them.
    let bias = SamplingOptions { repetition_penalty: 2.0, logit_bias: vec![(2, 3.1), (9, 1.0)], ..greedy() };
    assert_eq!(with(bias, &[0, 1]), 2);
    assert_eq!(with(SamplingOptions { logit_bias: vec![(0, -100.0)], ..greedy() }, &[]), 1);
}

#[test]
fn the_first_token_is_one_of_those_that_are_allowed_and_the_mask_comes_first() {
    // Probabilities 0.5, 0.25, 0.125, 0.0625, 0.0625.
    let logits: Vec<f32> = [0.5f32, 0.25, 0.125, 0.0625, 0.0625].iter().map(|p| p.ln()).collect();
    let base = SamplingOptions { first: Some([false, true, true, true, false].into()), ..plain(0) };
    for (options, want) in [
        (base.clone(), vec![1, 2, 3]),
        (SamplingOptions { top_k: 2, ..base.clone() }, vec![1, 2]),
        (SamplingOptions { top_p: 0.5, ..base.clone() }, vec![1]), // of 4/7, 2/7 and 1/7
        (SamplingOptions { min_p: 0.3, ..base.clone() }, vec![1, 2]),
        (SamplingOptions { temperature: 0.0, ..base.clone() }, vec![1]),
        (SamplingOptions { logit_bias: vec![(0, 99.0), (3, 99.0)], ..base.clone() }, vec![3]),
    ] {
        assert_eq!(reachable(&options, &logits), want, "{options:?}");
    }
    // What is drawn from is the distribution, restricted and renormalized.
    let sampler = Sampler::new(SamplingOptions { temperature: 0.7, ..base.clone() }, &[], 5);
    let distribution = |kept: &[Candidate]| {
        let sum: f64 = kept.iter().map(|c| f64::from(c.1).exp()).sum();
        kept.iter().map(|c| (c.0, f64::from(c.1).exp() / sum)).collect::<Vec<_>>()
    };
    let all: Vec<Candidate> = (0..).zip(logits.iter().map(|x| x / 0.7)).collect();
    for (got, want) in distribution(&sampler.kept(&logits)).iter().zip(distribution(&all[1..4])) {
        assert!(got.0 == want.0 && (got.1 - want.1).abs() < 1e-5, "{got:?} for {want:?}");
    }
    // The second token may be any.
    let mut sampler = Sampler::new(SamplingOptions { temperature: 0.0, ..base }, &[], 5);
    assert_eq!([sampler.next(&logits), sampler.next(&logits)], [1, 0]);
}

#[test]
fn only_real_ids_are_drawn() {
    let logits = [0.0, 0.0, 50.0];
    assert_eq!(Sampler::new(greedy(), &[], 2).next(&logits), 0);
    assert_eq!((0..100).map(|s| Sampler::new(plain(s), &[], 2).next(&logits)).max(), Some(1));
}

#[test]
fn extreme_options_and_nan_choose_a_real_token() {
    let logits = [3.0, -2.0, 7.0, f32::NAN, 5.0];
    for o in [
        SamplingOptions { temperature: 1e-38, ..plain(1) },
        SamplingOptions { temperature: 1e-29, ..plain(1) },
        SamplingOptions { repetition_penalty: f32::MIN_POSITIVE, ..plain(1) },
        SamplingOptions { logit_bias: vec![(2, f32::MAX)], ..plain(1) },
        SamplingOptions { min_p: 1.0 - f32::EPSILON / 2.0, top_p: f32::MIN_POSITIVE, ..plain(1) },
        greedy(),
    ] {
        assert_eq!(Sampler::new(o.clone(), &[2], 5).next(&logits), 2, "{o:?}");
    }
    let hot = SamplingOptions { temperature: f32::MAX, ..plain(1) };
    assert!(!reachable(&hot, &logits).contains(&3));
}

#[test]
fn a_seed_repeats_and_another_differs() {
    let logits: Vec<f32> = (0..1000).map(|i| (i as f32 * 0.37).sin()).collect();
    let run = |seed| {
        let mut s = Sampler::new(plain(seed), &[], 1000);
        [(); 8].map(|()| s.next(&logits))
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
    assert_ne!(run(1), run(1 + (1 << 40)));
}

/// The definition, by sorting everything.
fn naive_kept(logits: &[f32], o: &SamplingOptions) -> Vec<u32> {
    let mut c: Vec<Candidate> = (0..).zip(logits.iter().map(|x| x / o.temperature)).collect();
    c.sort_by(order);
    if o.top_k > 0 {
        c.truncate(o.top_k as usize);
    }
    let top = c[0].1;
    let weights: Vec<f64> = c.iter().map(|c| f64::from((c.1 - top).exp())).collect();
    let total: f64 = weights.iter().sum();
    let mut sum = 0.0;
    let n = weights
        .iter()
        .take_while(|w| {
            let more = sum < f64::from(o.top_p) * total;
            sum += **w;
            more
        })
        .count();
    c.truncate(if o.top_p < 1.0 { n.max(1) } else { c.len() });
    c.retain(|c| o.min_p == 0.0 || c.1 >= top + o.min_p.ln());
    c.into_iter().map(|c| c.0).collect()
}

proptest! {
    #[test]
    fn agrees_with_the_definition(
        logits in prop::collection::vec(-8.0f32..8.0, 1..700),
        temperature in 0.1f32..3.0, top_k in 0u32..50, top_p in 0.05f32..=1.0, min_p in 0.0f32..0.5, seed in 0u64..1 << 53,
    ) {
        let o = SamplingOptions { temperature, top_k, top_p, min_p, seed, ..Default::default() };
        let kept = naive_kept(&logits, &o);
        let want = kept.iter().map(|id| (*id, logits[*id as usize] / temperature + rng::gumbel(seed, 0, *id))).min_by(order);
        prop_assert_eq!(Some(draw(o, &logits)), want.map(|c| c.0));
    }

    #[test]
    fn top_k_1_and_temperature_0_are_greedy(logits in prop::collection::vec(-8.0f32..8.0, 1..100), seed in 0u64..1 << 53) {
        let want = best(logits.iter().copied());
        prop_assert_eq!(draw(SamplingOptions { top_k: 1, ..plain(seed) }, &logits), want);
        prop_assert_eq!(draw(SamplingOptions { seed, ..greedy() }, &logits), want);
    }
}
