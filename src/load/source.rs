//! Where a model is, which commit of it, and its small files.

use super::request::Request;
use crate::checkpoint::sniff::{Kind, kind, mistaken};
use crate::config::ModelConfig;
use crate::error::{Error, ErrorCode, ErrorKind, Result};
use crate::hash::{git_blob_id, sha256};
use crate::hub::Location;
use crate::hub::answer::nothing_there;
use crate::hub::client::{Client, OnWait};
use crate::hub::listing::{FileInfo, Listing, commit, next_page};
use crate::hub::manifest::{MANIFEST, Manifest};
use crate::hub::ranges::{peek, small};
use crate::platform::Platform;
use crate::platform::abort::Signal;
use std::cell::RefCell;
use std::rc::Rc;

const CONFIG: &str = "config.json";
const TOKENIZER: &str = "tokenizer.json";
/// Largest small files that are read, in bytes.
const CONFIG_LIMIT: usize = 1 << 20;
const TOKENIZER_LIMIT: usize = crate::tokenizer::MAX_FILE_LEN;
const MANIFEST_LIMIT: usize = 16 << 20;
/// The repository whose tokenizer the published models share.
const SHARED_TOKENIZER: &str = "EleutherAI/gpt-neox-20b";
/// Most pages that are read of the list of files.
const MAX_PAGES: usize = 100;

/// A place with a model's files.
pub struct Source<P> {
    /// Fetches them.
    pub client: Rc<Client<P>>,
    /// What is known of them.
    pub listing: Listing,
    /// The commit, or a hash that identifies the contents; `None` while unknown.
    pub commit: Option<String>,
    /// `config.json`, if there is one.
    pub config: Option<Vec<u8>>,
    /// Why a file that may exist was treated as missing: the first such reason.
    refused: RefCell<Option<Error>>,
    /// Why an existing file of weights was skipped.
    pub of_another_kind: RefCell<Option<Error>>,
    /// The model is the one that comes with the build.
    is_embedded: bool,
    /// What the user should know.
    pub notes: RefCell<Vec<String>>,
}

impl<P: Platform> Source<P> {
    /// Finds the place that a request names. `has_copy`: a stored model can stand in for it.
    ///
    /// # Errors
    /// Those of the network and the hub.
    pub async fn open(platform: P, request: &Request, signal: Signal, on_wait: OnWait, has_copy: bool) -> Result<Self> {
        let location = match (&request.folder_url, &request.repository) {
            (Some(url), _) => Location::Folder { url: url.clone() },
            (None, Some(repository)) => Location::Repository {
                endpoint: request.endpoint.trim_end_matches('/').to_owned(),
                repository: repository.clone(),
                revision: request.revision.clone(),
            },
            (None, None) => return Err(Error::internal("Neither a folder nor a repository is named.")),
        };
        let client = Client::new(platform, location, request.token.clone(), signal).telling(on_wait);
        client.has_copy(has_copy);
        let mut source = Self::resolve(client).await?;
        source.is_embedded = request.folder_url.as_ref().is_some_and(|url| *url != request.id);
        // First the file that every folder has: a host that answers this request can be reached.
        source.config = match source.listing.file(CONFIG) {
            Some(file) => source.optional(&file, CONFIG_LIMIT).await?,
            None => None,
        };
        if let Some(file) = source.listing.file(MANIFEST)
            && let Some(json) = source.optional(&file, MANIFEST_LIMIT).await?
            && let Some(manifest) = Manifest::from_json(&json)?
        {
            source.listing.add_manifest(&manifest);
            source.commit.get_or_insert_with(|| manifest.identity());
            if let (Some(json), Some(file)) = (&source.config, source.listing.file(CONFIG)) {
                check_small(&file, json)?;
            }
        }
        source.client.has_copy(false);
        Ok(source)
    }

    /// The same place for requests of its own, which are made beside others: whether a file may be missing, what was
    /// refused and what is to be noted are its own, too.
    #[must_use]
    pub fn twin(&self) -> Self {
        let (listing, commit, config) = (self.listing.clone(), self.commit.clone(), self.config.clone());
        let (refused, of_another_kind, notes) = Default::default();
        let (client, is_embedded) = (Rc::new(self.client.twin()), self.is_embedded);
        Self { client, listing, commit, config, refused, of_another_kind, is_embedded, notes }
    }

    /// Asks the hub for the commit and its files. A static host has no API and is taken as it is.
    async fn resolve(client: Client<P>) -> Result<Self> {
        let place = |client, listing, commit| {
            let (client, config, is_embedded) = (Rc::new(client), None, false);
            let (refused, of_another_kind, notes) = Default::default();
            Self { client, listing, commit, config, refused, of_another_kind, is_embedded, notes }
        };
        let Some(url) = client.location().api("revision") else { return Ok(place(client, Listing::default(), None)) };
        let Some((answer, _)) = client.api(&url).await? else { return Ok(place(client, Listing::default(), None)) };
        let commit = commit(&answer)?;
        let client = client.pinned(&commit);
        let mut listing = Listing::complete();
        let mut next = client.location().api("tree").map(|url| format!("{url}?recursive=true"));
        for _ in 0..MAX_PAGES {
            let Some(url) = next.take() else { break };
            let Some((json, link)) = client.api(&url).await? else {
                // The hub knows the revision and lists nothing: every file is requested.
                listing = Listing::default();
                break;
            };
            listing.add_page(&json)?;
            next = link.as_deref().and_then(next_page).map(str::to_owned);
        }
        Ok(place(client, listing, Some(commit)))
    }

