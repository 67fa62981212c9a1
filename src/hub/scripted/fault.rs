//! What can go wrong with an answer.

use std::ops::Range;
use std::time::Duration;

/// How often a fault happens that never ends.
pub const FOR_EVER: u32 = u32::MAX;

/// Who answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum On {
    Hub,
    Cdn,
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// Another status.
    Status { status: u16, code: Option<&'static str>, retry_after: Option<u64> },
    /// No answer ever comes.
    Silent,
    /// The connection breaks after this many bytes.
    Cut { after: u64 },
    /// Nothing more arrives after this many bytes.
    Stall { after: u64 },
    /// One bit of this byte of the file is flipped.
    Corrupt { at: u64 },
    /// The file has other bytes from this byte on.
    Other { at: u64, bytes: Vec<u8> },
    /// The end is missing, and nothing says so.
    Short { less: u64 },
    /// There are bytes after the end.
    Long,
    /// The whole file is sent where a range was requested.
    NoRange,
    /// Another range is sent.
    WrongRange,
    /// An HTML page is sent instead.
    Html,
    /// This many bytes arrive per second.
    Slow { rate: u64 },
    /// A byte comes now and then.
    Trickle { every: Duration },
    /// These bytes arrive, and then endless zeros.
    Endless { first: Vec<u8> },
}

/// A fault, and which requests it affects.
#[derive(Clone, Debug)]
pub struct Fault {
    pub kind: Kind,
    pub on: On,
    /// A part of the path of the requests that it affects.
    pub path: &'static str,
    /// How often it happens from now on.
    pub times: u32,
    /// It waits for an answer that contains this byte.
    pub only_at: Option<u64>,
}

impl Kind {
    /// A status and nothing more.
    pub fn status(status: u16) -> Self {
        Self::Status { status, code: None, retry_after: None }
    }

    /// True for faults of a body, which only happen where a body is sent.
    pub fn spoils_bodies(&self) -> bool {
        !matches!(self, Self::Status { .. } | Self::Silent)
    }
}

impl Fault {
    /// Once, for a file of the storage.
    pub fn once(kind: Kind) -> Self {
        Self { kind, on: On::Cdn, path: "", times: 1, only_at: None }
    }

    /// From now on.
    pub fn always(kind: Kind) -> Self {
        Self::once(kind).times(FOR_EVER)
    }

    pub fn times(self, times: u32) -> Self {
        Self { times, ..self }
    }

    /// At the hub itself, for paths that contain this.
    pub fn hub(self, path: &'static str) -> Self {
        Self { on: On::Hub, path, ..self }
    }

    pub fn only_at(self, at: u64) -> Self {
        Self { only_at: Some(at), ..self }
    }

    pub fn meets(&self, on: On, path: &str, range: Option<&Range<u64>>) -> bool {
        let holds = |at| range.is_none_or(|range| range.contains(&at));
        self.on == on && self.times > 0 && path.contains(self.path) && self.only_at.is_none_or(holds)
    }
}
