//! Vectors of 128 bits: WebAssembly's where it has them, arrays elsewhere. Kernels are written once, and give the
//! same results bit by bit: tests of one are tests of the other.

#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
mod portable;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod simd;

#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
pub use portable::{F4, H8};
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
pub use simd::{F4, H8};

/// What `info.features` calls them.
pub const FEATURE: Option<&str> =
    if cfg!(all(target_arch = "wasm32", target_feature = "simd128")) { Some("simd128") } else { None };

impl F4 {
    /// The sum of the four.
    #[inline(always)]
    pub fn sum(self) -> f32 {
        let [a, b, c, d] = self.array();
        (a + b) + (c + d)
    }

    /// e^x for x of at most 88, with a relative error below 4e-7 · max(1, |x|); far below, not more than 2^−126.
    #[inline(always)]
    pub fn exp(self) -> Self {
        // 2^z = 2^n · 2^f with |f| ≤ ½, where 2^f is its Taylor series: (f·ln 2)^7/7! is below 1.2e-7.
        let z = (self * Self::splat(std::f32::consts::LOG2_E)).max(Self::splat(-126.0));
        let n = z.nearest();
        let f = (z - n) * Self::splat(std::f32::consts::LN_2);
        let series = [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0];
        let mut sum = Self::splat(0.0);
        for term in series {
            sum = sum * f + Self::splat(term);
        }
        sum * n.power_of_two()
    }

    /// erf, by Abramowitz and Stegun 7.1.26: at most 1.5e-7 off, and what f32 rounds.
    #[inline(always)]
    pub fn erf(self) -> Self {
        let x = self.abs();
        let t = Self::splat(1.0) / (Self::splat(1.0) + Self::splat(0.327_591_1) * x);
        let mut sum = Self::splat(0.0);
        for factor in [1.061_405_4, -1.453_152, 1.421_413_7, -0.284_496_74, 0.254_829_6] {
            sum = (sum + Self::splat(factor)) * t;
        }
        (Self::splat(1.0) - sum * (Self::splat(0.0) - x * x).exp()).with_sign_of(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use half::f16;

    #[test]
    fn halves_are_exact() {
        // Every finite half, subnormal ones and both zeros included.
        for bits in (0..=u16::MAX).filter(|bits| bits & 0x7c00 != 0x7c00) {
            let [x, ..] = F4::of_halves(&[bits, 0, 0, 0]).array();
            assert_eq!(x.to_bits(), f16::from_bits(bits).to_f32().to_bits(), "{bits:#x}");
        }
    }

    #[test]
    fn integers_are_unpacked_in_the_order_that_is_documented() {
        let packed: [u8; 16] = std::array::from_fn(|i| (2 * i % 16) as u8 | (((2 * i + 1) % 16) << 4) as u8);
        let ones = H8::of(&[1, 0, 0, 0, 0, 0, 0, 0]);
        let firsts = H8::of_nibbles(&packed).map(|h| h.dot(ones).to_float().sum());
        // Elements 0, 16, 1, 17, of which each is its index modulo 16.
        assert_eq!(firsts, [-8.0, -8.0, -7.0, -7.0]);
        let bytes: [u8; 32] = std::array::from_fn(|i| 255 - i as u8);
        let firsts = H8::of_bytes(&bytes).map(|h| h.dot(ones).to_float().sum());
        assert_eq!(firsts, [127.0, 119.0, 111.0, 103.0]);
        let most = H8::of(&[i16::MAX; 8]).dot(H8::of(&[-128; 8])).to_float().array();
        assert_eq!(most, [-128.0 * 2.0 * 32767.0; 4]);
    }

    #[test]
    fn functions_are_as_exact_as_they_say() {
        for i in -4000..4000 {
            let x = i as f32 * 0.022;
            let [exp, ..] = F4::splat(x).exp().array();
            let want = f64::from(x).exp();
            let allowed = want * 4e-7 * f64::from(x.abs()).max(1.0) + f64::from(f32::MIN_POSITIVE);
            assert!((f64::from(exp) - want).abs() <= allowed, "{x}");
            let [erf, ..] = F4::splat(x * 0.1).erf().array();
            assert!((f64::from(erf) - libm::erf(f64::from(x * 0.1))).abs() < 6e-7, "{x}");
        }
        assert!(F4::splat(-1e9).exp().sum() < 1e-36);
    }
}
