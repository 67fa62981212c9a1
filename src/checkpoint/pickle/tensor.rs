//! What a state dict holds, and the error of a pickle that is not a state dict.

use crate::error::Error;

/// Element type of a storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dtype {
    /// IEEE single precision.
    F32,
    /// IEEE half precision.
    F16,
    /// The upper half of an IEEE single.
    Bf16,
}

impl Dtype {
    /// Bytes of one element.
    pub fn size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }
}

/// A tensor of the state dict: a view of a storage, nothing checked against the archive yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TorchTensor {
    /// Key in the state dict.
    pub name: String,
    /// Element type, or PyTorch's name of a storage that no tensor of a model is in: masks and positions are integers.
    pub dtype: Result<Dtype, &'static str>,
    /// Extents, outermost first.
    pub shape: Vec<u64>,
    /// Elements from one index to the next, per dimension.
    pub stride: Vec<u64>,
    /// Name of the storage: the entry `data/<key>` of the archive.
    pub storage_key: String,
    /// Elements of the storage.
    pub storage_len: u64,
    /// First element of the tensor in its storage.
    pub storage_offset: u64,
}

/// The error of a pickle that is not a state dict, with the position of the byte that shows it.
pub(super) fn malformed(at: usize, what: impl std::fmt::Display) -> Error {
    Error::unsupported(format!("The checkpoint's data.pkl is no state dict (at byte {at}: {what})."))
        .hint("Save it with torch.save(model.state_dict(), …).")
}
