//! One request: how long it may take, how often it is retried, and what is reported meanwhile.

use super::super::ranges::{measure, peek, small};
use super::super::retry::{ATTEMPTS, SILENCE, STALL};
use super::super::scripted::{Fault, Kind, Missing};
use super::{LARGE, LARGE_BYTES, Place, SMALL, large};
use crate::error::{ErrorCode, ErrorKind};
use crate::platform::Clock;
use std::time::Duration;

const LIMIT: usize = 1 << 20;

#[test]
fn small_files_come_whole() {
    let place = Place::new();
    let bytes = place.world.run(async |_| small(&place.client(), SMALL, Some(14), LIMIT).await).expect("fetched");
    assert_eq!(bytes, b"{\"small\":true}");
    for (size, limit, code) in [(Some(13), LIMIT, ErrorCode::Integrity), (None, 13, ErrorCode::InvalidConfig)] {
        let place = Place::new();
        let e = place.world.run(async |_| small(&place.client(), SMALL, size, limit).await).expect_err("refused");
        assert_eq!(e.code, code);
    }
    for fault in [Kind::Cut { after: 10 }, Kind::Short { less: 3 }, Kind::Stall { after: 4 }, Kind::status(503)] {
        let place = Place::new();
        place.hub.fail(Fault::once(fault.clone()).hub("resolve-cache"));
        let fetched = place.world.run(async |_| small(&place.client(), SMALL, Some(14), LIMIT).await);
        assert_eq!(fetched.expect("fetched").len(), 14, "{fault:?}");
        assert!(place.hub.mend(), "{fault:?} was met");
    }
}

#[test]
fn a_part_of_a_file_is_that_part() {
    for range in [0..100, 1..100_000, LARGE_BYTES - 10..LARGE_BYTES + 10] {
        for (ignores, hides) in [(false, false), (true, false), (false, true)] {
            let place = Place::new();
            place.hub.ignores_ranges.set(ignores);
            place.hub.hides_ranges.set(hides);
            let seen = place.world.run(async |_| peek(&place.client(), LARGE, range.clone()).await).expect("read");
            let end = range.end.min(LARGE_BYTES) as usize;
            assert!(seen.bytes == large()[range.start as usize..end], "{range:?}");
            assert_eq!(seen.total, (!ignores && !hides).then_some(LARGE_BYTES));
        }
    }
    // An answer that is cut off is requested again; one that is shorter than announced is an error.
    let place = Place::new();
    place.hub.fail(Fault::once(Kind::Cut { after: 50 }));
    assert_eq!(place.world.run(async |_| peek(&place.client(), LARGE, 0..100).await).expect("read").bytes.len(), 100);
    let place = Place::new();
    let beyond = LARGE_BYTES..LARGE_BYTES + 1;
    let e = place.world.run(async |_| peek(&place.client(), LARGE, beyond).await.err()).expect("refused");
    assert_eq!(e.code, ErrorCode::Integrity);
}

#[test]
fn a_size_that_nobody_tells_is_measured_and_that_is_said() {
    let place = Place::new();
    place.hub.plain.set(true);
    assert_eq!(place.world.run(async |_| measure(&place.client(), LARGE).await).expect("measured"), LARGE_BYTES);
    let words = place.words();
    assert_eq!(words.len(), 5, "{words:?}");
    assert_eq!(words[0], "The server does not tell the size of weights.bin: 1 MB read");
    assert_eq!(place.waits.borrow().last().expect("told").1, None, "and that it is over");
    place.hub.fail(Fault::always(Kind::Endless { first: Vec::new() }).hub(""));
    let e = place.world.run(async |world| {
        let (signal, world) = (place.signal.clone(), world.clone());
        let later = world.clone();
        crate::platform::Platform::spawn(&world, async move {
            later.sleep(Duration::from_secs(1)).await;
            signal.set();
        });
        measure(&place.client(), LARGE).await.expect_err("it has no end")
    });
    assert_eq!(e.code, ErrorCode::Aborted);
}

#[test]
fn what_never_answers_is_said_after_three_seconds_and_given_up_after_twenty() {
    let place = Place::new();
    place.hub.fail(Fault::always(Kind::Silent));
    let (e, took) = place
        .world
        .run(async |world| (peek(&place.client(), LARGE, 0..1).await.err().expect("no answer"), world.now()));
    assert_eq!((e.code, e.kind), (ErrorCode::Network, ErrorKind::Plain), "who hides an answer gives one");
    let waits = place.waits.borrow();
    let (first, words) = &waits[0];
    assert!((SILENCE..SILENCE + Duration::from_secs(1)).contains(first), "{first:?}");
    assert_eq!(words.as_deref(), Some("Waiting for an answer of hub.example"));
    assert!(took > STALL * ATTEMPTS && took < (STALL + Duration::from_secs(16)) * ATTEMPTS, "{took:?}");
}

