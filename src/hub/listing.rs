//! What the hub's API answers: the commit of a revision, and the files of a repository.

use super::manifest::{Manifest, ManifestFile};
use crate::error::{Error, ErrorCode, Result};
use crate::sizes::check_size;
use serde::Deserialize;
use std::collections::HashMap;

/// Most files of a repository, and most bytes of the pages that list them; the largest models have a few hundred files.
const MAX_FILES: usize = 100_000;
const MAX_BYTES: usize = 32 << 20;

/// What is known of a file before it is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileInfo {
    /// Path in the repository or folder.
    pub path: String,
    /// Size in bytes.
    pub size: Option<u64>,
    /// SHA-256 of all bytes.
    pub sha256: Option<String>,
    /// Git's object id, of small files.
    pub git_oid: Option<String>,
    /// What the folder's manifest says.
    pub manifest: Option<ManifestFile>,
}

/// The files of a repository or folder.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    files: Vec<FileInfo>,
    /// True if these are all files; false for a static host, which is asked for each file.
    complete: bool,
    /// Bytes of the pages so far.
    bytes: usize,
}

impl Listing {
    /// A list that has everything once all pages are added.
    pub fn complete() -> Self {
        Self { complete: true, ..Self::default() }
    }

    /// A file, or `None` if it is known not to exist.
    pub fn file(&self, path: &str) -> Option<FileInfo> {
        let found = self.files.iter().find(|f| f.path == path).cloned();
        found.or_else(|| (!self.complete).then(|| FileInfo { path: path.into(), ..FileInfo::default() }))
    }

    /// Adds the entries of one page of the tree.
    ///
    /// # Errors
    /// `network` if the answer is not a listing, or a longer one than any model needs; `unsupported-checkpoint` for
    /// sizes that no file has.
    pub fn add_page(&mut self, json: &[u8]) -> Result<()> {
        #[derive(Deserialize)]
        struct Entry {
            #[serde(rename = "type")]
            kind: String,
            path: String,
            size: Option<u64>,
            oid: Option<String>,
            lfs: Option<Lfs>,
        }
        #[derive(Deserialize)]
        struct Lfs {
            oid: String,
            size: u64,
        }
        let too_long = || {
            Error::new(ErrorCode::Network, "The hub's list of files is too long.")
                .hint("Name a repository that holds a model and little else.")
        };
        self.bytes += json.len();
        if self.bytes > MAX_BYTES {
            return Err(too_long());
        }
        let entries: Vec<Entry> = serde_json::from_slice(json).map_err(|e| unusable("list of files", &e))?;
        if self.files.len() + entries.len() > MAX_FILES {
            return Err(too_long());
        }
        for (e, size) in entries.iter().flat_map(|e| [(e, e.size), (e, e.lfs.as_ref().map(|lfs| lfs.size))]) {
            check_size(&e.path, size.unwrap_or(0))?;
        }
        self.files.extend(entries.into_iter().filter(|e| e.kind == "file").map(|e| match e.lfs {
            // Some answers spell it "sha256:…".
            Some(lfs) => {
                let oid = lfs.oid.trim_start_matches("sha256:").to_ascii_lowercase();
                FileInfo { path: e.path, size: Some(lfs.size), sha256: Some(oid), ..FileInfo::default() }
            }
            None => FileInfo { path: e.path, size: e.size, git_oid: e.oid, ..FileInfo::default() },
        }));
        Ok(())
    }

    /// Adds what the manifest says. What the hub itself says wins: a manifest that says otherwise is outdated.
    pub fn add_manifest(&mut self, manifest: &Manifest) {
        let mut known: HashMap<String, usize> = HashMap::new();
        for (i, f) in self.files.iter().enumerate() {
            known.entry(f.path.clone()).or_insert(i);
        }
        for m in &manifest.files {
            if let Some(&i) = known.get(&m.path) {
                let f = &mut self.files[i];
                let agrees = f.size.is_none_or(|size| size == m.size)
                    && f.sha256.as_ref().is_none_or(|sha256| *sha256 == m.sha256)
                    // A git object id identifies a small file completely.
                    && f.git_oid.is_none();
                f.manifest = agrees.then(|| m.clone());
            } else if !self.complete {
                // The hashes of its chunks say all that the hash of the whole would.
                let sha256 = m.chunks.is_empty().then(|| m.sha256.clone());
                let (path, size) = (m.path.clone(), Some(m.size));
                known.insert(path.clone(), self.files.len());
                self.files.push(FileInfo { path, size, sha256, git_oid: None, manifest: Some(m.clone()) });
            }
        }
    }
}

