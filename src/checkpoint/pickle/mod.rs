//! Reads the pickled state dict of `torch.save` without executing anything.
//!
//! A pickle is a program for a stack machine. This one knows only what a state dict needs: containers,
//! numbers, strings, tensors and their storages. Every other opcode or global is refused by name.
//! Values live in one flat arena and are never walked recursively, and every step consumes input, so time
//! and memory are linear in the input, which is limited too.
//!
//! `machine` has the stack and the opcodes, `state_dict` what may be named and called, and what is left in the end.

mod machine;
mod state_dict;

use crate::error::{Error, Result};
use machine::Machine;

/// Longest pickle that is read, in bytes; the largest published model's has about 50 kB.
pub const MAX_PICKLE_LEN: u64 = 8 << 20;

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

/// Reads a state dict: the tensors in the order of the dict. Entries that are no tensors are left out.
pub fn parse_state_dict(data: &[u8]) -> Result<Vec<TorchTensor>> {
    if data.len() as u64 > MAX_PICKLE_LEN {
        return Err(malformed(0, "it is too long"));
    }
    let mut machine = Machine::new(data);
    while machine.step()? {}
    machine.state_dict()
}

fn malformed(at: usize, what: impl std::fmt::Display) -> Error {
    Error::unsupported(format!("The checkpoint's data.pkl is no state dict (at byte {at}: {what})."))
        .hint("Save it with torch.save(model.state_dict(), …).")
}
