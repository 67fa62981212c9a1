//! Bytes that are not what they should be: never used, never kept.

use super::{CHECKPOINT, SHAPE, Visit, WEIGHTS, files, lasting, of};
use crate::checkpoint::layout::{TensorId, tensors};
use crate::config::ModelConfig;
use crate::hub::scripted::{Fault, Kind};

/// In the third megabyte: within the embedding, in a unit of its own.
const AT: u64 = 2_400_000;

#[test]
fn a_wrong_byte_is_an_integrity_error_and_is_not_kept() {
    let visit = Visit::new();
    for (name, path) in
        [("o/published", CHECKPOINT), ("o/unaligned", CHECKPOINT), ("o/bare", WEIGHTS), ("o/folder", WEIGHTS)]
    {
        visit.hub.fail(Fault::always(Kind::Corrupt { at: AT.min(2_000_000) }));
        visit.fill(name).expect("integrity", name);
        visit.hub.mend();
        assert!(visit.models().iter().all(|(id, complete)| id != name || !complete), "{name}");
        visit.hub.requests.take();
        visit.fill(name).loaded(name);
        if name == "o/folder" {
            let (sent, all) = (visit.hub.sent(path), files().folder[WEIGHTS].len() as u64);
            assert!(sent < all * 2 / 3, "with hashes of the chunks, {sent} of {all} bytes were not sent again");
        }
    }
    assert!(visit.hub.violations.borrow().is_empty());
}

#[test]
fn what_tells_where_tensors_are_is_not_blamed_on_the_format() {
    let end = files().checkpoint.len() as u64;
    for (name, at) in [("o/published", 700), ("o/published", end - 30), ("o/bare", 20), ("o/folder", 20)] {
        let visit = Visit::new();
        visit.hub.fail(Fault::always(Kind::Corrupt { at }));
        visit.fill(name).expect("integrity", (name, at));
        assert!(visit.models().iter().all(|(_, complete)| !complete));
    }
}

#[test]
fn whatever_is_garbled_once_what_is_stored_in_the_end_is_right() {
    let directory = files().checkpoint.len() as u64 - 4_000;
    for (name, places) in [
        ("o/bare", [3, 200, 4_000, 500_000, AT.min(2_000_000)].as_slice()),
        ("o/folder", [3, 200, 4_000, 500_000, AT.min(2_000_000)].as_slice()),
        ("o/published", [directory, directory + 71, directory + 2_000, 900, 2_345, AT, 9_000_000].as_slice()),
    ] {
        let visit = Visit::new();
        visit.fill(name).loaded(name);
        let right = visit.hashes(name);
        assert!(right.len() > 1);
        for at in places {
            visit.forget();
            visit.hub.fail(Fault::once(Kind::Corrupt { at: *at }).only_at(*at));
            let seen = visit.fill(name);
            assert!(["loaded", "integrity"].contains(&seen.outcome()), "{name} {at}: {}", seen.words());
            assert!(visit.hub.mend(), "{name} {at} was met");
            visit.fill(name).loaded((name, at));
            assert_eq!(visit.hashes(name), right, "{name} {at}");
        }
    }
}

#[test]
fn what_a_plan_was_made_from_is_compared_with_what_streams_by() {
    // In the pickle, weight and bias of the last LayerNorm change their places: a plan like any other.
    let config = ModelConfig::from_json(SHAPE.as_bytes()).expect("a shape");
    let ids: Vec<_> = tensors(&config).collect();
    let file = &files().checkpoint;
    let key = |id| ids.iter().position(|known| *known == id).expect("a tensor").to_string();
    let place = |key: &str| {
        let text = [b"X", (key.len() as u32).to_le_bytes().as_slice(), key.as_bytes()].concat();
        file.windows(text.len()).position(|window| window == text).expect("in the pickle") + 5
    };
    let (weight, bias) = (key(TensorId::NormWeight), key(TensorId::NormBias));
    let (first, second) = (place(&weight), place(&bias));
    assert!(first < second && weight.len() == bias.len());
    let between = &file[first + weight.len()..second];
    let bytes = [bias.as_bytes(), between, weight.as_bytes()].concat();
    let at = first as u64;
    let visit = Visit::new();
    visit.hub.fail(Fault::once(Kind::Other { at, bytes }).only_at(at));
    let seen = visit.fill("o/published");
    assert!(["loaded", "integrity"].contains(&seen.outcome()), "{}", seen.words());
    assert!(visit.hub.mend(), "it was met");
    let [logits, right] = [visit, Visit::new()].map(|visit| visit.fill("o/published").loaded("in the end").logits());
    assert!(logits == right, "no tensor is in the place of another");
}

#[test]
fn what_cannot_be_right_is_refused_whatever_its_hash() {
    let mut infinite = files().folder[WEIGHTS].clone();
    let end = infinite.len();
    infinite[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes()); // of the final LayerNorm's bias
    let config = ("config.json", files().folder["config.json"].as_slice());
    let visit = Visit::to([
        ("o/infinite", of([config, (WEIGHTS, lasting(infinite))])),
        ("o/short", of([config, (WEIGHTS, &files().folder[WEIGHTS][..1_500_000])])),
        ("o/zeros", of([("config.json", files().config.as_slice()), (CHECKPOINT, lasting(vec![7; 2_000_000]))])),
    ]);
    for name in ["o/infinite", "o/short", "o/zeros"] {
        let seen = visit.fill(name).expect("unsupported-checkpoint", name);
        assert!(!seen.words().is_empty() && visit.models().iter().all(|(_, complete)| !complete), "{name}");
    }
}

#[test]
fn a_hash_that_the_hub_tells_is_the_files() {
    let mut visit = super::published();
    visit.hashes.insert(CHECKPOINT.into(), "a".repeat(64));
    let visit = Visit::to([("o/a", visit)]);
    visit.fill("o/a").expect("integrity", "the file is not the one that the hub means");
    assert!(visit.hashes("o/a").is_empty(), "nothing tells which part of it is wrong");
}
