//! Reads a large file in order, a few ranges at a time, and recovers from every fault that it can.

use super::budget::Budget;
use super::client::{Client, Opened};
use super::failure::Failure;
use super::retry::{Again, Failures, PROGRESS_BYTES};
use crate::error::{Error, ErrorCode, Result};
use crate::platform::abort::Signal;
use crate::platform::{Bytes, Platform};
use crate::sizes::{Steps, check_untold, unit_bytes};
use futures_channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use futures_util::StreamExt;
use std::collections::VecDeque;
use std::ops::Range;
use std::rc::Rc;

/// Ranges that are in flight at a time.
const PARALLEL: usize = 4;

/// While a file is being measured, progress is reported after this many bytes.
const TELL_EVERY: u64 = 1 << 20;

/// Called with every number of requested bytes that arrived.
pub type OnBytes = Rc<dyn Fn(u64)>;

/// Reads a part of one file in the order of the file.
pub struct Reader<P: Platform> {
    fetching: Fetching<P>,
    /// Ranges that are not requested yet.
    waiting: Steps,
    /// Ranges that are in flight.
    running: VecDeque<Part<P::Bytes>>,
    /// Bytes that arrived before the reader was made, and their position.
    prefix: Option<(u64, P::Bytes)>,
    /// Bytes that were given back because they were read too far.
    returned: Option<(u64, P::Bytes)>,
}

struct Part<B> {
    position: u64,
    range: Range<u64>,
    pieces: UnboundedReceiver<Result<B>>,
    budget: Rc<Budget>,
    /// Ends the task that fetches them.
    unread: Signal,
}

impl<B> Drop for Part<B> {
    fn drop(&mut self) {
        self.unread.set();
    }
}

/// What every request for a part of one file needs to know.
struct Fetching<P> {
    client: Rc<Client<P>>,
    file: String,
    /// What the server identifies this version of the file by, where nothing else does.
    version: Option<String>,
    on_bytes: OnBytes,
}

impl<P> Clone for Fetching<P> {
    fn clone(&self) -> Self {
        let Self { client, file, version, on_bytes } = self;
        Self { client: client.clone(), file: file.clone(), version: version.clone(), on_bytes: on_bytes.clone() }
    }
}

impl<P: Platform> Reader<P> {
    /// A reader of `run`. `prefix` is the beginning of the file, as far as it is already there; another `version` of
    /// the file than this one is an error.
    pub fn new(
        client: Rc<Client<P>>,
        (file, file_bytes): (&str, u64),
        run: Range<u64>,
        prefix: Option<P::Bytes>,
        version: Option<String>,
        on_bytes: OnBytes,
    ) -> Self {
        let have = prefix.as_ref().map_or(0, |p| u64::from(p.count()));
        let start = if run.start == 0 { have.min(run.end) } else { run.start };
        let waiting = Steps::new(start..run.end, unit_bytes(file_bytes));
        let first = prefix.filter(|_| run.start == 0 && have > 0).map(|p| (0, p));
        let fetching = Fetching { client, file: file.into(), version, on_bytes };
        Self { fetching, waiting, running: VecDeque::new(), prefix: first, returned: None }
    }

    /// The next bytes with their position in the file, or `None` after the last.
    ///
    /// # Errors
    /// Those of the network once it has failed for good, `aborted`.
    pub async fn next(&mut self) -> Result<Option<(u64, P::Bytes)>> {
        if let Some(returned) = self.returned.take() {
            return Ok(Some(returned));
        }
        self.start();
        if let Some(prefix) = self.prefix.take() {
            (self.fetching.on_bytes)(u64::from(prefix.1.count()));
            return Ok(Some(prefix));
        }
        loop {
            let Some(part) = self.running.front_mut() else { return Ok(None) };
            if part.position == part.range.end {
                self.running.pop_front();
                self.start();
                continue;
            }
            let piece = part.pieces.next().await;
            self.fetching.client.check_abort()?;
            let Some(piece) = piece else {
                let error = format!("{} stopped coming.", self.fetching.file);
                return Err(Error::new(ErrorCode::Network, error).hint("Try again."));
            };
            let (piece, at) = (piece?, part.position);
            part.position += u64::from(piece.count());
            part.budget.take(piece.count().into());
            return Ok(Some((at, piece)));
        }
    }

    /// Gives back bytes that were read too far; they are the next ones again.
    pub fn put_back(&mut self, position: u64, bytes: P::Bytes) {
        self.returned = Some((position, bytes));
    }

    /// Requests as many ranges as may be in flight.
    fn start(&mut self) {
        while self.running.len() < PARALLEL {
            let ignores_ranges = self.fetching.client.ignores_ranges();
            if ignores_ranges && !self.running.is_empty() {
                return;
            }
            // Where every request returns the whole file, a single one must do for all that is left.
            let next = if ignores_ranges { self.waiting.rest() } else { self.waiting.next() };
            let Some(range) = next else { return };
            let (sender, pieces) = unbounded();
            let (budget, unread) = (Rc::new(Budget::default()), Signal::default());
            let (position, fetching) = (range.start, self.fetching.clone());
            let (task, taken, is_over) = (range.clone(), budget.clone(), unread.clone());
            self.running.push_back(Part { position, range, pieces, budget, unread });
            self.fetching.client.platform().spawn(async move {
                let fetched = fetching.client.signal().end(fetching.fetch(task, &sender, &taken));
                if let Some(Err(e)) = is_over.unless_set(fetched).await {
                    let _ = sender.unbounded_send(Err(e)); // if nobody listens, nobody needs to know
                }
            });
        }
    }
}

