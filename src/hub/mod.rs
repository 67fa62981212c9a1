//! Where a model's files come from: a folder on any static host, or a repository of the hub.

pub mod answer;
pub mod body;
pub mod budget;
pub mod client;
pub mod failure;
pub mod listing;
pub mod manifest;
pub mod ranges;
pub mod retry;
#[cfg(test)]
pub(crate) mod scripted;
#[cfg(test)]
mod tests;

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

    /// The folder's address, or that of the hub.
    pub fn address(&self) -> &str {
        match self {
            Self::Folder { url } => url,
            Self::Repository { endpoint, .. } => endpoint,
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

impl std::fmt::Display for Location {
    /// In words: `owner/name on host`, or a folder's address.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Folder { url } => f.write_str(url),
            Self::Repository { endpoint, repository, .. } => write!(f, "{repository} on {}", answer::host(endpoint)),
        }
    }
}

/// Text as one segment of a path: a revision may be a branch with a slash in it, which the hub wants encoded.
fn segment(text: &str) -> String {
    text.replace('%', "%25").replace('/', "%2F").replace('?', "%3F").replace('#', "%23")
}
