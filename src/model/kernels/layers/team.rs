//! How many workgroups share a layer, and what they compute with.

use crate::checkpoint::layout::TableFormat;
use serde::{Deserialize, Serialize};

/// What a product's factors are; sums of a few are added up as f32 in any case.
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
    /// For `info`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Int8 => "int8",
        }
    }

    /// Products with tables of `format`: only those of few bits are worth less than single precision.
    pub fn with(self, format: TableFormat) -> Self {
        if format.is_quantized() { self } else { Self::F32 }
    }
}

/// How many workgroups share a layer, and what they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Team {
    /// Workgroups; all must run at a time.
    pub workgroups: usize,
    /// Threads of each.
    pub threads: usize,
    /// Looks at a word before a workgroup times out.
    pub spin_limit: usize,
    /// What products are made with, where the tables' format allows it.
    pub arithmetic: Arithmetic,
    /// Sums by subgroups, where there are any, instead of by trees in workgroup memory.
    pub subgroups: bool,
}
