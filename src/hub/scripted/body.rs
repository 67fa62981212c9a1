//! Bodies, intact and faulty.

use super::{Answer, Kind, ScriptedHub};
use crate::platform::Request;
use crate::platform::simulated::{Event, Script, World};
use futures_channel::oneshot;
use std::time::Duration;

/// Bytes that arrive at a time, and how long they take.
const PIECE: u64 = 64 << 10;
const TIME: Duration = Duration::from_millis(1);

impl ScriptedHub {
    /// Sends a file or a range of it.
    pub(super) fn body(
        &self,
        world: &World,
        request: &Request<'_>,
        log: usize,
        file: &'static [u8],
        fault: Option<Kind>,
    ) -> Answer {
        let size = file.len() as u64;
        let etag = ("ETag", format!("\"{size}-{}\"", self.version.get()));
        let binary = ("Content-Type", "application/octet-stream".to_owned());
        let answer = |status, headers, body| {
            self.requests.borrow_mut()[log].status = status;
            Answer { status, url: request.url.to_owned(), redirected: false, headers, body }
        };
        match fault {
            Some(Kind::Html) => {
                let page = vec![("Content-Type", "text/html; charset=utf-8".to_owned())];
                return answer(200, page, self.text(world, "", 200, Vec::new(), "<!doctype html><p>Hello").body);
            }
            Some(Kind::Trickle { every }) => {
                let mut waits = true;
                let body = Script::new(world, move || {
                    waits = !waits;
                    if waits { Event::Wait(every) } else { Event::Piece(vec![0]) }
                });
                return answer(200, vec![binary], body);
            }
            Some(Kind::Endless { first }) => return answer(200, vec![binary], self.endless(world, log, first)),
            _ => {}
        }
        let (mut from, mut to, mut status) = (0, size, 200);
        let mut headers = vec![binary, etag];
        let ignores = self.ignores_ranges.get() || fault == Some(Kind::NoRange);
        if let Some(range) = request.range.filter(|_| !ignores) {
            assert!(range.start < range.end, "a range of nothing was asked for");
            (from, to, status) = (range.start, range.end.min(size), 206);
            if from >= size {
                return Answer {
                    body: self.text(world, "", 416, Vec::new(), "").body,
                    ..answer(416, headers, Script::new(world, || Event::End))
                };
            }
            if fault == Some(Kind::WrongRange) {
                (from, to) = (from + 1, (to + 1).min(size));
            }
            headers.push(("Content-Range", format!("bytes {from}-{}/{size}", to - 1)));
        }
        if let Some(Kind::Short { less }) = fault {
            to = to.saturating_sub(less).max(from);
        }
        let body = self.pieces(world, log, file, (from, to), fault);
        answer(status, headers, body)
    }

    fn pieces(
        &self,
        world: &World,
        log: usize,
        file: &'static [u8],
        (from, to): (u64, u64),
        fault: Option<Kind>,
    ) -> Script {
        let hub = self.clone();
        let (mut position, mut has_waited, mut is_longer) = (from, false, fault == Some(Kind::Long));
        Script::new(world, move || {
            let limit = match fault {
                Some(Kind::Cut { after } | Kind::Stall { after }) => to.min(from + after),
                _ => to,
            };
            if position >= limit && limit < to {
                return if matches!(fault, Some(Kind::Cut { .. })) { Event::Break } else { Event::Stall };
            }
            if position >= to {
                return match std::mem::take(&mut is_longer) {
                    true => Event::Piece(vec![0; 1000]),
                    false => Event::End,
                };
            }
            let end = limit.min(position + PIECE);
            if !has_waited {
                has_waited = true;
                return Event::Wait(match fault {
                    Some(Kind::Slow { rate }) => Duration::from_secs_f64((end - position) as f64 / rate as f64),
                    _ => TIME,
                });
            }
            if let Some(held) = hub.pass(end - position) {
                return Event::Hold(held);
            }
            has_waited = false;
            let mut piece = file[position as usize..end as usize].to_vec();
            if let Some(Kind::Corrupt { at }) = fault
                && (position..end).contains(&at)
            {
                piece[(at - position) as usize] ^= 0x10;
            }
            if let Some(Kind::Other { at, bytes }) = &fault {
                let places = (*at..).zip(bytes).filter(|(place, _)| (position..end).contains(place));
                places.for_each(|(place, byte)| piece[(place - position) as usize] = *byte);
            }
            hub.requests.borrow_mut()[log].bytes += end - position;
            position = end;
            Event::Piece(piece)
        })
    }

    /// Lets bytes through, or returns what to wait for first.
    fn pass(&self, bytes: u64) -> Option<oneshot::Receiver<()>> {
        let mut gate = self.gate.borrow_mut();
        let gate = gate.as_mut()?;
        if let Some(left) = gate.left.checked_sub(bytes) {
            gate.left = left;
            return None;
        }
        if let Some(reached) = gate.reached.take() {
            let _ = reached.send(()); // nobody may wait for it
        }
        let (sender, held) = oneshot::channel();
        gate.held.push(sender);
        Some(held)
    }

    fn endless(&self, world: &World, log: usize, first: Vec<u8>) -> Script {
        let (hub, mut first, mut waits) = (self.clone(), Some(first), false);
        Script::new(world, move || {
            waits = !waits;
            if waits {
                return Event::Wait(TIME);
            }
            let piece = first.take().filter(|first| !first.is_empty()).unwrap_or_else(|| vec![0; PIECE as usize]);
            hub.requests.borrow_mut()[log].bytes += piece.len() as u64;
            Event::Piece(piece)
        })
    }
}
