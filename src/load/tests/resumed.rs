//! Loads that end in the middle, and the next ones: what arrived is not requested again, and nothing wrong is kept.

use super::{CHECKPOINT, SMALL, Seen, Visit, WEIGHTS, files, folder, published};
use crate::hash::sha256;
use crate::hub::scripted::{Fault, Kind};
use crate::load::request::Request;
use crate::platform::abort::Signal;
use crate::platform::{Clock, Lock, Platform};
use crate::store::Store;
use futures_util::future::{Either, join, select};
use std::pin::pin;
use std::time::Duration;

/// A model, the file that its weights are in, and how many bytes that has.
const NAMES: [(&str, &str); 2] = [("o/published", CHECKPOINT), ("o/folder", WEIGHTS)];

fn size(path: &str) -> u64 {
    if path == CHECKPOINT { files().checkpoint.len() as u64 } else { files().folder[WEIGHTS].len() as u64 }
}

/// Loads a model until `bytes` bytes have arrived, then ends like a closed tab.
fn closed_after(visit: &Visit, name: &str, bytes: u64) {
    visit.world.run(async |world| {
        let held = visit.hub.hold_after(bytes);
        let (request, signal) = (visit.request(name), Signal::default());
        let loading = pin!(visit.load_with(&request, &signal));
        let later = async {
            held.await.expect("held");
            world.sleep(Duration::from_secs(1)).await; // what came is stored
        };
        match select(loading, pin!(later)).await {
            Either::Left((seen, _)) => panic!("it ended before: {} {}", seen.outcome(), seen.words()),
            Either::Right(_) => {} // what loads is dropped with this block
        }
        visit.hub.release();
    });
}

/// Every stored unit is what its record says, and the same as that of a load without any trouble.
fn assert_right(visit: &Visit, name: &str) {
    let calm = Visit::new();
    calm.fill(name).loaded("without trouble");
    let right = calm.hashes(name);
    for (unit, record) in visit.units(name) {
        assert_eq!(right[unit], (unit, record.sha256.clone()), "unit {unit} of {name}");
        let bytes = pollster::block_on(async {
            let models = visit.store.models().await.expect("models");
            let model = models.iter().find(|m| m.key.id == name).expect("stored");
            visit.store.unit(&model.key, unit).await.expect("read").expect("there")
        });
        assert_eq!(sha256(&bytes), record.sha256, "unit {unit} of {name}");
    }
}

#[test]
fn a_load_that_was_cut_goes_on_where_it_was() {
    for (name, path) in NAMES {
        let visit = Visit::new();
        for part in [3, 2] {
            let before = visit.stored_of(name);
            let bytes = (size(path) - before) * 2 / part / 2;
            closed_after(&visit, name, bytes);
            assert!(visit.stored_of(name) + (5 << 20) > before + bytes, "{name}: what came was stored");
            assert_right(&visit, name);
            assert_eq!(visit.world.open_bodies(), 0, "nobody reads on");
        }
        let stored = visit.stored_of(name);
        visit.hub.requests.take();
        let last = visit.fill(name).loaded(name);
        let sent = visit.hub.sent(path);
        assert!(sent <= size(path) - stored + SMALL, "{name}: {sent} bytes were sent where {stored} were stored");
        assert_eq!(stored > 0, last.progress.iter().any(|t| t.from_cache), "{name}");
        assert_right(&visit, name);
        assert!(visit.models().iter().all(|(_, complete)| *complete));
    }
    // At least one of them had something to resume from.
    let visit = Visit::new();
    closed_after(&visit, "o/published", 8_000_000);
    assert!(visit.units("o/published").len() >= 3);
}

#[test]
fn an_abort_answers_at_once_and_leaves_nothing_half_written() {
    for (name, path) in NAMES {
        let visit = Visit::new();
        visit.world.run(async |world| {
            let held = visit.hub.hold_after(size(path) * 3 / 4);
            let (request, signal) = (visit.request(name), Signal::default());
            let aborting = async {
                held.await.expect("held");
                world.sleep(Duration::from_secs(1)).await;
                signal.set();
                world.now()
            };
            let (seen, when) = join(visit.load_with(&request, &signal), aborting).await;
            seen.expect("aborted", name);
            assert_eq!(world.now(), when, "the hub still holds back what was asked for");
            world.sleep(Duration::from_millis(1)).await;
            assert_eq!(world.open_bodies(), 0);
            let mut lock = world.lock(&format!("tokenformer-web https://hub.example {name}")).expect("locks");
            assert!(lock.is_granted().await, "who wants the same does not wait");
        });
        assert_right(&visit, name);
        visit.hub.release();
        visit.fill(name).loaded(name);
    }
}

