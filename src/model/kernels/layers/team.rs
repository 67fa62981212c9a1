//! How many workgroups share a layer, and their arithmetic.

use crate::checkpoint::layout::TableFormat;
use serde::{Deserialize, Serialize};

/// The precision of a product's factors; sums of several products are accumulated in f32 in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Arithmetic {
    /// Single precision.
    F32,
    /// Half precision (HALF of the shader), where the device has it.
    F16,
    /// Bytes, four at a time, two for each activation (PACKED of the shader).
    Int8,
}

impl Arithmetic {
    /// Its name for `info`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Int8 => "int8",
        }
    }

    /// Products with tables of `format`: only tables of few bits justify less than single precision.
    pub fn with(self, format: TableFormat) -> Self {
        if format.is_quantized() { self } else { Self::F32 }
    }
}

/// The number of workgroups that share a layer, and their properties.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Team {
    /// Number of workgroups; all must run at the same time.
    pub workgroups: usize,
    /// Threads of each.
    pub threads: usize,
    /// How often a workgroup polls a word before it times out.
    pub spin_limit: usize,
    /// Arithmetic of products, where the tables' format allows it.
    pub arithmetic: Arithmetic,
    /// Sums by subgroups, where there are any, instead of by trees in workgroup memory.
    pub subgroups: bool,
}
