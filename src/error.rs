//! The one error type of the crate: a stable code, a sentence for people, and what to do next.

use std::fmt;

/// Stable codes of the public interface. `as_str` gives the spelling that JavaScript sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// No usable WebGPU adapter or device.
    WebgpuUnavailable,
    /// The repository, revision or file does not exist (or is private).
    ModelNotFound,
    /// The hub wants a token, or the token has no access.
    Unauthorized,
    /// The hub asks to wait.
    RateLimited,
    /// A request failed or broke off.
    Network,
    /// Bytes differ from what was announced.
    Integrity,
    /// The browser's storage is full.
    Quota,
    /// The browser's storage cannot be used at all; the public interface calls it `quota` as well.
    Storage,
    /// The checkpoint is of a kind that this program does not read.
    UnsupportedCheckpoint,
    /// `config.json`, the tokenizer or the tensors' shapes contradict each other or the format.
    InvalidConfig,
    /// The caller passed something that cannot be used.
    InvalidArgument,
    /// An allocation failed.
    OutOfMemory,
    /// The GPU device was lost.
    DeviceLost,
    /// The caller aborted.
    Aborted,
    /// The model was disposed.
    Disposed,
    /// This program is at fault.
    Internal,
}

impl ErrorCode {
    /// The code as the public interface spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::WebgpuUnavailable => "webgpu-unavailable",
            Self::ModelNotFound => "model-not-found",
            Self::Unauthorized => "unauthorized",
            Self::RateLimited => "rate-limited",
            Self::Network => "network",
            Self::Integrity => "integrity",
            Self::Quota | Self::Storage => "quota",
            Self::UnsupportedCheckpoint => "unsupported-checkpoint",
            Self::InvalidConfig => "invalid-config",
            Self::InvalidArgument => "invalid-argument",
            Self::OutOfMemory => "out-of-memory",
            Self::DeviceLost => "device-lost",
            Self::Aborted => "aborted",
            Self::Disposed => "disposed",
            Self::Internal => "internal",
        }
    }
}

/// What this program has to distinguish among errors of one code. Callers never see it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ErrorKind {
    /// The code says it all.
    #[default]
    Plain,
    /// This device has no network.
    Offline,
    /// A request ended without a readable answer: the server cannot be reached, or hides its answer from pages of other
    /// origins, as some hosts do for files that they do not have.
    Unreadable,
    /// The entries of a checkpoint begin elsewhere than assumed.
    Misplaced,
    /// A GPU on which a model is slower than on the CPU.
    SlowGpu,
}

/// An error of this crate.
#[derive(Debug)]
pub struct Error {
    /// Stable code of the public interface.
    pub code: ErrorCode,
    /// The more precise kind of error.
    pub kind: ErrorKind,
    /// What happened, as a sentence.
    pub message: String,
    /// What the reader can do next; empty where the sentence says it already.
    pub hint: String,
    /// The error underneath, if one caused this.
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// Longest sentence, next step or cause, in bytes: they quote what comes from outside, which may be a whole file.
const MAX_TEXT_LEN: usize = 2000;

/// Cuts a text that quotes too much.
fn brief(text: impl Into<String>) -> String {
    let mut text = text.into();
    if text.len() > MAX_TEXT_LEN {
        text.truncate(text.floor_char_boundary(MAX_TEXT_LEN));
        text.push('…');
    }
    text
}

/// Result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error with a code and a sentence.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, kind: ErrorKind::Plain, message: brief(message), hint: String::new(), source: None }
    }

    /// Sets the more precise kind.
    pub fn of_kind(self, kind: ErrorKind) -> Self {
        Self { kind, ..self }
    }

    /// Adds what the reader can do next.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = brief(hint);
        self
    }

    /// Adds the error that caused this one.
    pub fn caused_by(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        let source = source.into();
        let text = source.to_string();
        self.source = Some(if text.len() > MAX_TEXT_LEN { brief(text).into() } else { source });
        self
    }

    /// Shorthand for [`ErrorCode::InvalidArgument`].
    pub fn invalid_argument(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidArgument, message)
    }

    /// Shorthand for [`ErrorCode::InvalidConfig`].
    pub fn invalid_config(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidConfig, message)
    }

    /// Shorthand for [`ErrorCode::Internal`].
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Internal, message)
    }

    /// Shorthand for [`ErrorCode::UnsupportedCheckpoint`].
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::UnsupportedCheckpoint, message)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if !self.hint.is_empty() {
            write!(f, " {}", self.hint)?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|e| e as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentence_then_next_step_then_cause() {
        let e = Error::invalid_config("hidden_size is 33.").hint("It must be a multiple of 32.").caused_by("cause");
        assert_eq!(e.to_string(), "hidden_size is 33. It must be a multiple of 32.");
        assert_eq!(e.code.as_str(), "invalid-config");
        assert_eq!(std::error::Error::source(&e).map(ToString::to_string).as_deref(), Some("cause"));
    }

    #[test]
    fn what_quotes_a_whole_file_is_cut() {
        let file = "é".repeat(1 << 20);
        let e = Error::invalid_config(format!("x{file}")).hint(file.as_str()).caused_by(file);
        assert_eq!(e.message.len(), 1999 + "…".len(), "not inside a character");
        assert!(e.hint.len() < 2010);
        assert!(std::error::Error::source(&e).is_some_and(|cause| cause.to_string().len() < 2010));
    }
}
