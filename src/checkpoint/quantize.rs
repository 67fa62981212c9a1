//! compressed-tensors' `pack-quantized`, symmetric, in groups of 32 with f16 scales.
//!
//! Element i of a row lies at bit i·b of its words, stored as q + 2^(b−1); value = q · scale.
//!
//! ```
//! # fn main() -> tokenformer_web::error::Result<()> {
//! use tokenformer_web::checkpoint::layout::TableFormat;
//! use tokenformer_web::checkpoint::quantize::Stored;
//!
//! let row: Vec<f32> = (0..32).map(|i| (i as f32 / 10.0).sin()).collect();
//! let mut stored = Stored::default();
//! stored.push(&row, TableFormat::Q4)?;
//! // 32 values of 4 bits, and one f16 scale.
//! assert_eq!((stored.elements.len(), stored.scales.len()), (16, 2));
//! for (kept, value) in stored.dequantize(TableFormat::Q4).iter().zip(&row) {
//!     assert!((kept - value).abs() < 0.1);
//! }
//! # Ok(())
//! # }
//! ```

use super::layout::TableFormat;
use crate::config::GROUP_SIZE;
use crate::error::{Error, Result};
use half::f16;

/// Divisors of a group's largest magnitude that are tried as its 4-bit scale. 7.5 would use the range
/// −8…7 best for evenly spread values; smaller scales clip outliers, larger ones spare them.
pub(crate) const Q4_DIVISORS: [f32; 6] = [6.5, 7.0, 7.5, 8.0, 8.6, 9.4];
/// With 8 bits, clipping never pays.
pub(crate) const Q8_DIVISORS: [f32; 1] = [127.0];

/// A table in stored form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// `weight_packed`, or `weight` for f16.
    pub elements: Vec<u8>,
    /// `weight_scale`; empty for f16.
    pub scales: Vec<u8>,
}

impl Stored {
    /// Appends rows of f32 values, [_, cols] with cols a multiple of [`GROUP_SIZE`].
    ///
    /// # Errors
    /// `unsupported-checkpoint` for NaN, infinite values and values that f16 cannot hold.
    pub fn push(&mut self, values: &[f32], format: TableFormat) -> Result<()> {
        match format {
            TableFormat::F16 => self.push_f16(values),
            TableFormat::Q4 => self.push_groups::<4>(values, &Q4_DIVISORS),
            TableFormat::Q8 => self.push_groups::<8>(values, &Q8_DIVISORS),
        }
    }

    fn push_f16(&mut self, values: &[f32]) -> Result<()> {
        self.elements.reserve(values.len() * 2);
        for v in values {
            let h = f16::from_f32(*v);
            if !h.is_finite() {
                return Err(unusable(*v));
            }
            self.elements.extend(h.to_le_bytes());
        }
        Ok(())
    }

    fn push_groups<const BITS: usize>(&mut self, values: &[f32], divisors: &[f32]) -> Result<()> {
        let (groups, _) = values.as_chunks::<GROUP_SIZE>();
        self.elements.reserve(values.len() * BITS / 8);
        self.scales.reserve(groups.len() * 2);
        for group in groups {
            let scale = best_scale::<BITS>(group, divisors)?;
            let inverse = inverse(scale);
            self.push_group::<BITS>(&group.map(|x| nearest::<BITS>(x, inverse) as i32), scale);
        }
        Ok(())
    }

    /// Appends a group of integers with its scale, which is one that f16 holds.
    pub(crate) fn push_group<const BITS: usize>(&mut self, q: &[i32; GROUP_SIZE], scale: f32) {
        self.scales.extend(f16::from_f32(scale).to_le_bytes());
        // The words of a group side by side: the shifts of an element's place in them vectorize.
        let mut words = [0u32; GROUP_SIZE];
        let (count, per_word) = (BITS, 32 / BITS);
        for i in 0..per_word {
            for (word, bits) in words[..count].iter_mut().enumerate() {
                *bits |= ((q[word * per_word + i] + (1 << (BITS - 1))) as u32) << (i * BITS);
            }
        }
        words[..count].iter().for_each(|w| self.elements.extend(w.to_le_bytes()));
    }

