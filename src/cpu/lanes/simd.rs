//! WebAssembly's vectors.

use core::arch::wasm32::*;
use std::ops::{Add, Div, Mul, Sub};

/// Four f32.
#[derive(Clone, Copy)]
pub struct F4(v128);

/// Four i32.
#[derive(Clone, Copy)]
pub struct I4(v128);

/// Eight i16.
#[derive(Clone, Copy)]
pub struct H8(v128);

impl F4 {
    /// The same four times.
    #[inline(always)]
    pub fn splat(x: f32) -> Self {
        Self(f32x4_splat(x))
    }

    /// From memory.
    #[inline(always)]
    pub fn of(x: &[f32; 4]) -> Self {
        Self(bytemuck::cast(*x))
    }

    /// Four finite f16.
    #[inline(always)]
    pub fn of_halves(x: &[u16; 4]) -> Self {
        // The exponent's bias is 112 less; 2^112 also normalizes what is subnormal.
        let [bits]: [u64; 1] = bytemuck::cast(*x);
        let h = u32x4_extend_low_u16x8(u64x2(bits, 0));
        let magnitude = u32x4_shl(v128_and(h, u32x4_splat(0x7fff)), 13);
        let magnitude = f32x4_mul(magnitude, u32x4_splat(0x7780_0000));
        Self(v128_or(magnitude, u32x4_shl(v128_and(h, u32x4_splat(0x8000)), 16)))
    }

    /// To memory.
    #[inline(always)]
    pub fn array(self) -> [f32; 4] {
        bytemuck::cast(self.0)
    }

    /// The larger of each two.
    #[inline(always)]
    pub fn max(self, other: Self) -> Self {
        Self(f32x4_pmax(self.0, other.0))
    }

    /// Magnitudes.
    #[inline(always)]
    pub fn abs(self) -> Self {
        Self(f32x4_abs(self.0))
    }

    /// The nearest integers; ties go to the even one.
    #[inline(always)]
    pub fn nearest(self) -> Self {
        Self(f32x4_nearest(self.0))
    }

    /// 2^x for integers from −126 to 127.
    #[inline(always)]
    pub fn power_of_two(self) -> Self {
        Self(i32x4_shl(i32x4_add(i32x4_trunc_sat_f32x4(self.0), i32x4_splat(127)), 23))
    }

    /// Its magnitudes with the signs of `other`.
    #[inline(always)]
    pub fn with_sign_of(self, other: Self) -> Self {
        Self(v128_bitselect(other.0, self.0, u32x4_splat(0x8000_0000)))
    }
}

impl Add for F4 {
    type Output = Self;

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self(f32x4_add(self.0, other.0))
    }
}

impl Sub for F4 {
    type Output = Self;

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        Self(f32x4_sub(self.0, other.0))
    }
}

impl Mul for F4 {
    type Output = Self;

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        Self(f32x4_mul(self.0, other.0))
    }
}

impl Div for F4 {
    type Output = Self;

    #[inline(always)]
    fn div(self, other: Self) -> Self {
        Self(f32x4_div(self.0, other.0))
    }
}

impl Add for I4 {
    type Output = Self;

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self(i32x4_add(self.0, other.0))
    }
}

impl I4 {
    /// The nearest f32.
    #[inline(always)]
    pub fn to_float(self) -> F4 {
        F4(f32x4_convert_i32x4(self.0))
    }
}

impl H8 {
    /// From memory.
    #[inline(always)]
    pub fn of(x: &[i16; 8]) -> Self {
        Self(bytemuck::cast(*x))
    }

    /// 32 elements of four bits, less 8 each: 0, 2, … 14; 16, 18, … 30; 1, 3, … 15; 17, 19, … 31.
    #[inline(always)]
    pub fn of_nibbles(x: &[u8; 16]) -> [Self; 4] {
        let x: v128 = bytemuck::cast(*x);
        let low = i8x16_sub(v128_and(x, u8x16_splat(15)), i8x16_splat(8));
        let high = i8x16_sub(u8x16_shr(x, 4), i8x16_splat(8));
        let ([a, b], [c, d]) = (extend(low), extend(high));
        [a, b, c, d]
    }

    /// 32 elements of eight bits, less 128 each, in their order.
    #[inline(always)]
    pub fn of_bytes(x: &[u8; 32]) -> [Self; 4] {
        let x: [v128; 2] = bytemuck::cast(*x);
        let [[a, b], [c, d]] = x.map(|x| extend(v128_xor(x, u8x16_splat(0x80))));
        [a, b, c, d]
    }

    /// Products, each two neighbouring ones added.
    #[inline(always)]
    pub fn dot(self, other: Self) -> I4 {
        I4(i32x4_dot_i16x8(self.0, other.0))
    }
}

#[inline(always)]
fn extend(x: v128) -> [H8; 2] {
    [H8(i16x8_extend_low_i8x16(x)), H8(i16x8_extend_high_i8x16(x))]
}
