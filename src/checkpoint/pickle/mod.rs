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
mod tensor;

pub use tensor::{Dtype, TorchTensor};

use crate::error::Result;
use machine::Machine;
use tensor::malformed;

/// Longest pickle that is read, in bytes; the largest published model's has about 50 kB.
pub const MAX_PICKLE_LEN: u64 = 8 << 20;

/// Reads a state dict: the tensors in the order of the dict. Entries that are no tensors are left out.
pub fn parse_state_dict(data: &[u8]) -> Result<Vec<TorchTensor>> {
    if data.len() as u64 > MAX_PICKLE_LEN {
        return Err(malformed(0, "it is too long"));
    }
    let mut machine = Machine::new(data);
    while machine.step()? {}
    machine.state_dict()
}
