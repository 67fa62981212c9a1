//! Reading a large file in order, a few ranges at a time, through every fault that can be overcome.

use super::fetch::{Again, Client, Failure, Opened};
use super::retry::PROGRESS_BYTES;
use crate::checkpoint::unit::unit_bytes;
use crate::error::{Error, ErrorCode, Result};
use futures_channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use js_sys::Uint8Array;
use std::collections::VecDeque;
use std::ops::Range;
use std::rc::Rc;
use wasm_bindgen_futures::spawn_local;

/// Ranges that are on their way at a time.
const PARALLEL: usize = 4;

/// Called with every count of bytes that came and were asked for.
pub type OnBytes = Rc<dyn Fn(u64)>;

/// Reads a part of one file in the order of the file.
pub struct Reader {
    client: Rc<Client>,
    file: String,
    on_bytes: OnBytes,
    /// Ranges that are not asked for yet.
    waiting: VecDeque<Range<u64>>,
    /// Ranges that are on their way.
    running: VecDeque<Part>,
    /// Bytes that came before the reader was made, and their position.
    prefix: Option<(u64, Uint8Array)>,
    /// Bytes that were read too far.
    returned: Option<(u64, Uint8Array)>,
}

struct Part {
    position: u64,
    range: Range<u64>,
    pieces: UnboundedReceiver<Result<Uint8Array>>,
}

impl Reader {
    /// A reader of `run`. `prefix` is the beginning of the file, as
    /// far as it is already there.
    pub fn new(
        client: Rc<Client>,
        file: &str,
        file_bytes: u64,
        run: Range<u64>,
        prefix: Option<Uint8Array>,
        on_bytes: OnBytes,
    ) -> Self {
        let have = prefix.as_ref().map_or(0, |p| u64::from(p.length()));
        let step = unit_bytes(file_bytes);
        let mut waiting = VecDeque::new();
        let mut at = if run.start == 0 { have.min(run.end) } else { run.start };
        while at < run.end {
            let end = run.end.min(at + step);
            waiting.push_back(at..end);
            at = end;
        }
        let first = prefix.filter(|_| run.start == 0 && have > 0).map(|p| (0, p));
        Self { client, file: file.into(), on_bytes, waiting, running: VecDeque::new(), prefix: first, returned: None }
    }

    /// The next bytes with their position in the file, or `None` after the last.
    ///
    /// # Errors
    /// Those of the network once it has failed for good, `aborted`.
    pub async fn next(&mut self) -> Result<Option<(u64, Uint8Array)>> {
        if let Some(returned) = self.returned.take() {
            return Ok(Some(returned));
        }
        self.start();
        if let Some(prefix) = self.prefix.take() {
            (self.on_bytes)(u64::from(prefix.1.length()));
            return Ok(Some(prefix));
        }
        loop {
            let Some(part) = self.running.front_mut() else { return Ok(None) };
            if part.position == part.range.end {
                self.running.pop_front();
                self.start();
                continue;
            }
            use futures_util::StreamExt;
            let Some(piece) = part.pieces.next().await else {
                self.client.check_abort()?;
                return Err(Error::new(ErrorCode::Network, format!("{} stopped coming.", self.file)).hint("Try again."));
            };
            let (piece, at) = (piece?, part.position);
            part.position += u64::from(piece.length());
            return Ok(Some((at, piece)));
        }
    }

    /// Gives back bytes that were read too far; they are the next ones again.
    pub fn put_back(&mut self, position: u64, bytes: Uint8Array) {
        self.returned = Some((position, bytes));
    }

    /// Asks for as many ranges as may be on their way.
    fn start(&mut self) {
        while self.running.len() < PARALLEL {
            if self.client.ignores_ranges() && !self.running.is_empty() {
                return;
            }
            let Some(mut range) = self.waiting.pop_front() else { return };
            if self.client.ignores_ranges() {
                // Every request brings the whole file: one must do for all that is left.
                range.end = self.waiting.back().map_or(range.end, |last| last.end);
                self.waiting.clear();
            }
            let (sender, pieces) = unbounded();
            let part = Part { position: range.start, range: range.clone(), pieces };
            let (client, file, on_bytes) = (self.client.clone(), self.file.clone(), self.on_bytes.clone());
            spawn_local(async move {
                if let Err(e) = fetch(&client, &file, range, &on_bytes, &sender).await {
                    let _ = sender.unbounded_send(Err(e)); // if nobody listens, nobody needs to know
                }
            });
            self.running.push_back(part);
        }
    }
}