#[test]
fn an_abort_before_anything_is_one_too() {
    let visit = Visit::new();
    let signal = Signal::default();
    signal.set();
    let seen = visit.world.run(async |_| visit.load_with(&visit.request("o/folder"), &signal).await);
    seen.expect("aborted", "before it began");
    assert!(visit.hub.requests.borrow().is_empty());
}

#[test]
fn nothing_is_kept_before_its_hash_is_right() {
    // Once in each chunk, so that each unit is wrong once: permanently, or until it is requested again.
    for at in [100_000, 1_200_000, 2_200_000] {
        for times in [1, 2, u32::MAX] {
            let visit = Visit::to([("o/folder", folder())]);
            visit.hub.fail(Fault::once(Kind::Corrupt { at }).only_at(at).times(times));
            // (The first answer is that to the header's request.)
            let seen = visit.fill("o/folder");
            assert_eq!(seen.outcome() == "loaded", times < u32::MAX, "{at} {times}: {}", seen.words());
            visit.hub.mend();
            assert_right(&visit, "o/folder");
            visit.fill("o/folder").loaded((at, times));
            assert_right(&visit, "o/folder");
        }
    }
}

#[test]
fn what_is_damaged_is_fetched_again_and_nothing_else() {
    type Harm = fn(&mut Option<Vec<u8>>);
    let flip: Harm = |bytes| {
        let bytes = bytes.as_mut().expect("there");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 4;
    };
    let lose: Harm = |bytes| *bytes = None;
    for (name, path) in NAMES {
        let visit = Visit::new();
        visit.fill(name).loaded(name);
        let whole = size(path);
        let last = visit.units(name).len() - 1;
        for (unit, harm, garbled) in [(1, flip, 0), (1, lose, 0), (last, flip, 0), (0, flip, 0), (1, flip, 2)] {
            visit.store.harm(&format!("{unit:08}"), harm);
            visit.hub.requests.take();
            // Each time at another byte, a sign or an exponent, in the middle of the second unit.
            for n in 0..garbled {
                let at = (3 << 19) + 3 + 4 * n;
                visit.hub.fail(Fault::once(Kind::Corrupt { at }).only_at(at));
            }
            visit.fill(name).loaded((name, unit, garbled));
            assert!(visit.hub.mend(), "{name}: the faults were met");
            let sent = visit.hub.sent(path);
            // The last unit may be twice as long, and what is requested twice is sent twice.
            assert!(sent > 0 && sent < whole * 4 / 5 + SMALL + garbled * (2 << 20), "{name} {unit}: {sent} of {whole}");
            assert_right(&visit, name);
            visit.hub.requests.take();
            visit.fill(name).loaded((name, unit));
            assert_eq!(visit.hub.sent(path), 0, "{name}: it is complete again");
        }
    }
}

#[test]
fn what_comes_for_a_damaged_unit_is_compared_before_it_is_kept() {
    for (name, _) in NAMES {
        let visit = Visit::new();
        visit.fill(name).loaded(name);
        visit.store.harm("00000001", |bytes| bytes.as_mut().expect("there")[7] ^= 4);
        // A sign or an exponent, in the middle of the second unit.
        let at = (3 << 19) + 3;
        visit.hub.fail(Fault::always(Kind::Corrupt { at }).only_at(at));
        visit.fill(name).expect("integrity", name);
        visit.hub.mend();
        visit.fill(name).loaded(name);
        assert_right(&visit, name);
    }
}

#[test]
fn a_record_that_is_damaged_is_none() {
    for (name, path) in NAMES {
        for (place, from, to) in
            [("00000001", "\"pieces\":[", "\"pieces\": ["), ("|", "\"num_layers\":2", "\"num_layers\":1")]
        {
            let visit = Visit::new();
            visit.fill(name).loaded(name);
            visit.store.damage(|key, text| {
                if key.contains(place) && (place != "|" || !key.contains('\n')) {
                    *text = text.replace(from, to);
                }
            });
            visit.hub.requests.take();
            visit.fill(name).loaded((name, place));
            let sent = visit.hub.sent(path);
            assert!(sent < size(path) * 4 / 5 + SMALL, "{name} {place}: {sent} bytes were sent again");
            assert_right(&visit, name);
            visit.hub.requests.take();
            visit.fill(name).loaded((name, place));
            assert_eq!(visit.hub.sent(path), 0);
        }
    }
}

