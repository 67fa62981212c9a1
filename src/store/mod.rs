//! What is kept between visits: models in units, each with its hash, so that a download resumes where it ended.
//!
//! A unit counts once its bytes *and* then its record are stored; the model's `complete` mark comes last.

pub mod cache;
#[cfg(target_arch = "wasm32")]
pub mod indexed_db;
#[cfg(target_arch = "wasm32")]
pub mod lock;
pub mod memory;

use crate::checkpoint::layout::Quantization;
use crate::checkpoint::unit::Piece;
use crate::config::ModelConfig;
use crate::error::Result;
use serde::{Deserialize, Serialize};

/// Changes when stored models of older versions can no longer be used.
pub const FORMAT: u32 = 2;

/// What a stored model is known by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelKey {
    /// Address of the hub; empty for a folder.
    pub endpoint: String,
    /// `owner/name`, or the folder's address.
    pub id: String,
    /// The commit, or a hash that names the folder's contents.
    pub commit: String,
    /// Precision as stored.
    pub quantization: Quantization,
}

impl ModelKey {
    /// Key of the records.
    pub fn text(&self) -> String {
        let Self { endpoint, id, commit, quantization } = self;
        format!("{FORMAT}|{endpoint}|{id}|{commit}|{}", quantization.as_str())
    }
}

/// A stored model, whole or in part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelRecord {
    /// Its key.
    pub key: ModelKey,
    /// The branch or tag that was asked for.
    pub requested: String,
    /// Its shape.
    pub config: ModelConfig,
    /// True if it was converted while it was downloaded: its precision is the caller's choice, not the folder's.
    pub is_converted: bool,
    /// True if `tokenizer.json` is stored as well.
    pub has_tokenizer: bool,
    /// How many units the whole has.
    pub units: usize,
    /// Hash of how the files are cut, and of the bytes of theirs that say so: units of another plan are of no use.
    pub plan: String,
    /// The plan needed to know where a checkpoint's entries begin; a guess would not fit.
    pub is_exact: bool,
    /// Bytes stored so far.
    pub bytes: u64,
    /// Nothing is missing, and the hashes that the hub told were right.
    pub complete: bool,
    /// Milliseconds since 1970.
    pub last_used: f64,
}

/// A stored unit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UnitRecord {
    /// Bytes stored.
    pub len: u64,
    /// Their SHA-256.
    pub sha256: String,
    /// Bytes that were downloaded for it.
    pub source_bytes: u64,
    /// Which bytes are which tensor.
    pub pieces: Vec<Piece>,
    /// State of the hash of the file up to this unit's end.
    pub hash_state: String,
}

/// Keeps models. `Bytes` are whatever the platform moves without copying.
#[allow(async_fn_in_trait)] // one thread: wasm has no Send futures
pub trait Store {
    /// Bytes of a unit.
    type Bytes;

    /// All models.
    async fn models(&self) -> Result<Vec<ModelRecord>>;

    /// Adds or replaces a model's record.
    async fn put_model(&self, model: &ModelRecord) -> Result<()>;

    /// Records of the units that are stored, with their numbers.
    async fn units(&self, key: &ModelKey) -> Result<Vec<(usize, UnitRecord)>>;

    /// Bytes of a unit.
    async fn unit(&self, key: &ModelKey, unit: usize) -> Result<Option<Self::Bytes>>;

    /// Stores a unit: its bytes, then its record.
    ///
    /// # Errors
    /// `quota` if the storage is full.
    async fn put_unit(&self, key: &ModelKey, unit: usize, record: &UnitRecord, bytes: Self::Bytes) -> Result<()>;

    /// Forgets units.
    async fn drop_units(&self, key: &ModelKey, units: std::ops::Range<usize>) -> Result<()>;

    /// `tokenizer.json` with its SHA-256.
    async fn tokenizer(&self, key: &ModelKey) -> Result<Option<(String, Self::Bytes)>>;

    /// Stores `tokenizer.json`.
    async fn put_tokenizer(&self, key: &ModelKey, sha256: &str, bytes: Self::Bytes) -> Result<()>;

    /// Deletes a model with everything that belongs to it.
    async fn delete(&self, key: &ModelKey) -> Result<()>;
}
