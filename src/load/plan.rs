//! What to read from which files, in which units, and what becomes of it.

use crate::checkpoint::folder::Section;
use crate::checkpoint::layout::Quantization;
use crate::checkpoint::stream::Conversion;
use crate::config::{ModelConfig, PartialConfig};
use crate::hash::sha256;
use crate::hub::listing::FileInfo;
use std::ops::Range;

/// A model to load.
pub struct Plan {
    /// Its shape in this load.
    pub config: ModelConfig,
    /// What is known of its shape without the caller.
    pub declared: PartialConfig,
    /// Its precision once it is loaded.
    pub quantization: Quantization,
    /// The files with weights.
    pub files: Vec<FilePlan>,
    /// Bytes that are kept of it.
    pub stored_bytes: u64,
    /// Hash that identifies the contents where there is no commit.
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
    /// Parts that were read to make this plan, with their positions. What streams by must match them; otherwise the
    /// plan belongs to another file.
    pub seen: Vec<(u64, Vec<u8>)>,
    /// What the server identifies this version of the file by, where no hash does.
    pub version: Option<String>,
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

impl FilePlan {
    /// The file's beginning, as far as it was read.
    pub fn prefix(&self) -> Option<&[u8]> {
        self.seen.iter().find(|(position, _)| *position == 0).map(|(_, bytes)| bytes.as_slice())
    }

    /// True if bytes at a position are those that this plan was made from.
    pub fn agrees(&self, position: u64, bytes: &[u8]) -> bool {
        self.seen.iter().all(|(from, seen)| {
            let (start, end) = (position.max(*from), (position + bytes.len() as u64).min(from + seen.len() as u64));
            start >= end
                || bytes[(start - position) as usize..(end - position) as usize]
                    == seen[(start - from) as usize..(end - from) as usize]
        })
    }

    /// True if some of these bytes are among those that this plan was made from.
    pub fn was_seen(&self, range: &Range<u64>) -> bool {
        self.seen.iter().any(|(from, seen)| *from < range.end && range.start < from + seen.len() as u64)
    }
}

impl Plan {
    /// Identifies the plan: what another plan stored cannot be used.
    pub fn digest(&self) -> String {
        let mut text = Vec::new();
        for file in &self.files {
            text.extend(format!("{} {} {:?}\n", file.info.path, file.bytes, file.units).bytes());
            for (position, bytes) in &file.seen {
                text.extend(format!("{position} {}\n", sha256(bytes)).bytes());
            }
        }
        sha256(&text)
    }

    /// How many units all files have.
    pub fn units(&self) -> usize {
        self.files.iter().map(|f| f.units.len()).sum()
    }
}
