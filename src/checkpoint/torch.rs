//! Where the tensors of a `torch.save` archive are, and what their bytes mean.

use super::pickle::{Dtype, TorchTensor};
use super::zip::Entry;
use crate::error::{Error, Result};
use half::slice::HalfFloatSliceExt;
use std::collections::HashMap;
use std::ops::Range;

/// The entries of an archive by what they are for.
#[derive(Debug)]
pub struct Archive {
    /// All entries, in the order of the directory.
    pub entries: Vec<Entry>,
    pickle: usize,
    storages: HashMap<String, usize>,
}

/// The bytes of one tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TensorBytes {
    /// Index of the storage's entry in [`Archive::entries`].
    pub entry: usize,
    /// First byte, from the beginning of the entry's data.
    pub offset: u64,
    /// Bytes of the tensor.
    pub len: u64,
    /// Element type.
    pub dtype: Dtype,
}

impl TensorBytes {
    /// Bytes in the file. `data_offset`: what [`super::zip::local_data_offset`] says of the entry.
    pub fn range(&self, data_offset: u64) -> Range<u64> {
        data_offset + self.offset..data_offset + self.offset + self.len
    }
}

impl Archive {
    /// Finds `<top>/data.pkl` and the storages `<top>/data/<key>` among the entries.
    pub fn new(entries: Vec<Entry>) -> Result<Self> {
        let pickles: Vec<usize> =
            (0..entries.len()).filter(|&i| matches!(entries[i].name.split_once('/'), Some((_, "data.pkl")))).collect();
        let &[pickle] = pickles.as_slice() else {
            return Err(Error::unsupported(format!(
                "The checkpoint is a ZIP archive with {} files data.pkl, but torch.save writes one.",
                pickles.len()
            ))
            .hint("Save it with torch.save(model.state_dict(), …)."));
        };
        if entries[pickle].size > super::pickle::MAX_PICKLE_LEN {
            return Err(Error::unsupported(format!(
                "The checkpoint's data.pkl has {} bytes, which is more than any state dict needs.",
                entries[pickle].size
            )));
        }
        let top = &entries[pickle].name[..entries[pickle].name.len() - "data.pkl".len()];
        if let Some(order) = entries.iter().find(|e| e.name.strip_prefix(top) == Some("byteorder"))
            && order.size != "little".len() as u64
        {
            return Err(Error::unsupported("The checkpoint was saved on a big-endian machine."));
        }
        let key = |e: &Entry| e.name.strip_prefix(top)?.strip_prefix("data/").map(str::to_owned);
        let storages = entries.iter().enumerate().filter_map(|(i, e)| Some((key(e)?, i))).collect();
        Ok(Self { entries, pickle, storages })
    }

    /// The entry that holds the pickled state dict.
    pub fn pickle(&self) -> &Entry {
        &self.entries[self.pickle]
    }

    /// Where a tensor's bytes are; everything that the pickle claims is checked against the archive.
    pub fn locate(&self, tensor: &TorchTensor) -> Result<TensorBytes> {
        let name = &tensor.name;
        let bad = |what: String| Error::unsupported(format!("Tensor {name:?} of the checkpoint {what}."));
        let &entry = self
            .storages
            .get(&tensor.storage_key)
            .ok_or_else(|| bad(format!("is in storage {:?}, which the archive does not hold", tensor.storage_key)))?;
        let dtype = element_type(tensor)?;
        let (stored, size) = (self.entries[entry].size, dtype.size() as u64);
        if tensor.storage_len.checked_mul(size) != Some(stored) {
            return Err(bad(format!(
                "is in a storage of {} elements of {size} bytes, but the archive holds {stored} bytes of it",
                tensor.storage_len
            )));
        }
        let elements = tensor.shape.iter().try_fold(1u64, |n, &extent| n.checked_mul(extent));
        let end = elements.and_then(|n| n.checked_add(tensor.storage_offset));
        let (Some(elements), Some(_)) = (elements, end.filter(|&end| end <= tensor.storage_len)) else {
            return Err(bad(format!(
                "of shape {:?} at element {} is outside its storage of {} elements",
                tensor.shape, tensor.storage_offset, tensor.storage_len
            )));
        };
        // The stride along an extent of 1 means nothing.
        let mut step = 1u64;
        for (&extent, &stride) in tensor.shape.iter().zip(&tensor.stride).rev() {
            if extent > 1 && stride != step {
                return Err(bad(format!(
                    "of shape {:?} has strides {:?}: it is not contiguous",
                    tensor.shape, tensor.stride
                ))
                .hint("Call .contiguous() on it before torch.save."));
            }
            step = step.saturating_mul(extent);
        }
        Ok(TensorBytes { entry, offset: tensor.storage_offset * size, len: elements * size, dtype })
    }
}

/// The element type of a tensor of the model.
///
/// # Errors
/// `unsupported-checkpoint` for one that is not read here.
pub fn element_type(tensor: &TorchTensor) -> Result<Dtype> {
    tensor.dtype.map_err(|storage| {
        Error::unsupported(format!(
            "Tensor {:?} of the checkpoint is in a torch.{storage}; weights are read as float32, float16 or bfloat16.",
            tensor.name
        ))
        .hint("Convert it with .float() before torch.save.")
    })
}

/// Appends elements stored little-endian to `out` as f32.
pub fn decode(dtype: Dtype, bytes: &[u8], out: &mut Vec<f32>) {
    match dtype {
        Dtype::F32 => out.extend(bytes.as_chunks::<4>().0.iter().map(|&b| f32::from_le_bytes(b))),
        Dtype::Bf16 => {
            let wide = |b: [u8; 2]| f32::from_bits(u32::from(u16::from_le_bytes(b)) << 16);
            out.extend(bytes.as_chunks::<2>().0.iter().map(|&b| wide(b)));
        }
        Dtype::F16 => decode_f16(bytes, out),
    }
}

/// Appends half-precision elements stored little-endian to `out`.
pub fn decode_f16(bytes: &[u8], out: &mut Vec<f32>) {
    let mut halves = [half::f16::ZERO; 256];
    for block in bytes.chunks(512) {
        let halves = &mut halves[..block.len() / 2];
        for (half, &b) in halves.iter_mut().zip(block.as_chunks::<2>().0) {
            *half = half::f16::from_le_bytes(b);
        }
        let start = out.len();
        out.resize(start + halves.len(), 0.0);
        halves.convert_to_f32_slice(&mut out[start..]);
    }
}
