//! The five Pattentions of a layer.

use crate::config::ModelConfig;
use serde::{Deserialize, Serialize};

/// The five Pattentions of a layer, in the order in which they run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Pattention {
    /// Makes the query of the causal attention.
    Query,
    /// Makes its key.
    Key,
    /// Makes its value.
    Value,
    /// Output projection of the attention.
    Proj,
    /// The feed-forward part.
    Mlp,
}

impl Pattention {
    /// All five, in the order in which they run.
    pub const ALL: [Self; 5] = [Self::Query, Self::Key, Self::Value, Self::Proj, Self::Mlp];

    /// Its name in the public interface and in the files of token packs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Key => "key",
            Self::Value => "value",
            Self::Proj => "proj",
            Self::Mlp => "mlp",
        }
    }

    /// The one with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }

    /// Path in the checkpoint's names.
    pub fn path(self) -> &'static str {
        match self {
            Self::Query => "attention.query",
            Self::Key => "attention.key",
            Self::Value => "attention.value",
            Self::Proj => "attention.proj",
            Self::Mlp => "mlp",
        }
    }

    /// Parameter tokens (slots) without padding, n.
    pub fn slots(self, config: &ModelConfig) -> usize {
        match self {
            Self::Query | Self::Key | Self::Value => config.qkv_slot_num,
            Self::Proj => config.proj_slot_num,
            Self::Mlp => config.ffn_slot_num,
        }
    }
}
