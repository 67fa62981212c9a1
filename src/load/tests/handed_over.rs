//! Loads whose thread has other work, that wait for another tab, or whose device is lost.

use super::{CHECKPOINT, Cpu, SMALL, Seen, Visit, WEIGHTS, files, published};
use crate::checkpoint::layout::Quantization;
use crate::config::ModelConfig;
use crate::cpu::{self, CpuModel, Reason};
use crate::error::{Error, ErrorCode, ErrorKind, Result};
use crate::load::attempts::{Attempt, attempts};
use crate::load::progress::Reporter;
use crate::load::request::Wanted;
use crate::load::upload::Devices;
use crate::load::{Load, Made};
use crate::platform::abort::Signal;
use crate::platform::turns::OF_A_PAGE;
use crate::platform::wait::beside;
use crate::platform::{Clock, Lock, Platform};
use futures_util::future::{Either, join, select};
use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

const LOCK: &str = "tokenformer-web https://hub.example o/published";

#[test]
fn work_on_what_came_lets_others_have_their_turn() {
    for (name, path) in [("o/published", CHECKPOINT), ("o/folder", WEIGHTS)] {
        let visit = Visit::new();
        // Every piece takes as long as a page may be unresponsive: the network is faster than that.
        visit.world.set_pace(OF_A_PAGE);
        let (turns, arrived) = (Cell::new(0), Cell::new(0));
        let seen = visit.world.run(async |world| {
            let others = async {
                loop {
                    world.sleep(Duration::from_millis(1)).await;
                    // Bytes that have arrived but wait to be processed do not keep this task from running.
                    if visit.hub.sent(path) > arrived.get() {
                        arrived.set(visit.hub.sent(path));
                    }
                    turns.set(turns.get() + 1);
                }
            };
            beside(visit.load_with(&visit.request(name), &Signal::default()), others).await
        });
        seen.loaded(name);
        let pieces = (arrived.get() / (64 << 10)) as usize;
        let ways = visit.world.ways_given();
        assert!(
            ways >= pieces && turns.get() >= pieces,
            "{name}: {ways} times, {} turns, {pieces} pieces",
            turns.get()
        );
        // Where processing takes no time, waiting for the network lets other tasks run.
        let visit = Visit::new();
        visit.fill(name).loaded(name);
        assert!(visit.world.ways_given() * 10 < pieces, "{name}: {} times", visit.world.ways_given());
    }
}

#[test]
fn an_abort_comes_through_while_there_is_work() {
    for (name, path) in [("o/published", CHECKPOINT), ("o/folder", WEIGHTS)] {
        let visit = Visit::new();
        visit.fill(name).loaded(name);
        let whole = visit.hub.sent(path);
        let visit = Visit::new();
        visit.world.set_pace(OF_A_PAGE);
        let signal = Signal::default();
        let seen = visit.world.run(async |world| {
            let aborting = async {
                // Nothing more arrives from the network, so only processing is left.
                while visit.hub.sent(path) < whole {
                    world.sleep(Duration::from_millis(1)).await;
                }
                signal.set();
            };
            beside(visit.load_with(&visit.request(name), &signal), aborting).await
        });
        seen.expect("aborted", name);
        assert!(visit.models().iter().all(|(_, complete)| !complete), "{name}");
    }
}

#[test]
fn an_abort_ends_the_wait_for_another_tab() {
    let visit = Visit::to([("o/published", published())]);
    visit.world.run(async |world| {
        let mut other = world.lock(LOCK).expect("locks");
        assert!(other.is_granted().await);
        let signal = Signal::default();
        let aborting = async {
            world.sleep(Duration::from_secs(3)).await;
            signal.set();
            world.now()
        };
        let (seen, when) = join(visit.load_with(&visit.request("o/published"), &signal), aborting).await;
        assert!(seen.progress.iter().any(|p| p.waiting_for.is_some()), "it had to wait");
        seen.expect("aborted", "while it waits");
        assert_eq!(world.now(), when, "at once");
        // Nor does it keep the lock from anyone else.
        let mut next = world.lock(LOCK).expect("locks");
        drop(other);
        assert!(next.is_granted().await);
    });
    assert!(visit.hub.sent(CHECKPOINT) < SMALL, "no weights");
}

#[test]
fn who_waits_for_a_tab_that_is_closed_goes_on_where_it_was() {
    let visit = Visit::to([("o/published", published())]);
    let seen: Seen = visit.world.run(async |world| {
        let held = visit.hub.hold_after(files().checkpoint.len() as u64 * 2 / 3);
        let (request, signal) = (visit.request("o/published"), Signal::default());
        let second = async {
            world.sleep(Duration::from_millis(100)).await;
            visit.load_with(&request, &signal).await
        };
        let mut second = pin!(second);
        {
            let first = pin!(visit.load_with(&request, &signal));
            let closing = async {
                held.await.expect("held");
                world.sleep(Duration::from_secs(2)).await;
            };
            let both = select(first, second.as_mut());
            match select(pin!(closing), both).await {
                Either::Left(_) => {} // the first is dropped with this block
                Either::Right(_) => panic!("one of them ended before"),
            }
        }
        visit.hub.release();
        second.await
    });
    let words = seen.words();
    assert!(!words.contains("Another tab"), "{words}");
    assert!(seen.progress.iter().any(|p| p.from_cache), "what the first stored was used");
    seen.loaded("after the first");
    assert!(visit.hub.sent(CHECKPOINT) < files().checkpoint.len() as u64 * 3 / 2, "and not asked for again");
}

