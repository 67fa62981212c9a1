//! Where a model's files come from: a folder on any static host, or a repository of the hub.

pub mod answer;
#[cfg(target_arch = "wasm32")]
pub mod body;
pub mod budget;
#[cfg(target_arch = "wasm32")]
pub mod fetch;
pub mod listing;
pub mod manifest;
#[cfg(target_arch = "wasm32")]
pub mod ranges;
pub mod retry;
#[cfg(target_arch = "wasm32")]
pub mod timer;

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
        assert_eq!((hub.to_string(), folder.to_string()), ("o/n on hub.example".into(), "https://a.example/m/".into()));
    }
}
