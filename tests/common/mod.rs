//! What the native tests share.
#![allow(dead_code)] // tools/ use some of it alone

pub mod big_checkpoint;
pub mod embedded;
pub mod golden;
pub mod growth;
pub mod torch_zip;

use safetensors::SafeTensors;
use std::path::PathBuf;

/// The committed checkpoints.
pub const FIXTURES: [&str; 4] = ["head64", "head80", "head96", "uneven-slots"];

/// Folder of a committed checkpoint.
pub fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// An f32 tensor.
pub fn floats(file: &SafeTensors<'_>, name: &str) -> Vec<f32> {
    let data = file.tensor(name).expect(name).data();
    data.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

/// `input_ids`.
pub fn ids(file: &SafeTensors<'_>) -> Vec<u32> {
    let data = file.tensor("input_ids").expect("input_ids").data();
    data.as_chunks::<4>().0.iter().map(|b| u32::from_le_bytes(*b)).collect()
}

/// ‖got − want‖₂ / ‖want‖₂.
pub fn relative_error(got: &[f32], want: &[f32]) -> f64 {
    assert_eq!(got.len(), want.len());
    let norm = |it: &mut dyn Iterator<Item = f64>| it.map(|x| x * x).sum::<f64>().sqrt();
    norm(&mut got.iter().zip(want).map(|(g, w)| f64::from(*g) - f64::from(*w)))
        / norm(&mut want.iter().map(|w| f64::from(*w)))
}
