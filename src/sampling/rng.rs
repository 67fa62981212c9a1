//! Counter-based random numbers: any draw can be made again, in any order, on any device.

/// Philox4x32-10 (Salmon et al., 2011): four words from a counter and a key.
fn philox4x32(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..10 {
        let a = u64::from(counter[0]) * 0xD251_1F53;
        let b = u64::from(counter[2]) * 0xCD9E_8D57;
        counter = [(b >> 32) as u32 ^ counter[1] ^ key[0], b as u32, (a >> 32) as u32 ^ counter[3] ^ key[1], a as u32];
        key = [key[0].wrapping_add(0x9E37_79B9), key[1].wrapping_add(0xBB67_AE85)];
    }
    counter
}

/// Gumbel noise for the choice of token `id` at `index` of a completion: −ln(−ln u) with u uniform in (0, 1), in steps
/// of 2⁻²³: an f32 holds every (n + ½) · 2⁻²³, so that u is never 0 or 1 and neither logarithm is of 0. With a 24th bit
/// the highest values would round to 1, and their noise to infinity.
pub fn gumbel(seed: u64, index: u32, id: u32) -> f32 {
    // One block serves four neighbouring ids.
    let words = philox4x32([id / 4, index, 0, 0], [seed as u32, (seed >> 32) as u32]);
    let u = ((words[id as usize % 4] >> 9) as f32 + 0.5) / (1 << 23) as f32;
    -(-u.ln()).ln()
}

/// A number in (0, 1) for the choice of the token at `index` of a completion, independent of its noise.
pub fn coin(seed: u64, index: u32) -> f32 {
    let [word, ..] = philox4x32([0, index, 2, 0], [seed as u32, (seed >> 32) as u32]);
    ((word >> 9) as f32 + 0.5) / (1 << 23) as f32
}

/// Four independent numbers of the standard normal distribution (Box and Muller, 1958): the `index`th four of a seed.
/// `libm` computes them identically on every machine.
pub fn normals(seed: u64, index: u32) -> [f32; 4] {
    let words = philox4x32([index, 0, 3, 0], [seed as u32, (seed >> 32) as u32]);
    let [a, b, c, d] = words.map(|word| (f64::from(word) + 0.5) / (1u64 << 32) as f64);
    let pair = |u: f64, v: f64| {
        let (radius, angle) = (libm::sqrt(-2.0 * libm::log(u)), 2.0 * std::f64::consts::PI * v);
        [(radius * libm::cos(angle)) as f32, (radius * libm::sin(angle)) as f32]
    };
    let [[w, x], [y, z]] = [pair(a, b), pair(c, d)];
    [w, x, y, z]
}

/// The `index`th of a sequence of integers below `n`, each as likely as any other.
pub fn below(n: usize, seed: u64, index: u32) -> usize {
    let [word, ..] = philox4x32([index, 0, 1, 0], [seed as u32, (seed >> 32) as u32]);
    ((u64::from(word) * n as u64) >> 32) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers_of_random123() {
        assert_eq!(philox4x32([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(philox4x32([u32::MAX; 4], [u32::MAX; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
    }

    #[test]
    fn the_highest_words_give_finite_noise() {
        // Their 24 highest bits are all set.
        for (seed, index, id) in [(1, 26, 138), (1, 562, 43_063), (7, 35, 12_376)] {
            let words = philox4x32([id / 4, index, 0, 0], [seed as u32, 0]);
            assert_eq!(words[id as usize % 4] >> 8, 0xff_ffff);
            let noise = gumbel(seed, index, id);
            assert!(noise > 15.0 && noise < 17.0, "{noise}");
        }
    }

    #[test]
    fn normals_are_normal() {
        let all: Vec<f64> = (0..25_000).flat_map(|i| normals(1 << 40, i)).map(f64::from).collect();
        let mean = |power: i32| all.iter().map(|x| x.powi(power)).sum::<f64>() / all.len() as f64;
        for (power, want) in [(1, 0.0), (2, 1.0), (3, 0.0), (4, 3.0)] {
            assert!((mean(power) - want).abs() < 0.06, "moment {power}: {}", mean(power));
        }
        assert!(all.iter().all(|x| x.abs() < 6.8), "no word gives an infinite one");
        assert_ne!(normals(1, 0), normals(1 << 32, 0));
    }

    #[test]
    fn noise_is_finite_and_has_the_gumbel_mean() {
        let n = 100_000;
        let values = (0..n).map(|i| gumbel(1 << 52, i / 7, i % 7));
        let mean = values.inspect(|g| assert!(g.is_finite())).map(f64::from).sum::<f64>() / f64::from(n);
        assert!((mean - 0.5772).abs() < 0.02, "{mean}");
    }
}
