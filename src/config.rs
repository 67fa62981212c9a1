//! The shape of a TokenFormer: what `config.json` says, checked, and the four published presets.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// Elements of one quantization group; every reduced axis is a multiple of it.
pub const GROUP_SIZE: usize = 32;

/// How Pattention turns scores into weights over its parameter tokens (`s`: scores, `n`: slots).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NormActivation {
    /// gelu(s / ‖s‖₂ · √n): every published model.
    #[default]
    L2NormGelu,
    /// gelu(s) / ‖gelu(s)‖₂ · √n.
    GeluL2Norm,
    /// exp(s) / Σ exp(s) · n.
    Softmax,
}

/// Shape of a model. Field names are those of `config.json`.
///
/// ```
/// use tokenformer_web::config::ModelConfig;
///
/// let config = ModelConfig::preset("Haiyang-W/TokenFormer-450M").expect("one of the four published models");
/// assert_eq!((config.num_layers, config.hidden_size, config.head_size()), (24, 1024, 64));
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelConfig {
    /// Always `"tokenformer"`.
    pub model_type: &'static str,
    /// Transformer layers.
    pub num_layers: usize,
    /// Width of the residual stream, d.
    pub hidden_size: usize,
    /// Attention heads, H; the head size D is d/H.
    pub num_attention_heads: usize,
    /// Parameter tokens of the query, key and value Pattentions.
    pub qkv_slot_num: usize,
    /// Parameter tokens of the output projection's Pattention.
    pub proj_slot_num: usize,
    /// Parameter tokens of the feed-forward Pattention.
    pub ffn_slot_num: usize,
    /// Rows of the embedding, V, padding included.
    pub padded_vocab_size: usize,
    /// Longest context the model was trained for, in tokens.
    pub max_position_embeddings: usize,
    /// Share of each head's dimensions that is rotated.
    pub rotary_pct: f64,
    /// Base of the rotary angles.
    pub rotary_emb_base: f64,
    /// Normalisation of the Pattention scores.
    pub norm_activation_type: NormActivation,
    /// ε of every LayerNorm.
    pub layernorm_epsilon: f64,
    /// Always true: the embedding is the LM head.
    pub tie_word_embeddings: bool,
}

/// Every field optional: what a `config.json` of unknown origin, the caller, or a preset can provide.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs)] // the fields of `ModelConfig`
pub struct PartialConfig {
    pub model_type: Option<String>,
    pub num_layers: Option<usize>,
    pub hidden_size: Option<usize>,
    pub num_attention_heads: Option<usize>,
    pub qkv_slot_num: Option<usize>,
    pub proj_slot_num: Option<usize>,
    pub ffn_slot_num: Option<usize>,
    pub padded_vocab_size: Option<usize>,
    pub max_position_embeddings: Option<usize>,
    pub rotary_pct: Option<f64>,
    pub rotary_emb_base: Option<f64>,
    pub norm_activation_type: Option<NormActivation>,
    pub layernorm_epsilon: Option<f64>,
    pub tie_word_embeddings: Option<bool>,
    /// Why a `config.json` cannot be used. It matters only where nothing else gives the shape.
    #[serde(skip)]
    pub unreadable: Option<String>,
}

/// Other names of fields, as libraries write them.
const ALIASES: [(&str, &str); 2] = [("num_layers", "num_hidden_layers"), ("padded_vocab_size", "vocab_size")];

impl<'de> Deserialize<'de> for ModelConfig {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        PartialConfig::deserialize(deserializer)?.finish().map_err(serde::de::Error::custom)
    }
}

impl PartialConfig {
    /// Parses `config.json`. Unknown fields are ignored, numbers may be strings, and of two names for the same thing
    /// the one in [`ModelConfig`] counts.
    ///
    /// # Errors
    /// `invalid-config`.
    pub fn from_json(json: &[u8]) -> Result<Self> {
        use serde_json::{Number, Value};
        let unreadable = |e: serde_json::Error| {
            Error::invalid_config(format!("config.json cannot be read: {e}."))
                .hint("It must be a JSON object with the fields that docs/models.md names under \"Convert a model\".")
                .caused_by(e)
        };
        let mut value: Value = serde_json::from_slice(json).map_err(unreadable)?;
        if let Some(fields) = value.as_object_mut() {
            for (name, alias) in ALIASES {
                if let Some(other) = fields.remove(alias) {
                    fields.entry(name).or_insert(other);
                }
            }
            for value in fields.values_mut() {
                if let Some(number) = value.as_str().and_then(|text| text.trim().parse::<Number>().ok()) {
                    *value = number.into();
                }
            }
        }
        serde_json::from_value(value).map_err(unreadable)
    }

