//! An answer's body, piece by piece: bodies that stall or trickle are ended.

use super::failure::Failure;
use super::retry::{Again, LEAST, LEAST_OF_SMALL, Pace};
use crate::error::{Error, ErrorCode};
use crate::platform::wait::within;
use crate::platform::{Body, Bytes, Platform};
use std::result::Result;

/// A body that is read piece by piece; dropping it ends the request.
pub struct Pieces<P: Platform> {
    platform: P,
    body: P::Body,
    file: String,
    pace: Pace,
}

impl<P: Platform> Pieces<P> {
    /// The body of an answer.
    pub fn new(platform: P, body: P::Body, file: &str) -> Self {
        Self { platform, body, file: file.into(), pace: Pace::new(LEAST) }
    }

    /// The next piece, or `None` at the end.
    ///
    /// # Errors
    /// `network` if the connection breaks, stalls or is too slow.
    pub async fn next(&mut self) -> Result<Option<P::Bytes>, Failure> {
        let began = self.platform.now();
        let came = within(&self.platform, self.pace.left(), self.body.next()).await;
        let piece = came.ok_or_else(|| self.too_slow())?.map_err(|cause| self.failed(&cause))?;
        let Some(piece) = piece else { return Ok(None) };
        let after = self.platform.now().saturating_sub(began);
        if self.pace.came(piece.count().into(), after) { Ok(Some(piece)) } else { Err(self.too_slow()) }
    }

    /// All bytes; `None` if there are more than `limit`.
    ///
    /// # Errors
    /// Those of [`next`](Self::next).
    pub async fn whole(&mut self, limit: usize) -> Result<Option<Vec<u8>>, Failure> {
        self.pace = Pace::new(LEAST_OF_SMALL);
        let mut bytes = Vec::new();
        while let Some(piece) = self.next().await? {
            if bytes.len() + piece.count() as usize > limit {
                return Ok(None);
            }
            bytes.extend(piece.copied());
        }
        Ok(Some(bytes))
    }

    fn too_slow(&self) -> Failure {
        self.failed("too little came for a while")
    }

    fn failed(&self, cause: &str) -> Failure {
        let error = Error::new(ErrorCode::Network, format!("The connection broke while {} came.", self.file))
            .hint("Try again: what is stored is not downloaded again.")
            .caused_by(cause);
        Failure { error, again: Again::Later }
    }
}
