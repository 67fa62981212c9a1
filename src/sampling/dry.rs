//! DRY: a token that would continue a repetition is lowered, the more the longer the repetition is. As llama.cpp
//! defines it, except that a breaker is looked for in single tokens.

use super::options::SamplingOptions;

/// Penalties are finite up to this exponent of e.
const LARGEST_EXPONENT: f32 = 88.0;

/// What is subtracted from which ids, given the text so far.
pub fn dry_penalties(options: &SamplingOptions, text: &[u32]) -> Vec<(u32, f32)> {
    let matches = dry_matches(options, text).into_iter();
    matches.map(|(id, length)| (id, dry_penalty(options, length))).collect()
}

/// What is subtracted from the logit of a token that would continue a match of `length` tokens.
pub fn dry_penalty(options: &SamplingOptions, length: usize) -> f32 {
    let dry = &options.dry;
    let exponent = (length - dry.allowed_length as usize) as f32 * dry.base.ln();
    dry.multiplier * exponent.min(LARGEST_EXPONENT).exp()
}

/// Which ids would continue a match, and how many tokens the longest of them has, if that is long enough to count.
pub fn dry_matches(options: &SamplingOptions, text: &[u32]) -> Vec<(u32, usize)> {
    let dry = &options.dry;
    if dry.multiplier <= 0.0 {
        return Vec::new();
    }
    let from = if dry.range == 0 { 0 } else { text.len().saturating_sub(dry.range as usize) };
    // Newest first: a repetition of the text's end begins as this list does.
    let newest: Vec<u32> = text[from..].iter().rev().copied().collect();
    // A match reaches at most from the end to the last breaker.
    let longest = newest.iter().position(|id| options.breaks(*id)).unwrap_or(newest.len());
    let allowed = dry.allowed_length as usize;
    if longest < allowed {
        return Vec::new();
    }
    let mut found: Vec<(u32, usize)> = common_with_beginning(&newest)
        .into_iter()
        .enumerate()
        .skip(1)
        .map(|(at, length)| (newest[at - 1], length.min(longest)))
        .filter(|(id, length)| *length >= allowed && !options.breaks(*id))
        .collect();
    found.sort_unstable_by(|a, b| a.0.cmp(&b.0).then(b.1.cmp(&a.1)));
    found.dedup_by_key(|(id, _)| *id);
    found
}

/// How many values from each place on equal those that the list begins with: the Z function (Gusfield 1997), in linear
/// time.
fn common_with_beginning(list: &[u32]) -> Vec<usize> {
    let mut z = vec![list.len(); list.len()];
    let (mut left, mut right) = (0, 0);
    for i in 1..list.len() {
        let mut n = if i < right { z[i - left].min(right - i) } else { 0 };
        while i + n < list.len() && list[n] == list[i + n] {
            n += 1;
        }
        z[i] = n;
        if i + n > right {
            (left, right) = (i, i + n);
        }
    }
    z
}