    /// Parses the `config.json` of a published checkpoint, whose tensors give most of the shape: that it cannot be read
    /// matters only once something is missing.
    pub fn of_published(json: &[u8]) -> Self {
        Self::from_json(json)
            .unwrap_or_else(|e| Self { unreadable: Some(format!("{} {}", e.message, e.hint)), ..Self::default() })
    }

    /// Fills what is missing here from `other`.
    pub fn or(self, other: Self) -> Self {
        Self {
            model_type: self.model_type.or(other.model_type),
            num_layers: self.num_layers.or(other.num_layers),
            hidden_size: self.hidden_size.or(other.hidden_size),
            num_attention_heads: self.num_attention_heads.or(other.num_attention_heads),
            qkv_slot_num: self.qkv_slot_num.or(other.qkv_slot_num),
            proj_slot_num: self.proj_slot_num.or(other.proj_slot_num),
            ffn_slot_num: self.ffn_slot_num.or(other.ffn_slot_num),
            padded_vocab_size: self.padded_vocab_size.or(other.padded_vocab_size),
            max_position_embeddings: self.max_position_embeddings.or(other.max_position_embeddings),
            rotary_pct: self.rotary_pct.or(other.rotary_pct),
            rotary_emb_base: self.rotary_emb_base.or(other.rotary_emb_base),
            norm_activation_type: self.norm_activation_type.or(other.norm_activation_type),
            layernorm_epsilon: self.layernorm_epsilon.or(other.layernorm_epsilon),
            tie_word_embeddings: self.tie_word_embeddings.or(other.tie_word_embeddings),
            unreadable: self.unreadable.or(other.unreadable),
        }
    }

    /// What the name of a published repository says (`owner/` and case are ignored).
    pub fn preset(repository: &str) -> Option<Self> {
        let name = repository.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
        let (_, layers, hidden, heads) = PRESETS.iter().find(|(n, ..)| n.to_ascii_lowercase() == name)?;
        Some(Self {
            num_layers: Some(*layers),
            hidden_size: Some(*hidden),
            num_attention_heads: Some(*heads),
            qkv_slot_num: Some(*hidden),
            proj_slot_num: Some(*hidden),
            ffn_slot_num: Some(4 * hidden),
            padded_vocab_size: Some(50_304),
            max_position_embeddings: Some(2048),
            ..Self::default()
        })
    }

    /// The shape of a model of which `self` is known without the caller, and the caller says `given`: what the caller
    /// says counts, but must not contradict the tables.
    ///
    /// # Errors
    /// `invalid-config`.
    pub fn completed(&self, given: Option<&Self>) -> Result<ModelConfig> {
        let given = given.cloned().unwrap_or_default();
        if let Some((name, stated, found)) = given.contradiction(self, false) {
            return Err(contradicted("The config passed", name, stated, found));
        }
        given.or(self.clone()).finish()
    }

    /// The same, and what the tables of a model of the shape `config` show for certain.
    #[must_use]
    pub fn with_tables_of(self, config: &ModelConfig) -> Self {
        Self {
            num_layers: Some(config.num_layers),
            hidden_size: Some(config.hidden_size),
            qkv_slot_num: Some(config.qkv_slot_num),
            proj_slot_num: Some(config.proj_slot_num),
            ffn_slot_num: Some(config.ffn_slot_num),
            padded_vocab_size: Some(config.padded_vocab_size),
            ..self
        }
    }

    /// The first field in which this contradicts the tables, from which `tables` was read: its name, what this says,
    /// and what the tables say. `unpadded`: the vocabulary may be given without its padding.
    pub fn contradiction(&self, tables: &Self, unpadded: bool) -> Option<(&'static str, usize, usize)> {
        let fields = [
            ("num_layers", self.num_layers, tables.num_layers),
            ("hidden_size", self.hidden_size, tables.hidden_size),
            ("qkv_slot_num", self.qkv_slot_num, tables.qkv_slot_num),
            ("proj_slot_num", self.proj_slot_num, tables.proj_slot_num),
            ("ffn_slot_num", self.ffn_slot_num, tables.ffn_slot_num),
            ("padded_vocab_size", self.padded_vocab_size, tables.padded_vocab_size),
        ];
        fields.into_iter().find_map(|(name, stated, found)| {
            let (stated, found) = (stated?, found?);
            let agree = stated == found || (unpadded && name == "padded_vocab_size" && stated < found);
            (!agree).then_some((name, stated, found))
        })
    }