    /// The values that are stored.
    pub fn dequantize(&self, format: TableFormat) -> Vec<f32> {
        let halves = |bytes: &[u8]| -> Vec<f32> {
            bytes.as_chunks::<2>().0.iter().map(|b| f16::from_le_bytes(*b).to_f32()).collect()
        };
        if !format.is_quantized() {
            return halves(&self.elements);
        }
        let bits = format.bits();
        let (mask, offset) = ((1u32 << bits) - 1, 1i32 << (bits - 1));
        let mut out = Vec::with_capacity(self.scales.len() / 2 * GROUP_SIZE);
        for (group, scale) in self.elements.chunks_exact(GROUP_SIZE * bits / 8).zip(halves(&self.scales)) {
            for word in group.as_chunks::<4>().0 {
                let word = u32::from_le_bytes(*word);
                out.extend((0..32 / bits).map(|i| ((word >> (i * bits) & mask) as i32 - offset) as f32 * scale));
            }
        }
        out
    }
}

fn unusable(v: f32) -> Error {
    Error::unsupported(format!("A weight is {v}, which cannot be stored.")).hint("The checkpoint is damaged.")
}

/// Sums are kept in this many lanes: in one, every addition would wait for the one before it.
const LANES: usize = 8;
/// Adding and subtracting 1.5·2²³ rounds to even, in two instructions that vectorize.
const MAGIC: f32 = 12_582_912.0;

/// The sum over a group of two terms per element.
#[inline(always)]
fn sums(x: &[f32; GROUP_SIZE], term: impl Fn(f32) -> [f32; 2]) -> [f32; 2] {
    let (mut a, mut b) = ([0.0; LANES], [0.0; LANES]);
    for lanes in x.as_chunks::<LANES>().0 {
        for i in 0..LANES {
            let [ta, tb] = term(lanes[i]);
            a[i] += ta;
            b[i] += tb;
        }
    }
    let sum = |v: [f32; LANES]| ((v[0] + v[4]) + (v[1] + v[5])) + ((v[2] + v[6]) + (v[3] + v[7]));
    [sum(a), sum(b)]
}

/// The nearest integer at a scale, as a float.
#[inline(always)]
pub(crate) fn nearest<const BITS: usize>(x: f32, inverse: f32) -> f32 {
    let (low, high) = (-((1 << (BITS - 1)) as f32), ((1 << (BITS - 1)) - 1) as f32);
    let scaled = x * inverse;
    let scaled = if scaled < low { low } else { scaled };
    let scaled = if scaled > high { high } else { scaled };
    (scaled + MAGIC) - MAGIC
}

/// A scale that f16 rounds to 0 (weights below 1e-7) makes every element 0.
pub(crate) fn inverse(scale: f32) -> f32 {
    if scale > 0.0 { 1.0 / scale } else { 0.0 }
}

/// The f16 next to a scale, as f32. Converting there and back is slow without hardware for it.
pub(crate) fn as_stored(scale: f32) -> f32 {
    let bits = scale.to_bits();
    if (6.2e-5..65_000.0).contains(&scale) {
        // f16 has 13 bits less; half of the last one that stays is added, less a bit where that one is even.
        f32::from_bits((bits + 0xfff + ((bits >> 13) & 1)) & !0x1fff)
    } else {
        f16::from_f32(scale).to_f32()
    }
}

/// The squared error that a scale leaves.
fn error<const BITS: usize>(x: &[f32; GROUP_SIZE], scale: f32) -> f32 {
    let inverse = inverse(scale);
    let [error, _] = sums(x, |x| {
        let e = x - nearest::<BITS>(x, inverse) * scale;
        [e * e, 0.0]
    });
    error
}

