//! What is to be read of which files, in which units, and what becomes of it.

use super::source::Source;
use super::{Request, published, quantized};
use crate::checkpoint::folder::Section;
use crate::checkpoint::layout::Quantization;
use crate::checkpoint::stream::Conversion;
use crate::config::ModelConfig;
use crate::error::{Error, ErrorCode, Result};
use crate::hub::listing::FileInfo;
use std::ops::Range;

/// A model to load.
pub struct Plan {
    /// Its shape.
    pub config: ModelConfig,
    /// Its precision once it is loaded.
    pub quantization: Quantization,
    /// The files with weights.
    pub files: Vec<FilePlan>,
    /// Bytes that are kept of it.
    pub stored_bytes: u64,
    /// Hash that names the contents where no commit does.
    pub identity: String,
}

/// A file to read.
pub struct FilePlan {
    /// What is known of it.
    pub info: FileInfo,
    /// Its size.
    pub bytes: u64,
    /// Consecutive ranges that cover it.
    pub units: Vec<Range<u64>>,
    /// Its beginning, which had to be read to make this plan.
    pub prefix: Vec<u8>,
    /// What becomes of its bytes.
    pub work: Work,
}

/// What becomes of a file's bytes.
pub enum Work {
    /// They are kept as they are; these are tensors.
    Copy(Vec<Section>),
    /// They are converted.
    Convert(Box<Conversion>),
}

impl Plan {
    /// Plans to load what is at a source. `exact`: read where the checkpoint's entries begin, do not guess.
    ///
    /// # Errors
    /// `model-not-found` without weights, those of the network, and those of what is there.
    pub async fn new(source: &Source, request: &Request, exact: bool) -> Result<Self> {
        let config_json = source.config().await?;
        let config_json = config_json.as_deref();
        let mut identity = config_json.unwrap_or_default().to_vec();
        let plan = match quantized::plan(source, request, config_json, &mut identity).await? {
            Some(plan) => Some(plan),
            None => published::plan(source, request, config_json, exact, &mut identity).await?,
        };
        let Some(mut plan) = plan else {
            return Err(Error::new(
                ErrorCode::ModelNotFound,
                "There is neither a model.safetensors nor a pytorch_model.bin.",
            )
            .hint("Check the model's name or address."));
        };
        plan.identity = crate::hash::sha256(&identity)[..40].to_owned();
        Ok(plan)
    }

    /// How many units all files have.
    pub fn units(&self) -> usize {
        self.files.iter().map(|f| f.units.len()).sum()
    }
}