    /// Checks and completes: shapes must be there, the rest defaults to what the published models have.
    pub fn finish(self) -> Result<ModelConfig> {
        if let Some(unreadable) = self.unreadable {
            return Err(Error::invalid_config(unreadable));
        }
        if let Some(t) = &self.model_type
            && t != "tokenformer"
        {
            return Err(Error::invalid_config(format!("model_type is {t:?}, but only \"tokenformer\" can be run.")));
        }
        if self.tie_word_embeddings == Some(false) {
            return Err(Error::invalid_config(
                "tie_word_embeddings is false, but the embedding must be the LM head too.",
            ));
        }
        let need = |value: Option<usize>, name: &str, max: usize| match value {
            None => Err(Error::invalid_config(format!("Neither the checkpoint nor config.json contains {name}."))
                .hint(format!("Pass it: config: {{ {name}: … }}."))),
            Some(v) if v == 0 || v > max => {
                Err(Error::invalid_config(format!("{name} is {v}; it must be between 1 and {max}.")))
            }
            Some(v) => Ok(v),
        };
        let config = ModelConfig {
            model_type: "tokenformer",
            num_layers: need(self.num_layers, "num_layers", 1024)?,
            hidden_size: need(self.hidden_size, "hidden_size", 1 << 14)?,
            num_attention_heads: need(self.num_attention_heads, "num_attention_heads", 1 << 10)?,
            qkv_slot_num: need(self.qkv_slot_num, "qkv_slot_num", 1 << 16)?,
            proj_slot_num: need(self.proj_slot_num, "proj_slot_num", 1 << 16)?,
            ffn_slot_num: need(self.ffn_slot_num, "ffn_slot_num", 1 << 16)?,
            padded_vocab_size: need(self.padded_vocab_size, "padded_vocab_size", 1 << 20)?,
            max_position_embeddings: need(
                self.max_position_embeddings.or(Some(2048)),
                "max_position_embeddings",
                1 << 20,
            )?,
            rotary_pct: self.rotary_pct.unwrap_or(0.25),
            rotary_emb_base: self.rotary_emb_base.unwrap_or(10_000.0),
            norm_activation_type: self.norm_activation_type.unwrap_or_default(),
            layernorm_epsilon: self.layernorm_epsilon.unwrap_or(1e-5),
            tie_word_embeddings: true,
        };
        config.check()?;
        Ok(config)
    }
}

/// The error of a config that disagrees with the model's tables.
pub fn contradicted(source: &str, name: &str, stated: usize, found: usize) -> Error {
    Error::invalid_config(format!("{source} says {name} {stated}, but the model's tensors say {found}."))
        .hint("Pass the config.json that belongs to this model, or none.")
}

/// Published models: repository name, layers, hidden size, heads. The slots follow: d, d and 4·d.
const PRESETS: [(&str, usize, usize, usize); 4] = [
    ("TokenFormer-150M", 12, 768, 12),
    ("TokenFormer-450M", 24, 1024, 16),
    ("TokenFormer-900M", 32, 1280, 16),
    ("TokenFormer-1-5B", 40, 1536, 16),
];

/// Names of the published models, the smallest first.
pub const PUBLISHED: [&str; 4] = [PRESETS[0].0, PRESETS[1].0, PRESETS[2].0, PRESETS[3].0];

impl ModelConfig {
    /// A published model by its repository's name, `TokenFormer-450M` say.
    pub fn preset(repository: &str) -> Option<Self> {
        PartialConfig::preset(repository)?.finish().ok()
    }

    /// Parses and checks a complete `config.json`.
    pub fn from_json(json: &[u8]) -> Result<Self> {
        PartialConfig::from_json(json)?.finish()
    }

    /// Size of one attention head, D.
    pub fn head_size(&self) -> usize {
        self.hidden_size / self.num_attention_heads
    }

    /// Rotated dimensions of each head, r = ⌊D · rotary_pct⌋.
    pub fn rotary_dims(&self) -> usize {
        (self.head_size() as f64 * self.rotary_pct) as usize
    }

    /// Default context length in tokens.
    pub fn default_context_length(&self) -> usize {
        self.max_position_embeddings.min(2048)
    }

    /// The context length that a caller asked for, or the default.
    ///
    /// # Errors
    /// `invalid-argument` for one that the model does not have.
    pub fn checked_context_length(&self, wanted: Option<usize>) -> Result<usize> {
        let (length, most) = (wanted.unwrap_or(self.default_context_length()), self.max_position_embeddings);
        if length == 0 || length > most {
            return Err(Error::invalid_argument(format!("contextLength is {length}; this model allows 1 to {most}.")));
        }
        Ok(length)
    }