fn unusable(what: &str, e: &serde_json::Error) -> Error {
    Error::new(ErrorCode::Network, format!("The hub's {what} cannot be read."))
        .hint("Check the endpoint; it must be a hub's address.")
        .caused_by(e.to_string())
}

/// The commit of a revision, from `api/models/{repository}/revision/{revision}`.
///
/// # Errors
/// `network` if the answer has none.
pub fn commit(json: &[u8]) -> Result<String> {
    #[derive(Deserialize)]
    struct Answer {
        sha: String,
    }
    let Answer { sha } = serde_json::from_slice(json).map_err(|e| unusable("answer about the revision", &e))?;
    if is_commit(&sha) {
        return Ok(sha);
    }
    Err(Error::new(ErrorCode::Network, format!("The hub names {sha:?} as the commit."))
        .hint("Check the endpoint; it must be a hub's address."))
}

/// True for a full commit hash.
pub fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && revision.bytes().all(|b| b.is_ascii_hexdigit())
}

/// The next page's address in a `Link` header.
pub fn next_page(link: &str) -> Option<&str> {
    link.split(',').find_map(|part| {
        let (url, parameters) = part.trim().strip_prefix('<')?.split_once('>')?;
        let is_next = |p: &str| matches!(p.trim().replace('"', "").as_str(), "rel=next");
        parameters.split(';').any(is_next).then_some(url)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trees() {
        let mut listing = Listing::complete();
        let page = br#"[{"type":"directory","path":"d","oid":"1"},
            {"type":"file","path":"config.json","size":7,"oid":"abc"},
            {"type":"file","path":"pytorch_model.bin","size":134,"oid":"x","lfs":{"oid":"AB","size":5000000000,"pointerSize":134}}]"#;
        listing.add_page(page).expect("page");
        let file = |path| listing.file(path);
        assert_eq!(file("d"), None);
        assert_eq!(file("config.json").and_then(|f| f.git_oid).as_deref(), Some("abc"));
        let large = file("pytorch_model.bin").expect("listed");
        assert_eq!((large.size, large.sha256.as_deref(), large.git_oid), (Some(5_000_000_000), Some("ab"), None));
        assert_eq!(Listing::default().file("x").map(|f| f.size), Some(None));
        assert!(listing.add_page(b"<html>").is_err());
    }

    #[test]
    fn sizes_that_no_file_has() {
        for size in [1u64 << 53, (1 << 63) - 1, u64::MAX] {
            for more in [format!("\"size\":{size}"), format!("\"size\":134,\"lfs\":{{\"oid\":\"a\",\"size\":{size}}}")]
            {
                let page = format!("[{{\"type\":\"file\",\"path\":\"pytorch_model.bin\",{more}}}]");
                let refused = Listing::complete().add_page(page.as_bytes()).expect_err("refused");
                assert_eq!(refused.code, ErrorCode::UnsupportedCheckpoint, "{page}");
            }
        }
    }

    #[test]
    fn a_stale_manifest_is_not_believed() {
        let file =
            |size, sha256: &str| format!("{{\"path\":\"model.safetensors\",\"size\":{size},\"sha256\":\"{sha256}\"}}");
        let (right, wrong) = ("a".repeat(64), "b".repeat(64));
        for (listed, agrees) in [(file(9, &right), true), (file(8, &right), false), (file(9, &wrong), false)] {
            let mut listing = Listing::complete();
            let lfs = format!("{{\"oid\":\"{right}\",\"size\":9}}");
            let page = format!("[{{\"type\":\"file\",\"path\":\"model.safetensors\",\"size\":9,\"lfs\":{lfs}}}]");
            listing.add_page(page.as_bytes()).expect("page");
            let manifest = format!("{{\"format\":1,\"files\":[{listed}]}}");
            listing.add_manifest(&Manifest::from_json(manifest.as_bytes()).expect("manifest").expect("known"));
            assert_eq!(listing.file("model.safetensors").expect("listed").manifest.is_some(), agrees, "{listed}");
        }
    }

    #[test]
    fn answers() {
        assert_eq!(commit(format!("{{\"sha\":\"{}\"}}", "a".repeat(40)).as_bytes()).expect("sha"), "a".repeat(40));
        assert!(commit(b"{\"sha\":\"../x\"}").is_err());
        let link = "<https://h/api?cursor=a,b>; rel=\"next\"";
        assert_eq!(next_page("<https://h/1>; rel=\"first\", <https://h/2>; rel=\"next\""), Some("https://h/2"));
        assert_eq!(next_page("<https://h/1>; rel=\"first\""), None);
        assert_eq!(next_page(link), None, "a comma in an address is encoded");
    }
}