#[test]
fn what_is_called_complete_and_lacks_a_tensor_is_loaded_again() {
    for (name, path) in NAMES {
        let visit = Visit::new();
        let commit = visit.hub.commit(name);
        let request = Request { revision: commit, ..visit.request(name) };
        let right = visit.fill_with(&request).loaded(name).logits();
        pollster::block_on(async {
            let models = visit.store.models().await.expect("models");
            let (model, units) = (&models[0], visit.units(name));
            let (unit, record) = units.last().expect("units");
            let bytes = visit.store.unit(&model.key, *unit).await.expect("read").expect("there");
            let pieces = record.pieces[1..].to_vec();
            let record = crate::store::UnitRecord { pieces, ..record.clone() };
            visit.store.put_unit(&model.key, *unit, &record, bytes).await.expect("stored");
        });
        visit.hub.requests.take();
        assert!(visit.fill_with(&request).loaded(name).logits() == right, "{name}");
        assert!(visit.hub.sent(path) > 0, "{name}");
        visit.hub.requests.take();
        assert!(visit.fill_with(&request).loaded(name).logits() == right, "{name}");
        assert!(visit.hub.requests.borrow().is_empty(), "{name}: it is complete again");
    }
}

#[test]
fn two_tabs_share_one_download() {
    let visit = Visit::new();
    let seen: (Seen, Seen) = visit.world.run(async |_| {
        let (request, signal) = (visit.request("o/published"), Signal::default());
        join(visit.load_with(&request, &signal), visit.load_with(&request, &signal)).await
    });
    seen.0.loaded("the first");
    let words = seen.1.loaded("the second").words();
    assert!(!words.contains("Another tab"), "the first let go of the lock: {words}");
    assert!(visit.hub.sent(CHECKPOINT) < size(CHECKPOINT) + SMALL);
}

#[test]
fn a_tab_that_does_not_get_on_is_not_waited_for() {
    let visit = Visit::to([("o/published", published())]);
    let (seen, took) = visit.world.run(async |world| {
        let mut other = world.lock("tokenformer-web https://hub.example o/published").expect("locks");
        assert!(other.is_granted().await);
        let seen = visit.load_with(&visit.request("o/published"), &Signal::default()).await;
        drop(other);
        (seen, world.now().as_secs())
    });
    assert!(seen.words().contains("Another tab began to load this model and does not get on"), "{}", seen.words());
    assert!((20..40).contains(&took), "{took} seconds");
    seen.loaded("by itself");
    // A tab that shows signs of life is waited for as long as it does.
    let visit = Visit::to([("o/published", published())]);
    let took = visit.world.run(async |world| {
        let name = "tokenformer-web https://hub.example o/published";
        let mut other = world.lock(name).expect("locks");
        assert!(other.is_granted().await);
        let living = async {
            for sign in 0..10 {
                visit.store.put_note(name, &sign.to_string()).await.expect("noted");
                world.sleep(Duration::from_secs(5)).await;
            }
            drop(other);
        };
        let (request, signal) = (visit.request("o/published"), Signal::default());
        let (seen, ()) = join(visit.load_with(&request, &signal), living).await;
        assert!(!seen.words().contains("Another tab"), "{}", seen.words());
        seen.loaded("after the other one");
        world.now().as_secs()
    });
    assert!((50..60).contains(&took), "{took} seconds");
}

#[test]
fn a_storage_that_is_full_or_small_stops_nothing() {
    // The estimate says so before the download.
    let visit = Visit::new();
    visit.store.estimate(Some(1_000_000));
    let seen = visit.fill("o/published");
    assert!(seen.words().contains("1 MB") && seen.words().contains("not kept"), "{}", seen.words());
    seen.loaded("without keeping it");
    assert!(visit.models().is_empty());
    // The browser says so in the middle.
    let visit = Visit::new();
    visit.store.limit(1_200_000);
    let seen = visit.fill("o/published");
    assert!(seen.words().contains("not kept"), "{}", seen.words());
    seen.loaded("without keeping it");
    assert!(visit.models().is_empty(), "what can never become whole takes no room");
}
