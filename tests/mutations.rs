//! The cases of `fuzz/` over their seeds and over mutations of these: in a second each, and without libFuzzer, what
//! `scripts/fuzz` looks for in minutes. The mutations are the same in every run.

#[path = "../fuzz/cases/archive.rs"]
mod archive;
#[path = "../fuzz/cases/config.rs"]
mod config;
#[path = "../fuzz/cases/hub.rs"]
mod hub;
#[path = "../fuzz/cases/pack.rs"]
mod pack;
#[path = "../fuzz/cases/pickle.rs"]
mod pickle;
#[path = "../fuzz/cases/safetensors.rs"]
mod safetensors;
#[path = "../fuzz/cases/tokenizer.rs"]
mod tokenizer;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// No seed yields longer inputs than this (libFuzzer gets the same limit).
const MAX_LEN: usize = 65_536;
/// A case that takes longer than this for an input of that length would freeze a user's page. A busy machine
/// takes milliseconds.
const HANG: Duration = Duration::from_secs(10);

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

/// Numbers at which sizes, offsets and lengths go wrong.
const NUMBERS: [&str; 8] =
    ["0", "-1", "4294967296", "9007199254740992", "9223372036854775807", "18446744073709551615", "1e999", "\"7\""];
const BYTES: [u64; 6] = [0, 1, 0x7FFF_FFFF, 0xFFFF_FFFF, 0x7FFF_FFFF_FFFF_FFFF, u64::MAX];

/// One change, of a kind that libFuzzer makes as well.
fn mutate(data: &mut Vec<u8>, random: &mut Random) {
    let at = random.below(data.len());
    match random.below(8) {
        0 if !data.is_empty() => data[at] ^= 1 << random.below(8),
        1 if !data.is_empty() => data[at] = random.next() as u8,
        2 => data.truncate(at),
        3 if !data.is_empty() => {
            let end = at + random.below((data.len() - at).min(64));
            data.drain(at..end);
        }
        4 => {
            let piece: Vec<u8> = data[at.min(data.len())..].iter().take(random.below(64)).copied().collect();
            let to = random.below(data.len());
            data.splice(to..to, piece);
        }
        5 => {
            let width = [1, 2, 4, 8][random.below(4)];
            let value = BYTES[random.below(BYTES.len())].to_le_bytes();
            let end = (at + width).min(data.len());
            data[at.min(end)..end].copy_from_slice(&value[..end - at.min(end)]);
        }
        _ => {
            // A number in digits is replaced by another one.
            if let Some(start) = (at..data.len()).find(|&i| data[i].is_ascii_digit()) {
                let digits = data[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
                data.splice(start..start + digits, NUMBERS[random.below(NUMBERS.len())].bytes());
            }
        }
    }
    data.truncate(MAX_LEN);
}

/// Runs a case on every seed of `fuzz/seeds/NAME`, and on `count` mutations of these.
fn check(name: &str, run: fn(&[u8]), count: usize) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(name);
    let mut paths: Vec<_> = fs::read_dir(&folder).expect("seeds").map(|entry| entry.expect("entry").path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{folder:?} has seeds");
    let seeds: Vec<Vec<u8>> = paths.iter().map(|path| fs::read(path).expect("seed")).collect();
    seeds.iter().for_each(|seed| run(seed));
    let mut random = Random(name.len() as u64);
    for i in 0..count {
        let mut data = seeds[i % seeds.len()].clone();
        for _ in 0..=random.below(4) {
            mutate(&mut data, &mut random);
        }
        let begun = Instant::now();
        run(&data);
        assert!(begun.elapsed() < HANG, "mutation {i} of {name} took {:?}", begun.elapsed());
    }
}

macro_rules! cases {
    ($($name:ident: $count:literal,)*) => {
        $(#[test]
        fn $name() {
            check(stringify!($name), $name::run, $count);
        })*
        /// A case that is missing from the list would only be run by `scripts/fuzz`.
        #[test]
        fn every_case_is_here() {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/cases");
            let there = fs::read_dir(folder).expect("cases").count();
            assert_eq!(there, [$(stringify!($name)),*].len());
        }
    };
}

cases! {
    archive: 4_000,
    config: 20_000,
    hub: 20_000,
    pack: 20_000,
    pickle: 20_000,
    safetensors: 4_000,
    tokenizer: 4_000,
}