#[test]
fn attempts_are_counted_aloud() {
    let place = Place::new();
    place.hub.fail(Fault::always(Kind::status(500)));
    let e = place.world.run(async |_| peek(&place.client(), LARGE, 0..1).await.err()).expect("refused");
    assert_eq!(e.code, ErrorCode::Network);
    let words = place.words();
    assert_eq!(words.len() as u32, ATTEMPTS - 1);
    assert_eq!(words[0], "hub.example does not answer as it should: attempt 2 of 6");
    assert_eq!(words[4], "hub.example does not answer as it should: attempt 6 of 6");
}

#[test]
fn a_limit_of_the_hub_is_waited_for_and_ends() {
    for exposes in [false, true] {
        let place = Place::new();
        place.hub.exposes_retry_after.set(exposes);
        let limit = Kind::Status { status: 429, code: None, retry_after: Some(55) };
        place.hub.fail(Fault::once(limit).hub("config").times(2));
        let took = place.world.run(async |world| {
            small(&place.client(), SMALL, None, LIMIT).await.expect("fetched");
            world.now().as_secs()
        });
        // Otherwise, steps of 10 and 20 seconds.
        assert!(if exposes { (110..112).contains(&took) } else { (30..34).contains(&took) }, "{took}");
        assert!(place.words().iter().all(|words| words.contains("asks to wait: the next attempt comes in")));
    }
    let place = Place::new();
    place.hub.fail(Fault::always(Kind::status(429)).hub(""));
    let (e, took) = place.world.run(async |world| {
        (small(&place.client(), SMALL, None, LIMIT).await.expect_err("refused"), world.now().as_secs())
    });
    assert_eq!(e.code, ErrorCode::RateLimited);
    assert!((300..400).contains(&took), "{took}");
}

#[test]
fn a_trickle_is_no_answer() {
    let place = Place::new();
    place.hub.fail(Fault::always(Kind::Trickle { every: Duration::from_secs(2) }).hub("resolve-cache"));
    let (e, took) = place
        .world
        .run(async |world| (small(&place.client(), SMALL, None, LIMIT).await.expect_err("too slow"), world.now()));
    assert_eq!(e.code, ErrorCode::Network);
    assert!(took < (STALL + Duration::from_secs(16)) * ATTEMPTS, "{took:?}");
}

#[test]
fn beside_a_copy_nobody_waits_long() {
    for (copy, optional, attempts) in [(true, false, 2), (false, true, 2), (false, false, 6)] {
        let place = Place::new();
        place.hub.fail(Fault::always(Kind::status(500)).hub(""));
        place.world.run(async |_| {
            let client = place.client();
            client.has_copy(copy);
            client.expect_absences(optional);
            small(&client, SMALL, None, LIMIT).await.expect_err("refused")
        });
        assert_eq!(place.hub.asked(SMALL), attempts);
    }
    let place = Place::new();
    place.hub.fail(Fault::always(Kind::status(429)).hub(""));
    place.world.run(async |_| {
        let client = place.client();
        client.has_copy(true);
        assert_eq!(small(&client, SMALL, None, LIMIT).await.expect_err("refused").code, ErrorCode::RateLimited);
    });
    assert_eq!(place.hub.asked(SMALL), 1, "a limit is not waited for at all");
}

#[test]
fn without_a_network_nobody_tries_again() {
    let place = Place::new();
    place.world.set_offline(true);
    let e = place.world.run(async |_| small(&place.client(), SMALL, None, LIMIT).await.expect_err("offline"));
    assert_eq!((e.code, e.kind), (ErrorCode::Network, ErrorKind::Offline));
    assert!(e.message.contains("This device is offline") && place.words().is_empty(), "{e}");
}

#[test]
fn an_answer_that_is_hidden_looks_like_none() {
    let place = Place::new();
    place.hub.plain.set(true);
    place.hub.missing.set(Some(Missing::Hidden));
    let e = place.world.run(async |_| small(&place.client(), "nothing.json", None, LIMIT).await.expect_err("hidden"));
    assert_eq!((e.code, e.kind), (ErrorCode::Network, ErrorKind::Unreadable));
}
