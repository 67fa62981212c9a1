//! Arrays, for processors that the kernels are not written for.

use std::ops::{Add, Div, Mul, Sub};

/// Four f32.
#[derive(Clone, Copy)]
pub struct F4([f32; 4]);

/// Four i32.
#[derive(Clone, Copy)]
pub struct I4([i32; 4]);

/// Eight i16.
#[derive(Clone, Copy)]
pub struct H8([i16; 8]);

/// What `of` gives for each place. `std::array::from_fn` and `map` are calls where a crate's units are not optimised
/// across each other.
#[inline(always)]
fn four<T>(of: impl Fn(usize) -> T) -> [T; 4] {
    [of(0), of(1), of(2), of(3)]
}

/// The same of eight.
#[inline(always)]
fn eight<T>(of: impl Fn(usize) -> T) -> [T; 8] {
    [of(0), of(1), of(2), of(3), of(4), of(5), of(6), of(7)]
}

impl F4 {
    /// The same four times.
    #[inline(always)]
    pub fn splat(x: f32) -> Self {
        Self([x; 4])
    }

    /// From memory.
    #[inline(always)]
    pub fn of(x: &[f32; 4]) -> Self {
        Self(*x)
    }

    /// Four finite f16.
    #[inline(always)]
    pub fn of_halves(x: &[u16; 4]) -> Self {
        // The exponent's bias is 112 less; 2^112 also normalizes what is subnormal.
        Self(four(|i| {
            let h = x[i];
            let magnitude = f32::from_bits((u32::from(h) & 0x7fff) << 13) * f32::from_bits(0x7780_0000);
            f32::from_bits(magnitude.to_bits() | (u32::from(h) & 0x8000) << 16)
        }))
    }

    /// To memory.
    #[inline(always)]
    pub fn array(self) -> [f32; 4] {
        self.0
    }

    /// The larger of each two.
    #[inline(always)]
    pub fn max(self, other: Self) -> Self {
        Self(four(|i| if self.0[i] < other.0[i] { other.0[i] } else { self.0[i] }))
    }

    /// Magnitudes.
    #[inline(always)]
    pub fn abs(self) -> Self {
        Self(four(|i| self.0[i].abs()))
    }

    /// The nearest integers; ties go to the even one.
    #[inline(always)]
    pub fn nearest(self) -> Self {
        Self(four(|i| self.0[i].round_ties_even()))
    }

    /// 2^x for integers from −126 to 127.
    #[inline(always)]
    pub fn power_of_two(self) -> Self {
        Self(four(|i| f32::from_bits(((self.0[i] as i32 + 127) << 23) as u32)))
    }

    /// Its magnitudes with the signs of `other`.
    #[inline(always)]
    pub fn with_sign_of(self, other: Self) -> Self {
        Self(four(|i| self.0[i].copysign(other.0[i])))
    }
}

impl Add for F4 {
    type Output = Self;

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self(four(|i| self.0[i] + other.0[i]))
    }
}

impl Sub for F4 {
    type Output = Self;

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        Self(four(|i| self.0[i] - other.0[i]))
    }
}

impl Mul for F4 {
    type Output = Self;

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        Self(four(|i| self.0[i] * other.0[i]))
    }
}

impl Div for F4 {
    type Output = Self;

    #[inline(always)]
    fn div(self, other: Self) -> Self {
        Self(four(|i| self.0[i] / other.0[i]))
    }
}

impl Add for I4 {
    type Output = Self;

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self(four(|i| self.0[i].wrapping_add(other.0[i])))
    }
}

impl I4 {
    /// The nearest f32.
    #[inline(always)]
    pub fn to_float(self) -> F4 {
        F4(four(|i| self.0[i] as f32))
    }
}

impl H8 {
    /// From memory.
    #[inline(always)]
    pub fn of(x: &[i16; 8]) -> Self {
        Self(*x)
    }

    /// 32 elements of four bits, less 8 each: 0, 2, … 14; 16, 18, … 30; 1, 3, … 15; 17, 19, … 31.
    #[inline(always)]
    pub fn of_nibbles(x: &[u8; 16]) -> [Self; 4] {
        let low = |from: usize| Self(eight(|i| i16::from(x[from + i] & 15) - 8));
        let high = |from: usize| Self(eight(|i| i16::from(x[from + i] >> 4) - 8));
        [low(0), low(8), high(0), high(8)]
    }

    /// 32 elements of eight bits, less 128 each, in their order.
    #[inline(always)]
    pub fn of_bytes(x: &[u8; 32]) -> [Self; 4] {
        four(|part| Self(eight(|i| i16::from(x[part * 8 + i]) - 128)))
    }

    /// Products, each two neighbouring ones added.
    #[inline(always)]
    pub fn dot(self, other: Self) -> I4 {
        let product = |i: usize| i32::from(self.0[i]) * i32::from(other.0[i]);
        I4(four(|i| product(2 * i).wrapping_add(product(2 * i + 1))))
    }
}
