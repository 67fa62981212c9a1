//! A large file in ranges: in order, whatever happens, and no faster than it is taken.

use super::super::client::Client;
use super::super::ranges::{Reader, peek};
use super::super::retry::{ATTEMPTS, STALL};
use super::super::scripted::{Fault, Kind};
use super::{LARGE, LARGE_BYTES, Place, large};
use crate::error::{ErrorCode, Result};
use crate::platform::Clock;
use crate::platform::simulated::World;
use std::cell::Cell;
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

/// A reader of a part of the large file, and the bytes that it has counted.
fn reader(client: &Rc<Client<World>>, run: Range<u64>, prefix: Option<&[u8]>) -> (Reader<World>, Rc<Cell<u64>>) {
    let counted = Rc::new(Cell::new(0));
    let count = counted.clone();
    let on_bytes = Rc::new(move |bytes| count.set(count.get() + bytes));
    let prefix = prefix.map(<[u8]>::to_vec);
    (Reader::new(client.clone(), (LARGE, LARGE_BYTES), run, prefix, None, on_bytes), counted)
}

/// Reads to the end; every piece must be where it says.
async fn read(client: &Rc<Client<World>>, run: Range<u64>, prefix: Option<&[u8]>) -> Result<()> {
    let (mut reader, counted) = reader(client, run.clone(), prefix);
    let mut position = run.start;
    while let Some((at, piece)) = reader.next().await? {
        assert_eq!(at, position, "pieces come one after the other");
        position += piece.len() as u64;
        assert!(piece == large()[at as usize..position as usize], "the bytes at {at} are those of the file");
    }
    assert_eq!((position, counted.get()), (run.end, run.end - run.start), "to the last byte, each counted once");
    Ok(())
}

#[test]
fn every_byte_comes_once_and_in_order() {
    for run in [0..LARGE_BYTES, 1..LARGE_BYTES - 1, (1 << 20)..(3 << 20), 4_000_000..4_000_001] {
        let place = Place::new();
        place.world.run(async |_| read(&place.client(), run.clone(), None).await).expect("read");
        assert_eq!(place.hub.sent(LARGE), run.end - run.start, "nothing is asked for twice");
        assert!(place.hub.violations.borrow().is_empty());
        assert_eq!(place.world.open_bodies(), 0);
    }
}

#[test]
fn what_is_there_is_not_asked_for() {
    let place = Place::new();
    let have = 1_500_000;
    place.world.run(async |_| read(&place.client(), 0..LARGE_BYTES, Some(&large()[..have])).await).expect("read");
    assert_eq!(place.hub.sent(LARGE), LARGE_BYTES - have as u64);
}

#[test]
fn four_ranges_are_on_their_way_at_a_time() {
    let place = Place::new();
    place.world.run(async |world| {
        let held = place.hub.hold_after(0);
        let client = place.client();
        let (mut reader, _) = reader(&client, 0..LARGE_BYTES, None);
        crate::platform::Platform::spawn(world, async move { drop(reader.next().await) });
        held.await.expect("held");
        world.sleep(Duration::from_secs(2)).await;
        assert_eq!(place.hub.requests.borrow().iter().filter(|r| r.status == 206).count(), 4);
        place.signal.set();
    });
}

#[test]
fn a_connection_that_breaks_goes_on_where_it_was() {
    for fault in [
        Kind::Cut { after: 300_000 },
        Kind::Stall { after: 100_000 },
        Kind::Short { less: 1000 },
        Kind::Long,
        Kind::NoRange,
        Kind::WrongRange,
        Kind::Slow { rate: 20_000_000 },
        Kind::Silent,
        Kind::status(500),
        Kind::status(408),
        Kind::status(429),
        Kind::status(403),
    ] {
        let place = Place::new();
        place.hub.fail(Fault::once(fault.clone()).times(2));
        place.world.run(async |_| read(&place.client(), 0..LARGE_BYTES, None).await).expect("read");
        assert!(place.hub.mend(), "{fault:?} was met");
        let again = place.hub.sent(LARGE) - LARGE_BYTES;
        match fault {
            // Where every request returns the whole file, it may be requested twice.
            Kind::NoRange => assert!(again <= 2 * LARGE_BYTES, "{again}"),
            _ => assert!(again < 64 << 10, "{fault:?}: {again} bytes came twice"),
        }
        assert_eq!(place.world.open_bodies(), 0, "{fault:?}");
    }
}

#[test]
fn a_server_that_cuts_every_answer_is_asked_while_it_brings_something() {
    for (after, ends) in [(100_000, true), (1000, false), (0, false)] {
        let place = Place::new();
        place.hub.fail(Fault::always(Kind::Cut { after }));
        let seen = place.world.run(async |_| read(&place.client(), 0..LARGE_BYTES, None).await);
        assert_eq!(seen.is_ok(), ends, "{after}");
        if let Err(e) = seen {
            assert_eq!(e.code, ErrorCode::Network);
            let asked = place.hub.requests.borrow().iter().filter(|r| r.status == 206).count();
            assert!(asked <= 4 * ATTEMPTS as usize, "{asked} requests");
        }
    }
}