    /// Runs `work` for a file that may not exist; `None` if it does not.
    ///
    /// Static hosts say so in many ways: by 404, by 403, or by an answer without the header that would let this origin
    /// read it. The last looks like a lost connection, so a file that does exist is requested once more.
    ///
    /// # Errors
    /// Those of `work` that do not mean that the file does not exist.
    pub async fn if_there<T>(&self, work: impl AsyncFnOnce() -> Result<T>) -> Result<Option<T>> {
        let is_folder = matches!(self.client.location(), Location::Folder { .. });
        self.client.expect_absences(is_folder && self.config.is_some());
        let result = work().await;
        self.client.expect_absences(false);
        let e = match result {
            Ok(found) => return Ok(Some(found)),
            Err(e) if e.code == ErrorCode::ModelNotFound => return Ok(None),
            Err(e) => e,
        };
        let may_be_missing = match e.code {
            ErrorCode::Unauthorized => is_folder,
            ErrorCode::Network => {
                is_folder && self.config.is_some() && e.kind == ErrorKind::Unreadable && self.is_reachable().await
            }
            _ => false,
        };
        if !may_be_missing {
            return Err(e);
        }
        self.refused.borrow_mut().get_or_insert(e);
        Ok(None)
    }

    async fn is_reachable(&self) -> bool {
        peek(&self.client, CONFIG, 0..1).await.is_ok()
    }

    /// Why there is no model here: what its files are, or what the host said when it was asked for them.
    pub fn nothing_here(&self) -> Error {
        let cause = self.of_another_kind.take().or_else(|| self.refused.take());
        cause.unwrap_or_else(|| nothing_there(self.client.location(), self.is_embedded))
    }

    /// A small file whose hash is checked, or `None` if there is none.
    ///
    /// # Errors
    /// Those of the network, `integrity`.
    pub async fn optional(&self, file: &FileInfo, limit: usize) -> Result<Option<Vec<u8>>> {
        let bytes = self.if_there(async || small(&self.client, &file.path, file.size, limit).await).await?;
        let Some(bytes) = bytes else { return Ok(None) };
        // Small text files: some hosts answer with a page for a missing file, and nobody means to serve an LFS pointer.
        match kind(&bytes) {
            Some(Kind::Page) => Ok(None),
            Some(Kind::LfsPointer) => Err(mistaken(&file.path, &bytes, None).unwrap_or_else(|| damaged(&file.path))),
            _ => check_small(file, &bytes).map(|()| Some(bytes)),
        }
    }

    /// `tokenizer.json`, if there is one; a published model without one gets the one that all share.
    ///
    /// # Errors
    /// Those of the network.
    pub async fn tokenizer(&self) -> Result<Option<Vec<u8>>> {
        if let Some(file) = self.listing.file(TOKENIZER)
            && let Some(json) = self.optional(&file, TOKENIZER_LIMIT).await?
        {
            return Ok(Some(json));
        }
        match self.client.location() {
            Location::Repository { repository, .. } if is_published(repository) => {
                match self.shared_tokenizer().await {
                    Err(e) if matches!(e.code, ErrorCode::ModelNotFound | ErrorCode::Unauthorized) => {
                        let note = format!("There is no tokenizer, so the model takes and gives token ids only. {e}");
                        self.notes.borrow_mut().push(note);
                        Ok(None)
                    }
                    result => result,
                }
            }
            _ => Ok(None),
        }
    }

    async fn shared_tokenizer(&self) -> Result<Option<Vec<u8>>> {
        let shared = Self::resolve(self.client.elsewhere(SHARED_TOKENIZER, "main")).await?;
        match shared.listing.file(TOKENIZER) {
            Some(file) => shared.optional(&file, TOKENIZER_LIMIT).await,
            None => Ok(None),
        }
    }
}

/// # Errors
/// `integrity` if a small file is not what the hub or the manifest says.
fn check_small(file: &FileInfo, bytes: &[u8]) -> Result<()> {
    let manifest = file.manifest.as_ref().map(|m| &m.sha256);
    let mut sha256s = file.sha256.iter().chain(manifest);
    let is_right =
        sha256s.all(|h| *h == sha256(bytes)) && file.git_oid.as_ref().is_none_or(|h| *h == git_blob_id(bytes));
    if is_right { Ok(()) } else { Err(damaged(&file.path)) }
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