/// The scale (as it is stored) of a group that makes the squared error least, of the scales tried: each divisor, and
/// for the best of them the least-squares scale for its integers.
pub(crate) fn best_scale<const BITS: usize>(x: &[f32; GROUP_SIZE], divisors: &[f32]) -> Result<f32> {
    let mut magnitudes = [0f32; LANES];
    for lanes in x.as_chunks::<LANES>().0 {
        for i in 0..LANES {
            magnitudes[i] = if lanes[i].abs() > magnitudes[i] { lanes[i].abs() } else { magnitudes[i] };
        }
    }
    let largest = magnitudes.iter().fold(0f32, |m, v| m.max(*v));
    // A maximum drops NaN, a sum does not.
    let [sum, _] = sums(x, |x| [x, 0.0]);
    if !sum.is_finite() || !largest.is_finite() {
        let bad = x.iter().copied().find(|v| !v.is_finite());
        return Err(unusable(bad.unwrap_or(largest)));
    }
    let mut best = (f32::INFINITY, 0.0);
    for divisor in divisors {
        let stored = as_stored(largest / divisor);
        if !stored.is_finite() {
            return Err(unusable(largest));
        }
        let error = error::<BITS>(x, stored);
        if error < best.0 {
            best = (error, stored);
        }
    }
    let at = inverse(best.1);
    let [xq, qq] = sums(x, |x| {
        let q = nearest::<BITS>(x, at);
        [x * q, q * q]
    });
    if qq > 0.0 {
        let stored = as_stored(xq / qq);
        if stored.is_finite() && error::<BITS>(x, stored) < best.0 {
            best.1 = stored;
        }
    }
    Ok(best.1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stored(values: &[f32], format: TableFormat) -> Stored {
        let mut s = Stored::default();
        s.push(values, format).expect("finite");
        s
    }

    proptest! {
        #[test]
        fn scales_round_to_f16(scale in prop_oneof![0f32..70_000.0, 0f32..1e-3]) {
            prop_assert_eq!(as_stored(scale).to_bits(), f16::from_f32(scale).to_f32().to_bits());
        }
    }

    #[test]
    fn the_layout_of_words() {
        let mut x = [0.0; 32];
        x[0] = 7.0;
        x[1] = -7.0;
        x[9] = 3.0;
        let s = stored(&x, TableFormat::Q4);
        assert_eq!(s.dequantize(TableFormat::Q4)[..2], [7.0, -7.0]);
        assert_eq!((s.elements[0] & 15, s.elements[0] >> 4, s.elements[4] >> 4), (15, 1, 11));
        assert_eq!((s.elements.len(), s.scales.len()), (16, 2));
    }

    #[test]
    fn what_cannot_be_stored_is_refused() {
        for (bad, formats) in [
            (f32::NAN, &[TableFormat::Q4, TableFormat::Q8, TableFormat::F16][..]),
            (f32::INFINITY, &[TableFormat::Q4, TableFormat::Q8, TableFormat::F16]),
            (1e6, &[TableFormat::F16]),
            (1e9, &[TableFormat::Q4, TableFormat::Q8]),
        ] {
            for format in formats {
                let mut values = [0.5; 64];
                values[40] = bad;
                let e = Stored::default().push(&values, *format).expect_err("refused");
                assert_eq!(e.code, crate::error::ErrorCode::UnsupportedCheckpoint);
            }
        }
    }

    #[test]
    fn zeros_and_tiny_values_stay_zero() {
        for value in [0.0, 1e-30, -1e-12] {
            for format in [TableFormat::Q4, TableFormat::Q8] {
                assert_eq!(stored(&[value; 32], format).dequantize(format), [0.0; 32]);
            }
        }
    }

    proptest! {
        #[test]
        fn errors_are_bounded(x in prop::collection::vec(-3.0f32..3.0, 96)) {
            for (format, steps) in [(TableFormat::Q4, 7.0), (TableFormat::Q8, 127.0)] {
                let back = stored(&x, format).dequantize(format);
                for (x, back) in x.chunks(32).zip(back.chunks(32)) {
                    // No worse in squares than the plain scale with rounding errors of half a step.
                    let bound = x.iter().fold(0f32, |m, v| m.max(v.abs())) / steps * 0.5 * 1.01;
                    let error: f32 = x.iter().zip(back).map(|(a, b)| (a - b) * (a - b)).sum();
                    prop_assert!(error <= bound * bound * 32.0);
                }
            }
            let back = stored(&x, TableFormat::F16).dequantize(TableFormat::F16);
            prop_assert!(x.iter().zip(back).all(|(a, b)| (a - b).abs() <= a.abs() / 1024.0 + 1e-7));
        }

        #[test]
        fn what_was_dequantized_quantizes_to_itself(q in prop::collection::vec(-7i32..8, 64)) {
            let mut values: Vec<f32> = q.iter().map(|q| *q as f32 * 0.125).collect();
            for group in values.chunks_mut(32) {
                group[5] = 0.875; // 7 steps, so that the divisor 7 finds the scale
            }
            prop_assert_eq!(stored(&values, TableFormat::Q4).dequantize(TableFormat::Q4), values);
        }
    }
}
