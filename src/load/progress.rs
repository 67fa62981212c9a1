//! The contract's progress: honest about where bytes come from, and never going backwards.

use crate::platform::Clock;
use serde::Serialize;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::time::Duration;

/// Least time between two reports of a download, in seconds.
const REPORT_EVERY: f64 = 0.05;
/// The rate is measured over this many seconds.
const WINDOW: f64 = 3.0;

/// What `onProgress` gets.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress<'a> {
    /// `resolve`, `download`, `cache`, `compile` or `ready`.
    pub phase: &'a str,
    /// Bytes that have arrived.
    pub loaded_bytes: u64,
    /// All bytes, once that is known.
    pub total_bytes: Option<u64>,
    /// The file that is read.
    pub file: Option<&'a str>,
    /// The bytes come from the store.
    pub from_cache: bool,
    /// Over the last few seconds.
    pub bytes_per_second: Option<f64>,
    /// At that rate.
    pub seconds_left: Option<f64>,
    /// As a sentence.
    pub waiting_for: Option<&'a str>,
}

/// The caller's listener.
pub type OnProgress = Box<dyn Fn(&Progress<'_>)>;

/// Calls the caller's `onProgress`, if there is one.
pub struct Reporter<C> {
    callback: Option<OnProgress>,
    clock: C,
    started: Duration,
    loaded: Cell<u64>,
    /// The most bytes that were reported so far: reading something again does not lower the count.
    most_reported: Cell<u64>,
    total: Cell<Option<u64>>,
    /// When bytes were reported last, in seconds.
    reported_at: Cell<f64>,
    file: RefCell<String>,
    /// The phase that was reported last, and what is waited for.
    last: Cell<&'static str>,
    waiting_for: RefCell<Option<String>>,
    /// Bytes that the network brought so far, with the time in seconds.
    arrived: RefCell<VecDeque<(f64, u64)>>,
}

impl<C: Clock> Reporter<C> {
    /// A reporter that calls a callback, if there is one.
    pub fn new(clock: C, callback: Option<OnProgress>) -> Self {
        Self {
            callback,
            started: clock.now(),
            clock,
            loaded: Cell::new(0),
            most_reported: Cell::new(0),
            total: Cell::new(None),
            reported_at: Cell::new(f64::NEG_INFINITY),
            file: RefCell::default(),
            last: Cell::new("resolve"),
            waiting_for: RefCell::default(),
            arrived: RefCell::default(),
        }
    }

    /// Reports a phase without a file.
    pub fn phase(&self, phase: &'static str) {
        self.waiting_for.replace(None);
        self.report(phase, None, false, None);
    }

    /// Reports what is being waited for, as a sentence; `None` once the wait is over.
    pub fn waiting(&self, what: Option<String>) {
        if self.waiting_for.replace(what.clone()) != what {
            let file = Some(self.file.borrow().clone()).filter(|file| !file.is_empty());
            let phase = self.last.get();
            self.report(phase, file.as_deref(), phase == "cache", None);
        }
    }

    /// From now on, `total` bytes are expected.
    pub fn expect(&self, total: u64) {
        self.loaded.set(0);
        self.total.set(Some(total));
    }

    /// The file that is read now.
    pub fn file(&self, name: &str) {
        name.clone_into(&mut self.file.borrow_mut());
    }

    /// Bytes arrived from the network. `count`: they count as loaded.
    pub fn arrived(&self, bytes: u64, count: bool) {
        let now = self.seconds();
        let mut arrived = self.arrived.borrow_mut();
        let before = arrived.back().map_or(0, |(_, n)| *n);
        arrived.push_back((now, before + bytes));
        while arrived.front().is_some_and(|(t, _)| now - t > WINDOW) && arrived.len() > 2 {
            arrived.pop_front();
        }
        drop(arrived);
        if count {
            self.add(bytes, false);
        }
    }

    /// Bytes have arrived.
    pub fn add(&self, bytes: u64, from_cache: bool) {
        self.loaded.set(self.loaded.get() + bytes);
        let now = self.seconds();
        if now - self.reported_at.get() >= REPORT_EVERY || self.total.get() == Some(self.loaded.get()) {
            self.reported_at.set(now);
            let rate = if from_cache { None } else { self.rate() };
            let phase = if from_cache { "cache" } else { "download" };
            self.report(phase, Some(&self.file.borrow()), from_cache, rate);
        }
    }

    /// Bytes that the network brought so far.
    pub fn arrived_bytes(&self) -> u64 {
        self.arrived.borrow().back().map_or(0, |(_, bytes)| *bytes)
    }

    fn seconds(&self) -> f64 {
        self.clock.now().saturating_sub(self.started).as_secs_f64()
    }

    /// Bytes per second, over the last seconds.
    fn rate(&self) -> Option<f64> {
        let arrived = self.arrived.borrow();
        let (first, last) = (arrived.front()?, arrived.back()?);
        let seconds = last.0 - first.0;
        (seconds > 0.0).then(|| (last.1 - first.1) as f64 / seconds)
    }

    fn report(&self, phase: &'static str, file: Option<&str>, from_cache: bool, rate: Option<f64>) {
        let total_bytes = self.total.get();
        let loaded_bytes = self.loaded.get().max(self.most_reported.get()).min(total_bytes.unwrap_or(u64::MAX));
        self.most_reported.set(loaded_bytes);
        let left = total_bytes.map(|total| total.saturating_sub(loaded_bytes) as f64);
        let seconds_left = left.zip(rate).filter(|(_, rate)| *rate > 0.0).map(|(left, rate)| left / rate);
        let bytes_per_second = rate;
        self.last.set(phase);
        let waiting_for = self.waiting_for.borrow().clone();
        let waiting_for = waiting_for.as_deref();
        if let Some(callback) = &self.callback {
            callback(&Progress {
                phase,
                loaded_bytes,
                total_bytes,
                file,
                from_cache,
                bytes_per_second,
                seconds_left,
                waiting_for,
            });
        }
    }
}
