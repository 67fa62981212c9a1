//! `manifest.json` of a model folder: sizes and hashes of its files, the large ones in chunks, so that a loader
//! fails at the first bad chunk and not at the end of a download.

use crate::error::{Error, Result};
use crate::hash::{Sha256, sha256};
use crate::sizes::{check_size, cut, unit_bytes};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Name of the file.
pub const MANIFEST: &str = "manifest.json";
/// Files up to this size are hashed as a whole only.
const WHOLE: u64 = 1 << 20;
const FORMAT: u32 = 1;
/// Most files of a folder: 1,000 shards, and what goes with them.
const MAX_FILES: usize = 2000;

/// What the folder holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    format: u32,
    /// All files but the manifest itself.
    pub files: Vec<ManifestFile>,
}

/// One file of the folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestFile {
    /// Name in the folder.
    pub path: String,
    /// Size in bytes.
    pub size: u64,
    /// Hash of the whole file.
    pub sha256: String,
    /// Length of a chunk in bytes; the last is shorter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chunk_bytes: Option<u64>,
    /// Hashes of the chunks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chunks: Vec<String>,
}

impl ManifestFile {
    /// The ranges of the chunks with their hashes; empty for a file without chunks.
    pub fn chunks(&self) -> impl Iterator<Item = (Range<u64>, &str)> {
        let len = self.chunk_bytes.unwrap_or(1);
        let ranges = if self.chunks.is_empty() { Vec::new() } else { cut(self.size, len) };
        ranges.into_iter().zip(self.chunks.iter().map(String::as_str))
    }
}

impl Manifest {
    /// A manifest of no files.
    #[allow(clippy::new_without_default)] // an empty manifest is no sensible default
    pub fn new() -> Self {
        Self { format: FORMAT, files: Vec::new() }
    }

    /// Adds a file, which `read` returns in pieces of any length, until an empty one.
    ///
    /// # Errors
    /// Those of `read`.
    pub fn add(&mut self, path: &str, size: u64, mut read: impl FnMut() -> Result<Vec<u8>>) -> Result<()> {
        let chunk_bytes = (size > WHOLE).then(|| unit_bytes(size));
        let (mut whole, mut chunk, mut filled) = (Sha256::default(), Sha256::default(), 0);
        let mut chunks = Vec::new();
        loop {
            let bytes = read()?;
            if bytes.is_empty() {
                break;
            }
            whole.update(&bytes);
            let mut rest = bytes.as_slice();
            while let Some(chunk_bytes) = chunk_bytes.filter(|_| !rest.is_empty()) {
                let (head, tail) = rest.split_at(rest.len().min((chunk_bytes - filled) as usize));
                chunk.update(head);
                filled += head.len() as u64;
                rest = tail;
                if filled == chunk_bytes {
                    chunks.push(std::mem::take(&mut chunk).finish());
                    filled = 0;
                }
            }
        }
        if filled > 0 {
            chunks.push(chunk.finish());
        }
        self.files.push(ManifestFile { path: path.into(), size, sha256: whole.finish(), chunk_bytes, chunks });
        Ok(())
    }

    /// Reads a manifest; `None` for one of an unknown format.
    ///
    /// # Errors
    /// `invalid-config` if it cannot be read or contradicts itself, `unsupported-checkpoint` for sizes that no file has.
    pub fn from_json(json: &[u8]) -> Result<Option<Self>> {
        #[derive(Deserialize)]
        struct Format {
            format: Option<serde_json::Value>,
        }
        let bad = |what: String| {
            Error::invalid_config(format!("manifest.json cannot be used: {what}."))
                .hint("Convert the model again, or remove manifest.json.")
        };
        let Format { format } = serde_json::from_slice(json).map_err(|e| bad(e.to_string()))?;
        if format != Some(FORMAT.into()) {
            return Ok(None);
        }
        let manifest: Self = serde_json::from_slice(json).map_err(|e| bad(e.to_string()))?;
        if manifest.files.len() > MAX_FILES {
            return Err(bad(format!("it names {} files", manifest.files.len())));
        }
        for f in &manifest.files {
            check_size(&f.path, f.size)?;
            let count = match f.chunk_bytes {
                // Whole words, so that no number is cut.
                Some(len) if (1 << 16..=16 << 20).contains(&len) && len % 8 == 0 => f.size.div_ceil(len),
                Some(len) => return Err(bad(format!("chunks of {len} bytes"))),
                None => 0,
            };
            let is_hash = |h: &String| h.len() == 64 && h.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
            if count != f.chunks.len() as u64 || !is_hash(&f.sha256) || !f.chunks.iter().all(is_hash) {
                return Err(bad(format!("the hashes of {:?} do not fit its {} bytes", f.path, f.size)));
            }
        }
        Ok(Some(manifest))
    }

    /// The entry of a file.
    pub fn file(&self, path: &str) -> Option<&ManifestFile> {
        self.files.iter().find(|f| f.path == path)
    }

    /// Identifies the contents of the whole folder: equal for equal files.
    pub fn identity(&self) -> String {
        let lines: String = self.files.iter().map(|f| format!("{} {}\n", f.sha256, f.path)).collect();
        sha256(lines.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_and_refusals() {
        let bytes: Vec<u8> = (0..(2 << 20) + 5).map(|i: u32| (i % 251) as u8).collect();
        let mut pieces = bytes.chunks(300_007).map(<[u8]>::to_vec);
        let mut manifest = Manifest::new();
        manifest.add("m", bytes.len() as u64, || Ok(pieces.next().unwrap_or_default())).expect("added");
        let file = manifest.file("m").expect("file");
        assert_eq!((file.chunk_bytes, file.chunks.len()), (Some(1 << 20), 3));
        assert_eq!(file.sha256, sha256(&bytes));
        for (range, hash) in file.chunks() {
            assert_eq!(hash, sha256(&bytes[range.start as usize..range.end as usize]));
        }
        let json = serde_json::to_string(&manifest).expect("json");
        assert_eq!(Manifest::from_json(json.as_bytes()).expect("read"), Some(manifest));
        for (from, to) in [
            ("1048576", "1"),
            ("1048576", "1048577"),
            ("1048576", "2097152"),
            (&file_hash(&json), "x"),
            ("\"files\"", "\"other\""),
        ] {
            assert!(Manifest::from_json(json.replace(from, to).as_bytes()).is_err(), "{from}");
        }
        assert!(Manifest::from_json(b"{\"format\":2}").expect("other").is_none());
        assert!(Manifest::from_json(b"[").is_err());
    }

    #[test]
    fn sizes_that_no_file_has() {
        let hash = "a".repeat(64);
        for (size, code) in [
            ((1u64 << 40).to_string(), None),
            ((1u64 << 53).to_string(), Some("unsupported-checkpoint")),
            (u64::MAX.to_string(), Some("unsupported-checkpoint")),
            ("18446744073709551616".into(), Some("invalid-config")),
            ("-1".into(), Some("invalid-config")),
        ] {
            let json = format!("{{\"format\":1,\"files\":[{{\"path\":\"m\",\"size\":{size},\"sha256\":\"{hash}\"}}]}}");
            let refused = Manifest::from_json(json.as_bytes()).err().map(|e| e.code.as_str());
            assert_eq!(refused, code, "{size}");
        }
    }

    fn file_hash(json: &str) -> String {
        let at = json.find("sha256\":\"").expect("hash") + 9;
        json[at..at + 64].to_owned()
    }
}
