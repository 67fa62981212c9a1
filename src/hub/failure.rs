//! An attempt that failed.

use super::answer::Refusal;
use super::retry::Again;
use crate::error::Error;

/// A failed attempt.
#[derive(Debug)]
pub struct Failure {
    /// The error to report if it was the last one.
    pub error: Error,
    /// When to try again.
    pub again: Again,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { error, again: Again::Never }
    }
}

impl From<Refusal> for Failure {
    fn from(Refusal { error, again }: Refusal) -> Self {
        Self { error, again }
    }
}