/// Fetches a range; what came before a fault is not asked for again.
async fn fetch(
    client: &Client,
    file: &str,
    range: Range<u64>,
    on_bytes: &OnBytes,
    pieces: &UnboundedSender<Result<Uint8Array>>,
) -> Result<()> {
    let (mut position, mut failures, mut progress_from) = (range.start, 0, range.start);
    while position < range.end {
        let attempt = async {
            let Opened { mut body, start, .. } = client.get(file, Some(&(position..range.end))).await?;
            let mut skip = position - start; // not 0 where the server sends the whole file
            while position < range.end {
                let Some(piece) = body.next().await? else {
                    let error = Error::new(ErrorCode::Network, format!("The server ended {file} early."));
                    return Err(Failure { error: error.hint("Try again."), again: Again::Later });
                };
                let skipped = skip.min(u64::from(piece.length()));
                skip -= skipped;
                // More than was asked for is dropped: the next range brings it.
                let end = u64::from(piece.length()).min(skipped + range.end - position);
                if end > skipped {
                    let wanted = piece.subarray(skipped as u32, end as u32);
                    position += end - skipped;
                    on_bytes(end - skipped);
                    if pieces.unbounded_send(Ok(wanted)).is_err() {
                        position = range.end; // nobody reads any more
                    }
                }
            }
            Ok::<(), Failure>(())
        };
        if let Err(failure) = attempt.await {
            if position - progress_from >= PROGRESS_BYTES {
                (failures, progress_from) = (0, position);
            }
            failures += 1;
            client.wait_after(failure, failures).await?;
        }
    }
    Ok(())
}

/// A part of a file, and what is known of the whole.
pub struct Peek {
    /// The bytes; fewer than asked for where the file ends.
    pub bytes: Vec<u8>,
    /// Size of the file, if it can be known.
    pub total: Option<u64>,
    /// What the server tells this version of the file by; may be empty.
    pub version: String,
}

/// Reads a small part of a file.
///
/// # Errors
/// Those of the network.
pub async fn peek(client: &Client, file: &str, range: Range<u64>) -> Result<Peek> {
    client
        .retry(async || {
            let Opened { mut body, start, total, version } = client.get(file, Some(&range)).await?;
            let mut bytes = Vec::new();
            let mut skip = range.start - start;
            let len = (range.end - range.start) as usize;
            while bytes.len() < len {
                let Some(piece) = body.next().await? else { break };
                let skipped = skip.min(u64::from(piece.length()));
                skip -= skipped;
                let end = (skipped as usize + len - bytes.len()).min(piece.length() as usize);
                bytes.extend(piece.subarray(skipped as u32, end as u32).to_vec());
            }
            // What ends early is either all there is or a cut connection: only the size tells.
            let expected = total.map_or(0, |t| t.min(range.end).saturating_sub(range.start) as usize);
            if bytes.len() < expected {
                let error = Error::new(ErrorCode::Network, format!("The server ended {file} early."));
                return Err(Failure { error: error.hint("Try again."), again: Again::Later });
            }
            Ok(Peek { bytes, total, version })
        })
        .await
}

/// The whole of a small file, of at most `limit` bytes.
///
/// # Errors
/// Those of the network; `invalid-config` for a larger file.
pub async fn small(client: &Client, file: &str, size: Option<u64>, limit: usize) -> Result<Vec<u8>> {
    client
        .retry(async || {
            let Opened { mut body, .. } = client.get(file, None).await.map_err(Failure::unless_offline)?;
            let mut bytes = Vec::new();
            while let Some(piece) = body.next().await? {
                if bytes.len() + piece.length() as usize > limit {
                    return Err(Error::invalid_config(format!("{file} is larger than {} MB.", limit >> 20)).into());
                }
                bytes.extend(piece.to_vec());
            }
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

/// The size of a file whose server tells none: all of it is read once.
///
/// # Errors
/// Those of the network.
pub async fn measure(client: &Client, file: &str) -> Result<u64> {
    client
        .retry(async || {
            let mut body = client.get(file, None).await?.body;
            let mut size = 0;
            while let Some(piece) = body.next().await? {
                size += u64::from(piece.length());
            }
            Ok(size)
        })
        .await
}
