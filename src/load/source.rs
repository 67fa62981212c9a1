//! Where a model is, which commit of it, and its small files.

use super::Request;
use crate::checkpoint::manifest::{MANIFEST, Manifest};
use crate::config::ModelConfig;
use crate::error::{Error, ErrorCode, Result};
use crate::hash::{git_blob_id, sha256};
use crate::hub::Location;
use crate::hub::fetch::Client;
use crate::hub::listing::{FileInfo, Listing, commit, next_page};
use crate::hub::ranges::small;
use std::rc::Rc;
use web_sys::AbortSignal;

/// Largest small files that are read, in bytes.
const CONFIG_LIMIT: usize = 1 << 20;
const TOKENIZER_LIMIT: usize = 64 << 20;
const MANIFEST_LIMIT: usize = 16 << 20;
/// Whose tokenizer the published models share.
const SHARED_TOKENIZER: &str = "EleutherAI/gpt-neox-20b";
/// Pages of the list of files that are read at most.
const MAX_PAGES: usize = 100;

/// A place with a model's files.
pub struct Source {
    /// Fetches them.
    pub client: Rc<Client>,
    /// What is known of them.
    pub listing: Listing,
    /// The commit, or a hash that names the contents; `None` while nothing tells.
    pub commit: Option<String>,
}

impl Source {
    /// Finds the place that a request names.
    ///
    /// # Errors
    /// Those of the network and the hub.
    pub async fn open(request: &Request, signal: Option<AbortSignal>) -> Result<Self> {
        let location = match (&request.folder_url, &request.repository) {
            (Some(url), _) => Location::Folder { url: url.clone() },
            (None, Some(repository)) => Location::Repository {
                endpoint: request.endpoint.trim_end_matches('/').to_owned(),
                repository: repository.clone(),
                revision: request.revision.clone(),
            },
            (None, None) => return Err(Error::invalid_argument("Neither a folder nor a repository is named.")),
        };
        let mut source = Self::resolve(Client::new(location, request.token.clone(), signal)?).await?;
        if let Some(file) = source.listing.file(MANIFEST)
            && let Some(json) = source.optional(&file, MANIFEST_LIMIT).await?
            && let Some(manifest) = Manifest::from_json(&json)?
        {
            source.listing.add_manifest(&manifest);
            source.commit.get_or_insert_with(|| manifest.identity());
        }
        Ok(source)
    }

    /// Asks the hub for the commit and its files. A static host has no API and is taken as it is.
    async fn resolve(client: Client) -> Result<Self> {
        let plain = |client| Self { client: Rc::new(client), listing: Listing::default(), commit: None };
        let Some(url) = client.location().api("revision") else { return Ok(plain(client)) };
        let Some((answer, _)) = client.api(&url).await? else { return Ok(plain(client)) };
        let commit = commit(&answer)?;
        let client = client.pinned(&commit);
        let mut listing = Listing::complete();
        let mut next = client.location().api("tree").map(|url| format!("{url}?recursive=true"));
        for _ in 0..MAX_PAGES {
            let Some(url) = next.take() else { break };
            let Some((json, link)) = client.api(&url).await? else { break };
            listing.add_page(&json)?;
            next = link.as_deref().and_then(next_page).map(str::to_owned);
        }
        Ok(Self { client: Rc::new(client), listing, commit: Some(commit) })
    }

    /// A small file whose hash is checked, or `None` if there is none.
    async fn optional(&self, file: &FileInfo, limit: usize) -> Result<Option<Vec<u8>>> {
        let bytes = match small(&self.client, &file.path, file.size, limit).await {
            Ok(bytes) => bytes,
            Err(e) if e.code == ErrorCode::ModelNotFound => return Ok(None),
            Err(e) => return Err(e),
        };
        let manifest = file.manifest.as_ref().map(|m| &m.sha256);
        let is_right = file.sha256.as_ref().is_none_or(|h| *h == sha256(&bytes))
            && manifest.is_none_or(|h| *h == sha256(&bytes))
            && file.git_oid.as_ref().is_none_or(|h| *h == git_blob_id(&bytes));
        if is_right { Ok(Some(bytes)) } else { Err(damaged(&file.path)) }
    }

    /// `config.json`, if there is one.
    ///
    /// # Errors
    /// Those of the network.
    pub async fn config(&self) -> Result<Option<Vec<u8>>> {
        let Some(file) = self.listing.file("config.json") else { return Ok(None) };
        self.optional(&file, CONFIG_LIMIT).await
    }

    /// `tokenizer.json`, if there is one; a published model without gets the one that all share.
    ///
    /// # Errors
    /// Those of the network.
    pub async fn tokenizer(&self) -> Result<Option<Vec<u8>>> {
        if let Some(file) = self.listing.file("tokenizer.json")
            && let Some(json) = self.optional(&file, TOKENIZER_LIMIT).await?
        {
            return Ok(Some(json));
        }
        match self.client.location() {
            Location::Repository { repository, .. } if is_published(repository) => {
                let shared = Self::resolve(self.client.elsewhere(SHARED_TOKENIZER, "main")?).await?;
                match shared.listing.file("tokenizer.json") {
                    Some(file) => shared.optional(&file, TOKENIZER_LIMIT).await,
                    None => Ok(None),
                }
            }
            _ => Ok(None),
        }
    }
}

/// True for the models of the paper's authors.
fn is_published(repository: &str) -> bool {
    repository.to_ascii_lowercase().starts_with("haiyang-w/") && ModelConfig::preset(repository).is_some()
}

/// The error of a file whose hash is wrong.
pub fn damaged(file: &str) -> Error {
    Error::new(ErrorCode::Integrity, format!("{file} is not what it should be: its hash is wrong."))
        .hint("Load again: what was wrong is not kept. If it stays so, the file on the server is damaged.")
}
