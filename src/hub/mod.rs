//! Where a model's files come from: a folder on any static host, or a repository of the hub.

pub mod budget;
#[cfg(target_arch = "wasm32")]
pub mod fetch;
pub mod listing;
#[cfg(target_arch = "wasm32")]
pub mod ranges;
pub mod retry;
#[cfg(target_arch = "wasm32")]
pub mod timer;

use crate::error::{Error, ErrorCode};

/// A place that holds a model's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// A folder of a static host; the URL ends with `/`.
    Folder {
        /// Absolute URL.
        url: String,
    },
    /// A repository of the hub.
    Repository {
        /// `https://huggingface.co`, say, without a slash at its end.
        endpoint: String,
        /// `owner/name`.
        repository: String,
        /// Branch, tag or commit.
        revision: String,
    },
}

impl Location {
    /// Address of an API call about the revision: `revision` or `tree`. A folder has none.
    pub fn api(&self, call: &str) -> Option<String> {
        match self {
            Self::Folder { .. } => None,
            Self::Repository { endpoint, repository, revision } => {
                Some(format!("{endpoint}/api/models/{repository}/{call}/{}", segment(revision)))
            }
        }
    }

    /// URL of one of the files.
    pub fn url(&self, file: &str) -> String {
        match self {
            Self::Folder { url } => format!("{url}{file}"),
            Self::Repository { endpoint, repository, revision } => {
                format!("{endpoint}/{repository}/resolve/{}/{file}", segment(revision))
            }
        }
    }
}

/// Text as one segment of a path: a revision may be a branch with a slash in it, which the hub wants encoded.
fn segment(text: &str) -> String {
    text.replace('%', "%25").replace('/', "%2F").replace('?', "%3F").replace('#', "%23")
}

/// The error that an HTTP answer means, if it is one. The hub's `X-Error-Code` decides before the status.
pub fn error_of_answer(file: &str, status: u16, error_code: Option<&str>, has_token: bool) -> Option<Error> {
    let not_found = |what: &str| {
        Error::new(ErrorCode::ModelNotFound, format!("{what} ({file}, HTTP {status})."))
            .hint("Check the name and the revision; a private repository needs the token option.")
    };
    match error_code {
        Some("RepoNotFound") => return Some(not_found("There is no such repository, or it is private")),
        Some("RevisionNotFound") => return Some(not_found("The repository has no such revision")),
        Some("EntryNotFound") => return Some(not_found("The repository has no such file")),
        Some("GatedRepo") => {
            return Some(
                Error::new(ErrorCode::Unauthorized, "The repository is gated.")
                    .hint("Accept its conditions on the hub and pass a token that has access."),
            );
        }
        _ => {}
    }
    match status {
        200..=299 => None,
        401 | 403 => Some(
            Error::new(ErrorCode::Unauthorized, format!("Access to {file} was refused (HTTP {status})."))
                .hint(if has_token { "The token has no access to it." } else { "Pass a token that has access." }),
        ),
        404 | 410 => Some(not_found("The model's file was not found")),
        429 => Some(
            Error::new(ErrorCode::RateLimited, "The hub asks to wait before more is requested (HTTP 429).")
                .hint("Try again in a few minutes."),
        ),
        _ => Some(
            Error::new(ErrorCode::Network, format!("{file} could not be fetched (HTTP {status}).")).hint("Try again."),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let folder = Location::Folder { url: "https://a.example/m/".into() };
        assert_eq!(folder.url("config.json"), "https://a.example/m/config.json");
        let hub = Location::Repository {
            endpoint: "https://hub.example".into(),
            repository: "o/n".into(),
            revision: "refs/pr/1".into(),
        };
        assert_eq!(hub.url("config.json"), "https://hub.example/o/n/resolve/refs%2Fpr%2F1/config.json");
    }

    #[test]
    fn answers() {
        let code = |status, error| error_of_answer("f", status, error, false).map(|e| e.code);
        assert_eq!(code(200, None), None);
        assert_eq!(code(206, None), None);
        assert_eq!(code(401, Some("RepoNotFound")), Some(ErrorCode::ModelNotFound));
        assert_eq!(code(404, Some("RevisionNotFound")), Some(ErrorCode::ModelNotFound));
        assert_eq!(code(403, Some("GatedRepo")), Some(ErrorCode::Unauthorized));
        assert_eq!(code(401, None), Some(ErrorCode::Unauthorized));
        assert_eq!(code(404, None), Some(ErrorCode::ModelNotFound));
        assert_eq!(code(429, None), Some(ErrorCode::RateLimited));
        assert_eq!(code(500, None), Some(ErrorCode::Network));
    }
}