#[test]
fn an_answer_that_stalls_is_given_up_after_twenty_seconds() {
    let place = Place::new();
    place.hub.fail(Fault::once(Kind::Stall { after: 70_000 }));
    let took = place.world.run(async |world| {
        read(&place.client(), 0..(1 << 20), None).await.expect("read");
        world.now()
    });
    assert!((STALL..STALL + Duration::from_secs(2)).contains(&took), "{took:?}");

    // So is one that brings a byte now and then.
    let place = Place::new();
    place.hub.fail(Fault::once(Kind::Trickle { every: Duration::from_secs(1) }));
    let took = place.world.run(async |world| {
        let client = place.client();
        let (mut reader, counted) = reader(&client, 0..1 << 20, None);
        while reader.next().await.expect("read").is_some() {}
        assert_eq!(counted.get(), 1 << 20);
        world.now()
    });
    assert!((STALL..STALL + Duration::from_secs(2)).contains(&took), "{took:?}");
}

#[test]
fn nobody_brings_more_than_is_taken() {
    let place = Place::new();
    place.hub.fail(Fault::always(Kind::Endless { first: Vec::new() }));
    place.hub.ignores_ranges.set(true);
    place.world.run(async |world| {
        let client = place.client();
        peek(&client, LARGE, 0..1).await.expect("a byte"); // now it is known that every answer is the whole file
        let counted = Rc::new(Cell::new(0));
        let count = counted.clone();
        let on_bytes = Rc::new(move |bytes| count.set(count.get() + bytes));
        let mut reader = Reader::new(client, (LARGE, 1 << 30), 0..1 << 30, None, None, on_bytes);
        reader.next().await.expect("a piece");
        world.sleep(Duration::from_secs(3600)).await;
        let lies_about = counted.get();
        assert!((32 << 20..34 << 20).contains(&lies_about), "{lies_about} bytes lie about");
        // Half must be taken before more comes.
        for _ in 0..(20 << 20) / (64 << 10) {
            reader.next().await.expect("a piece");
        }
        world.sleep(Duration::from_secs(3600)).await;
        assert!(counted.get() > lies_about && counted.get() < lies_about + (22 << 20), "{}", counted.get());
    });
}

#[test]
fn who_reads_no_more_ends_the_requests() {
    for aborts in [false, true] {
        let place = Place::new();
        place.world.run(async |world| {
            let held = place.hub.hold_after(200_000);
            let client = place.client();
            let (mut reader, _) = reader(&client, 0..LARGE_BYTES, None);
            reader.next().await.expect("a piece");
            held.await.expect("held");
            world.sleep(Duration::from_secs(1)).await;
            assert_eq!(world.open_bodies(), 4);
            if aborts {
                place.signal.set();
                while let Ok(piece) = reader.next().await {
                    assert!(piece.is_some(), "an aborted file has no end");
                }
            }
            drop(reader);
            world.sleep(Duration::from_nanos(1)).await;
            assert_eq!(world.open_bodies(), 0, "aborts: {aborts}");
        });
    }
}

#[test]
fn an_abort_is_an_abort_whatever_is_waited_for() {
    for fault in
        [None, Some(Kind::Silent), Some(Kind::Stall { after: 0 }), Some(Kind::status(500)), Some(Kind::status(429))]
    {
        let place = Place::new();
        if let Some(fault) = fault.clone() {
            place.hub.fail(Fault::always(fault));
        }
        let (e, took) = place.world.run(async |world| {
            let signal = place.signal.clone();
            let later = world.clone();
            crate::platform::Platform::spawn(world, async move {
                later.sleep(Duration::from_millis(8)).await;
                signal.set();
            });
            (read(&place.client(), 0..LARGE_BYTES, None).await.expect_err("aborted"), world.now())
        });
        assert_eq!(e.code, ErrorCode::Aborted, "{fault:?}");
        assert!(took < Duration::from_millis(20), "{fault:?}: at once, not after {took:?}");
    }
}

#[test]
fn a_file_that_changes_meanwhile_is_another_file() {
    let place = Place::new();
    let e = place.world.run(async |_| {
        let client = place.client();
        let version = Some(format!("\"{LARGE_BYTES}-0\""));
        let mut reader = Reader::new(client, (LARGE, LARGE_BYTES), 0..LARGE_BYTES, None, version, Rc::new(|_| ()));
        reader.next().await.expect("the first piece");
        place.hub.version.set(1);
        loop {
            match reader.next().await {
                Ok(piece) => assert!(piece.is_some(), "it must not end well"),
                Err(e) => break e,
            }
        }
    });
    assert_eq!(e.code, ErrorCode::Integrity);
    assert!(e.message.contains("was changed while it was read"), "{e}");
}

#[test]
fn signed_addresses_that_expire_are_fetched_again() {
    for hides in [false, true] {
        let place = Place::new();
        place.hub.hides_expiry.set(hides);
        place.world.run(async |_| {
            let client = place.client();
            let held = place.hub.hold_after(1_200_000);
            let (mut reader, counted) = reader(&client, 0..LARGE_BYTES, None);
            reader.next().await.expect("the first piece");
            held.await.expect("held");
            place.hub.expire();
            place.hub.release();
            while reader.next().await.expect("read").is_some() {}
            assert_eq!(counted.get(), LARGE_BYTES);
        });
        let resolved = place.hub.requests.borrow().iter().filter(|r| r.status == 302).count();
        assert!((2..=8).contains(&resolved), "{resolved}: an address is remembered while it is good");
        assert!(place.words().is_empty(), "nobody is told to wait: {:?}", place.words());
    }
}