    fn check(&self) -> Result<()> {
        let bad = |message: String| Err(Error::invalid_config(message));
        let (d, heads) = (self.hidden_size, self.num_attention_heads);
        if !d.is_multiple_of(GROUP_SIZE) {
            return bad(format!("hidden_size is {d}; it must be a multiple of {GROUP_SIZE}."));
        }
        if !d.is_multiple_of(heads) {
            return bad(format!("hidden_size {d} is not a multiple of num_attention_heads {heads}."));
        }
        if !(0.0..=1.0).contains(&self.rotary_pct) {
            return bad(format!("rotary_pct is {}; it must be between 0 and 1.", self.rotary_pct));
        }
        if !(self.rotary_emb_base >= 1.0 && self.rotary_emb_base.is_finite()) {
            return bad(format!("rotary_emb_base is {}; it must be at least 1.", self.rotary_emb_base));
        }
        if !(self.layernorm_epsilon > 0.0 && self.layernorm_epsilon < 1.0) {
            return bad(format!("layernorm_epsilon is {}; it must be between 0 and 1.", self.layernorm_epsilon));
        }
        let head = self.head_size();
        if !head.is_multiple_of(8) || head > 112 {
            return bad(format!("The head size is {head}; it must be a multiple of 8 and at most 112."));
        }
        if !self.rotary_dims().is_multiple_of(2) {
            return bad(format!("{} rotated dimensions per head cannot be paired.", self.rotary_dims()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorCode;

    #[test]
    fn presets_have_the_published_head_sizes() {
        let heads = ["150M", "450M", "900M", "1-5B"].map(|size| {
            let c = ModelConfig::preset(&format!("Haiyang-W/TokenFormer-{size}")).expect("preset");
            (c.head_size(), c.rotary_dims(), c.ffn_slot_num)
        });
        assert_eq!(heads, [(64, 16, 3072), (64, 16, 4096), (80, 20, 5120), (96, 24, 6144)]);
        assert_eq!(ModelConfig::preset("Haiyang-W/TokenFormer-7B"), None);
    }

    #[test]
    fn json_round_trip() {
        let c = ModelConfig::preset("TokenFormer-900M").expect("preset");
        let json = serde_json::to_vec(&c).expect("json");
        assert_eq!(ModelConfig::from_json(&json).expect("parsed"), c);
    }

    #[test]
    fn other_spellings_are_understood() {
        let json = br#"{"num_layers":"2","num_hidden_layers":3,"hidden_size":64,"vocab_size":100,"rotary_pct":"0.5"}"#;
        let c = PartialConfig::from_json(json).expect("config");
        assert_eq!((c.num_layers, c.padded_vocab_size, c.rotary_pct), (Some(2), Some(100), Some(0.5)));
        let c = PartialConfig::from_json(br#"{"padded_vocab_size":128,"vocab_size":100}"#).expect("config");
        assert_eq!(c.padded_vocab_size, Some(128));
    }

    #[test]
    fn absurd_configs_are_refused_by_name() {
        let base = r#""num_layers":1,"hidden_size":64,"num_attention_heads":2,"qkv_slot_num":64,"proj_slot_num":64,"ffn_slot_num":64,"padded_vocab_size":64"#;
        for (json, names) in [
            ("[]".to_owned(), "config.json"),
            ("{".to_owned(), "config.json"),
            ("{}".to_owned(), "num_layers"),
            (format!("{{{base},\"model_type\":\"llama\"}}"), "model_type"),
            (format!("{{{base},\"tie_word_embeddings\":false}}"), "tie_word_embeddings"),
            (format!("{{{base},\"rotary_pct\":-1}}"), "rotary_pct"),
            (format!("{{{base},\"rotary_emb_base\":0}}"), "rotary_emb_base"),
            (format!("{{{base},\"layernorm_epsilon\":-1e-5}}"), "layernorm_epsilon"),
            (format!("{{{base},\"norm_activation_type\":\"relu\"}}"), "norm_activation_type"),
            (format!("{{{}}}", base.replace("\"hidden_size\":64", "\"hidden_size\":33")), "hidden_size"),
            (format!("{{{}}}", base.replace("\"num_layers\":1", "\"num_layers\":-1")), "config.json"),
            (format!("{{{}}}", base.replace("heads\":2", "heads\":5")), "num_attention_heads"),
            (format!("{{{}}}", base.replace("slot_num\":64", "slot_num\":99999999999")), "qkv_slot_num"),
        ] {
            let e = ModelConfig::from_json(json.as_bytes()).expect_err(&json);
            assert_eq!(e.code, ErrorCode::InvalidConfig, "{json}");
            assert!(names == "norm_activation_type" || e.to_string().contains(names), "{json}: {e}");
        }
    }
}
