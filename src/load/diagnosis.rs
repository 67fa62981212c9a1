//! Why a file cannot be understood: its publisher wrote it so, or it was damaged on the way.

use super::hashing::{Slices, contradicts, hash};
use super::plan::FilePlan;
use super::source::{Source, damaged};
use crate::error::Error;
use crate::hash::Sha256;
use crate::hub::client::Client;
use crate::hub::listing::FileInfo;
use crate::hub::ranges::{OnBytes, Reader};
use crate::platform::Platform;
use std::rc::Rc;

/// Which error to report for a file that cannot be understood: that it is damaged, if its hash says so.
pub async fn diagnose<P: Platform>(source: &Source<P>, file: &FileInfo, e: Error) -> Error {
    // A file with chunk hashes has the hash of the whole file in the same place.
    let sha256 = file.sha256.clone().or_else(|| file.manifest.as_ref().map(|m| m.sha256.clone()));
    let file = FileInfo { sha256, ..file.clone() };
    match file.size {
        Some(size) if file.sha256.is_some() => {
            diagnose_rest(&source.client, &file, None, (size, 0, Sha256::default()), e).await
        }
        _ => e,
    }
}

/// The same for a file of `size` bytes that is hashed up to `position`, and that `plan` may describe wrongly.
pub async fn diagnose_rest<P: Platform>(
    client: &Rc<Client<P>>,
    file: &FileInfo,
    plan: Option<&FilePlan>,
    (size, position, mut hasher): (u64, u64, Sha256),
    e: Error,
) -> Error {
    let slices = Slices::new(client);
    let ignore: OnBytes = Rc::new(|_| ());
    let mut reader = Reader::new(client.clone(), (&file.path, size), position..size, None, None, ignore);
    let mut agrees = true;
    loop {
        match reader.next().await {
            Ok(Some((at, piece))) => {
                agrees &= !plan.is_some_and(|p| contradicts(p, at, &piece));
                if let Err(aborted) = hash(&piece, &mut hasher, &slices).await {
                    return aborted;
                }
            }
            Ok(None) => break,
            Err(network) => return network,
        }
    }
    let is_right = file.sha256.as_ref().is_none_or(|sha256| *sha256 == hasher.finish());
    if is_right && agrees { e } else { damaged(&file.path).caused_by(e) }
}