/// A device that fails at the end of the load, once for each of `failures`.
struct Failing<'a> {
    failures: &'a RefCell<Vec<(ErrorCode, ErrorKind)>>,
}

impl Devices<Vec<u8>> for Failing<'_> {
    type Room = cpu::Loading;
    type Model = CpuModel;

    async fn find(&mut self, likely: Option<&ModelConfig>) -> Result<()> {
        Cpu.find(likely).await
    }

    async fn room(&mut self, config: &ModelConfig, quantization: Quantization) -> Result<cpu::Loading> {
        Cpu.room(config, quantization).await
    }

    async fn finish(&mut self, room: cpu::Loading, config: &ModelConfig, notes: &mut Vec<String>) -> Result<CpuModel> {
        let failure = self.failures.borrow_mut().pop();
        match failure {
            Some((code, kind)) => Err(Error::new(code, "It is out of order.").of_kind(kind)),
            None => Cpu.finish(room, config, notes).await,
        }
    }
}

/// Loads with devices that fail like this, the last failure first; returns where each attempt was to go.
fn handed_over(visit: &Visit, wanted: Wanted, failures: &[ErrorCode]) -> (Result<Made<CpuModel>>, Vec<Option<Reason>>) {
    let failures: Vec<_> = failures.iter().map(|code| (*code, ErrorKind::Plain)).collect();
    handed_over_by(visit, wanted, failures)
}

/// The same with more precise failures.
fn handed_over_by(
    visit: &Visit,
    wanted: Wanted,
    failures: Vec<(ErrorCode, ErrorKind)>,
) -> (Result<Made<CpuModel>>, Vec<Option<Reason>>) {
    let (failures, went) = (RefCell::new(failures), RefCell::new(Vec::new()));
    let request = visit.request("o/published");
    let result = visit.world.run(async |world| {
        let load = async |on_cpu: Option<Reason>| {
            went.borrow_mut().push(on_cpu.clone());
            let progress = Rc::new(Reporter::new(world.clone(), None));
            let (store, devices) = (Some(visit.store.clone()), Failing { failures: &failures });
            let mut load = Load::new(world.clone(), &request, Signal::default(), &progress, store, devices);
            Attempt { result: load.run().await, is_on_cpu: on_cpu.is_some() }
        };
        attempts(wanted, load).await
    });
    (result, went.take())
}

#[test]
fn another_device_gets_what_is_stored() {
    use ErrorCode::{DeviceLost, WebgpuUnavailable};
    let no_gpu = || Some(Reason::NoGpu("It is out of order.".into()));
    for (wanted, failures, went) in [
        (Wanted::Auto, &[][..], vec![None]),
        (Wanted::Auto, &[DeviceLost, DeviceLost], vec![None; 3]),
        (Wanted::Webgpu, &[DeviceLost], vec![None; 2]),
        (Wanted::Auto, &[WebgpuUnavailable], vec![None, no_gpu()]),
        (Wanted::Auto, &[WebgpuUnavailable, DeviceLost], vec![None, None, no_gpu()]),
        (Wanted::Cpu, &[], vec![Some(Reason::Asked)]),
    ] {
        let visit = Visit::to([("o/published", published())]);
        let (result, attempted) = handed_over(&visit, wanted, failures);
        assert_eq!(result.err().map(|e| e.code), None, "{wanted:?} {failures:?}");
        assert_eq!(attempted, went, "{wanted:?} {failures:?}");
        let sent = visit.hub.sent(CHECKPOINT);
        assert!(sent < files().checkpoint.len() as u64 + SMALL, "{wanted:?} {failures:?}: {sent} bytes, once");
    }
}

#[test]
fn a_gpu_that_is_slower_than_the_cpu_hands_over_what_is_stored_and_the_reason() {
    let visit = Visit::to([("o/published", published())]);
    let slow = vec![(ErrorCode::WebgpuUnavailable, ErrorKind::SlowGpu)];
    let (result, attempted) = handed_over_by(&visit, Wanted::Auto, slow);
    assert_eq!(result.err().map(|e| e.code), None);
    assert_eq!(attempted, [None, Some(Reason::SlowGpu)]);
    assert!(visit.hub.sent(CHECKPOINT) < files().checkpoint.len() as u64 + SMALL, "downloaded once");
}

#[test]
fn what_no_other_device_mends_ends_the_load() {
    use ErrorCode::{DeviceLost, OutOfMemory, WebgpuUnavailable};
    for (wanted, failures, count) in [
        (Wanted::Auto, &[DeviceLost; 3][..], 3),
        (Wanted::Webgpu, &[WebgpuUnavailable], 1),
        (Wanted::Cpu, &[WebgpuUnavailable], 1),
        (Wanted::Auto, &[WebgpuUnavailable; 2], 2),
        (Wanted::Auto, &[OutOfMemory], 1),
    ] {
        let visit = Visit::to([("o/published", published())]);
        let (result, attempted) = handed_over(&visit, wanted, failures);
        assert_eq!(result.err().map(|e| e.code), Some(failures[0]), "{wanted:?} {failures:?}");
        assert_eq!(attempted.len(), count, "{wanted:?} {failures:?}");
    }
}
