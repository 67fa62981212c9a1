//! What can go wrong with an answer.

use std::ops::Range;
use std::time::Duration;

/// So often a fault happens that does not end.
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
    /// The connection breaks after so many bytes.
    Cut { after: u64 },
    /// Nothing comes any more after so many bytes.
    Stall { after: u64 },
    /// A bit of this byte of the file is another.
    Corrupt { at: u64 },
    /// Other bytes stand from this byte of the file on.
    Other { at: u64, bytes: Vec<u8> },
    /// The end is missing, and nothing says so.
    Short { less: u64 },
    /// There are bytes after the end.
    Long,
    /// The whole file comes where a range was asked for.
    NoRange,
    /// Another range comes.
    WrongRange,
    /// A page comes instead.
    Html,
    /// So many bytes come in a second.
    Slow { rate: u64 },
    /// A byte comes now and then.
    Trickle { every: Duration },
    /// These bytes come, and then zeros without an end.
    Endless { first: Vec<u8> },
}

/// A fault, and whom it meets.
#[derive(Clone, Debug)]
pub struct Fault {
    pub kind: Kind,
    pub on: On,
    /// A part of the path of those that it meets.
    pub path: &'static str,
    /// How often it happens from now on.
    pub times: u32,
    /// It waits for an answer that holds this byte.
    pub only_at: Option<u64>,
}

impl Kind {
    /// A status and nothing more.
    pub fn status(status: u16) -> Self {
        Self::Status { status, code: None, retry_after: None }
    }

    /// True for what happens to a body, and so only where one is sent.
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

    /// At the hub itself, for paths that hold this.
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