impl<P: Platform> Fetching<P> {
    /// Fetches a range; what arrived before a fault is not requested again.
    async fn fetch(
        &self,
        range: Range<u64>,
        pieces: &UnboundedSender<Result<P::Bytes>>,
        budget: &Budget,
    ) -> Result<()> {
        let Self { client, file, version, on_bytes } = self;
        let (mut position, mut failures, mut progress_from) = (range.start, Failures::default(), range.start);
        while position < range.end {
            let attempt = async {
                let Opened { mut body, start, version: got, .. } =
                    client.get(file, Some(&(position..range.end))).await?;
                if version.as_ref().is_some_and(|v| !got.is_empty() && *v != got) {
                    let error = format!("{file} was changed while it was read.");
                    return Err(Error::new(ErrorCode::Integrity, error).hint("Load again.").into());
                }
                let mut skip = position - start; // not 0 where the server sends the whole file
                while position < range.end {
                    let Some(piece) = body.next().await? else { return Err(ended_early(file)) };
                    let skipped = skip.min(u64::from(piece.count()));
                    skip -= skipped;
                    // Bytes past the requested range are dropped: the next range brings them.
                    let end = u64::from(piece.count()).min(skipped + range.end - position);
                    if end > skipped {
                        let wanted = piece.part(skipped as u32..end as u32);
                        position += end - skipped;
                        on_bytes(end - skipped);
                        let _ = pieces.unbounded_send(Ok(wanted)); // if nobody reads any more, this task is over
                        budget.bring(end - skipped).await;
                    }
                }
                Ok::<(), Failure>(())
            };
            if let Err(failure) = attempt.await {
                if position - progress_from >= PROGRESS_BYTES {
                    (failures, progress_from) = (Failures::default(), position);
                }
                client.wait_after(failure, &mut failures).await?;
            }
        }
        Ok(())
    }
}

fn ended_early(file: &str) -> Failure {
    let error = Error::new(ErrorCode::Network, format!("The server ended {file} early.")).hint("Try again.");
    Failure { error, again: Again::Later }
}

/// A part of a file, and what is known of the whole.
pub struct Peek {
    /// The bytes; fewer than asked for where the file ends.
    pub bytes: Vec<u8>,
    /// Size of the file, if it can be known.
    pub total: Option<u64>,
    /// What the server identifies this version of the file by; may be empty.
    pub version: String,
}

/// Reads a small part of a file.
///
/// # Errors
/// Those of the network.
pub async fn peek<P: Platform>(client: &Client<P>, file: &str, range: Range<u64>) -> Result<Peek> {
    client
        .retry(async || {
            let Opened { mut body, start, total, version } = client.get(file, Some(&range)).await?;
            let mut bytes = Vec::new();
            let mut skip = range.start - start;
            let len = (range.end - range.start) as usize;
            while bytes.len() < len {
                let Some(piece) = body.next().await? else { break };
                let skipped = skip.min(u64::from(piece.count()));
                skip -= skipped;
                let end = (skipped as usize + len - bytes.len()).min(piece.count() as usize);
                bytes.extend(piece.part(skipped as u32..end as u32).copied());
            }
            // An answer that ends early is either complete or cut off: only the size shows which.
            let expected = total.map_or(0, |t| t.min(range.end).saturating_sub(range.start) as usize);
            if bytes.len() < expected {
                return Err(ended_early(file));
            }
            Ok(Peek { bytes, total, version })
        })
        .await
}

/// The whole of a small file, of at most `limit` bytes.
///
/// # Errors
/// Those of the network; `invalid-config` for a larger file.
pub async fn small<P: Platform>(client: &Client<P>, file: &str, size: Option<u64>, limit: usize) -> Result<Vec<u8>> {
    client
        .retry(async || {
            let Opened { mut body, .. } =
                client.get(file, None).await.map_err(|failure| client.unless_offline(failure))?;
            let too_large = || Error::invalid_config(format!("{file} is larger than {} MB.", limit >> 20));
            let bytes = body.whole(limit).await?.ok_or_else(too_large)?;
            match size {
                Some(size) if size != bytes.len() as u64 => {
                    let error = format!("{file} has {} bytes instead of {size}.", bytes.len());
                    let error = Error::new(ErrorCode::Integrity, error).hint("Try again.");
                    Err(Failure { error, again: Again::Later })
                }
                _ => Ok(bytes),
            }
        })
        .await
}

/// The size of a file whose server does not state it: all of it is read once, and progress is reported meanwhile.
///
/// # Errors
/// Those of the network; `unsupported-checkpoint` for a file that does not end.
pub async fn measure<P: Platform>(client: &Client<P>, file: &str) -> Result<u64> {
    client
        .retry(async || {
            let mut body = client.get(file, None).await?.body;
            let (mut size, mut reported) = (0, 0);
            while let Some(piece) = body.next().await? {
                size += u64::from(piece.count());
                check_untold(file, size)?;
                if size / TELL_EVERY > reported {
                    reported = size / TELL_EVERY;
                    let words = format!("The server does not tell the size of {file}: {} MB read", size / 1_000_000);
                    client.wait_for(Some(words));
                }
            }
            client.wait_for(None);
            Ok(size)
        })
        .await
}
