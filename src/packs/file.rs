//! Files of token packs: safetensors with `layers.{i}.{kind}.key_tokens` [m, d_in] and `.value_tokens` [m, d_out], where kinds and
//! layers may be missing, and what is known of them in `__metadata__`.

use super::{LayerTokens, MOST_STRENGTH, MOST_TOKENS, Pack, PackTokens};
use crate::config::{ModelConfig, PartialConfig};
use crate::error::{Error, Result};
use crate::pattention::Pattention;
use half::{bf16, f16};
use safetensors::tensor::{Dtype, SafeTensors, TensorInfo};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};

/// What `__metadata__` says that the file is.
const FORMAT: &str = "tokenformer-pack";
/// The only version so far.
const VERSION: &str = "1";
/// Ends of tensors' names.
const SIDES: [&str; 2] = ["key_tokens", "value_tokens"];

/// The model that a pack was made for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PackBase {
    /// Its name or address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Its commit, or whatever else identifies its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// Fields of its `config.json`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shape: Option<PartialConfig>,
}

/// What a file says of a pack.
#[derive(Clone, Debug, PartialEq)]
pub struct PackAbout {
    /// Its name.
    pub name: Option<String>,
    /// The strength that it is meant for; 1 if none is given.
    pub strength: f32,
    /// The model that it was made for.
    pub base: PackBase,
    /// How it was made: any JSON.
    pub training: Option<Value>,
    /// Its licence.
    pub license: Option<String>,
}

impl Default for PackAbout {
    fn default() -> Self {
        Self { name: None, strength: 1.0, base: PackBase::default(), training: None, license: None }
    }
}

/// A pack with what is known of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PackFile {
    /// What is known of it.
    pub about: PackAbout,
    /// Its tokens.
    pub pack: Pack,
}

impl PackFile {
    /// Reads a file for a model of this shape.
    ///
    /// # Errors
    /// `invalid-config` for what is not a token pack, or is one for a model of another shape.
    pub fn read(bytes: &[u8], config: &ModelConfig) -> Result<Self> {
        let (header, metadata) = SafeTensors::read_metadata(bytes).map_err(|e| {
            no_pack(format!("The file cannot be read as safetensors: {e}."))
                .hint("Is it a token pack, and complete?")
                .caused_by(e)
        })?;
        let about = PackAbout::read(metadata.metadata().as_ref())?;
        about.base.check(config)?;
        let data = &bytes[size_of::<u64>() + header..];
        let mut found: BTreeMap<(usize, usize), [Option<Vec<f32>>; 2]> = BTreeMap::new();
        for (name, info) in metadata.tensors() {
            let (layer, kind, side) = place(&name, config)?;
            let (from, to) = info.data_offsets;
            let values = data.get(from..to).ok_or_else(|| no_pack(format!("{name} ends after the file.")))?;
            found.entry((layer, kind)).or_default()[side] = Some(read_values(&name, info, values, config)?);
        }
        let layers = found.keys().map(|(layer, _)| layer + 1).max();
        let mut pack = Pack { layers: vec![LayerTokens::default(); layers.unwrap_or(0)] };
        for ((layer, kind), sides) in found {
            let name = |side: usize| name_of(layer, Pattention::ALL[kind], side);
            let [Some(keys), Some(values)] = sides else {
                let (there, missing) = if sides[0].is_some() { (name(0), name(1)) } else { (name(1), name(0)) };
                return Err(no_pack(format!("It has {there}, but not {missing}.")));
            };
            if keys.len() != values.len() {
                let [keys, values] = [keys, values].map(|tokens| tokens.len() / config.hidden_size);
                return Err(no_pack(format!("{} has {keys} tokens, but {} has {values}.", name(0), name(1))));
            }
            pack.layers[layer][kind] = Some(PackTokens { keys, values });
        }
        if pack.layers.is_empty() {
            return Err(no_pack("It holds no tokens.".into()));
        }
        pack.check(config)?;
        Ok(Self { about, pack })
    }

    /// The file: values as f16, or as f32 if one of them is beyond f16.
    pub fn to_bytes(&self, config: &ModelConfig) -> Vec<u8> {
        let is_half = self.pack.slices().flatten().all(|x| f16::from_f32(*x).is_finite());
        let (dtype, size) = if is_half { (Dtype::F16, 2) } else { (Dtype::F32, 4) };
        // The names in the order in which they are written.
        let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
        header.insert("__metadata__".into(), self.about.written());
        for (layer, kinds) in self.pack.layers.iter().enumerate() {
            for (kind, tokens) in Pattention::ALL.into_iter().zip(kinds) {
                let Some(PackTokens { keys, values }) = tokens else { continue };
                for (side, values) in [keys, values].into_iter().enumerate() {
                    let (from, to) = (data.len(), data.len() + size * values.len());
                    let shape = [values.len() / config.hidden_size, config.hidden_size];
                    let info = json!({ "dtype": dtype, "shape": shape, "data_offsets": [from, to] });
                    header.insert(name_of(layer, kind, side), info);
                    match is_half {
                        true => data.extend(values.iter().flat_map(|x| f16::from_f32(*x).to_le_bytes())),
                        false => data.extend(values.iter().flat_map(|x| x.to_le_bytes())),
                    }
                }
            }
        }
        let mut header = Value::Object(header).to_string().into_bytes();
        // Data begins at a multiple of 8, as the format requires; blanks after the JSON do no harm.
        header.resize(header.len().next_multiple_of(8), b' ');
        [&(header.len() as u64).to_le_bytes()[..], &header, &data].concat()
    }
}

impl PackAbout {
    fn read(metadata: Option<&HashMap<String, String>>) -> Result<Self> {
        let text = |name: &str| metadata.and_then(|fields| fields.get(name)).map(String::as_str);
        if text("format") != Some(FORMAT) {
            let says = text("format").map_or("nothing".to_owned(), |format| format!("{format:?}"));
            return Err(no_pack(format!("Its metadata's `format` says {says}, not {FORMAT:?}.")));
        }
        match text("version") {
            Some(VERSION) => {}
            None => return Err(no_pack("Its metadata has no `version`.".into())),
            Some(other) => {
                return Err(no_pack(format!("It has version {other:?}; this program reads {VERSION:?}."))
                    .hint("A newer release of this program may read it."));
            }
        }
        let strength = text("strength").map_or(Ok(1.0), |text| {
            let strength = text.trim().parse::<f32>().ok();
            strength.filter(|strength| strength.abs() <= MOST_STRENGTH).ok_or_else(|| {
                no_pack(format!("Its strength is {text:?}; it must be between -{MOST_STRENGTH} and {MOST_STRENGTH}."))
            })
        })?;
        fn of_json<T: for<'de> Deserialize<'de>>(name: &str, text: Option<&str>) -> Result<Option<T>> {
            let parse = |text: &str| {
                serde_json::from_str(text)
                    .map_err(|e| no_pack(format!("Its metadata's `{name}` cannot be read: {e}.")).caused_by(e))
            };
            text.map(parse).transpose()
        }
        Ok(Self {
            name: text("name").map(str::to_owned),
            strength,
            base: of_json("base", text("base"))?.unwrap_or_default(),
            training: of_json("training", text("training"))?,
            license: text("license").map(str::to_owned),
        })
    }

    /// As `__metadata__`, whose values are all texts.
    fn written(&self) -> Value {
        let Self { name, strength, base, training, license } = self;
        let base = (*base != PackBase::default()).then(|| base.written().to_string());
        let fields = [
            ("format", Some(FORMAT.to_owned())),
            ("version", Some(VERSION.to_owned())),
            ("name", name.clone()),
            ("strength", Some(strength.to_string())),
            ("base", base),
            ("training", training.as_ref().map(Value::to_string)),
            ("license", license.clone()),
        ];
        let known = fields.into_iter().filter_map(|(name, text)| Some((name.to_owned(), Value::String(text?))));
        Value::Object(known.collect())
    }

    /// What to say of a pack that was made for another model of the same shape, or another revision of it.
    pub fn note(&self, id: &str, revision: &str) -> Option<String> {
        let name = self.name.as_deref().unwrap_or("without a name");
        match &self.base {
            PackBase { id: Some(other), .. } if other != id => Some(format!(
                "The token pack {name} was made for {other}, and is used with {id}: it may do little good."
            )),
            PackBase { revision: Some(other), .. } if other != revision => Some(format!(
                "The token pack {name} was made for revision {other} of this model, and is used with {revision}."
            )),
            _ => None,
        }
    }
}

impl PackBase {
    /// The model, as packs that are made for it describe it.
    pub fn new(id: impl Into<String>, revision: impl Into<String>, config: &ModelConfig) -> Self {
        let shape = PartialConfig {
            num_attention_heads: Some(config.num_attention_heads),
            ..PartialConfig::default().with_tables_of(config)
        };
        Self { id: Some(id.into()), revision: Some(revision.into()), shape: Some(shape) }
    }

    /// As JSON, without what is not known.
    fn written(&self) -> Value {
        let mut json = json!(self);
        if let Some(shape) = json.get_mut("shape").and_then(Value::as_object_mut) {
            shape.retain(|_, value| !value.is_null());
        }
        json
    }

    /// # Errors
    /// `invalid-config` for another shape.
    fn check(&self, config: &ModelConfig) -> Result<()> {
        let Some(shape) = &self.shape else { return Ok(()) };
        let model = PackBase::new("", "", config).shape.unwrap_or_default();
        let heads = (shape.num_attention_heads, config.num_attention_heads);
        let contradiction = shape.contradiction(&model, false).or(match heads {
            (Some(stated), found) if stated != found => Some(("num_attention_heads", stated, found)),
            _ => None,
        });
        match contradiction {
            None => Ok(()),
            Some((name, stated, found)) => {
                let of = self.id.as_ref().map_or(String::new(), |id| format!(", {id}"));
                let message =
                    format!("The token pack was made for a model with {name} {stated}{of}; this one has {found}.");
                Err(Error::invalid_config(message).hint("Load the model that the pack was made for."))
            }
        }
    }
}

fn no_pack(sentence: String) -> Error {
    Error::invalid_config(format!("This is no token pack that can be used. {sentence}"))
}

fn name_of(layer: usize, kind: Pattention, side: usize) -> String {
    format!("layers.{layer}.{}.{}", kind.name(), SIDES[side])
}

/// Layer, kind and side of a tensor.
fn place(name: &str, config: &ModelConfig) -> Result<(usize, usize, usize)> {
    let unknown = || {
        no_pack(format!("It holds {name:?}, which is no name of a pack's tensor."))
            .hint("They are called layers.0.mlp.key_tokens, say.")
    };
    let rest = name.strip_prefix("layers.").ok_or_else(unknown)?;
    let parts: Vec<&str> = rest.splitn(4, '.').collect();
    let [layer, kind, side] = parts[..] else { return Err(unknown()) };
    // Written as Rust writes numbers: "+1" and "01" are other names.
    let number: usize = layer.parse().ok().filter(|n: &usize| n.to_string() == layer).ok_or_else(unknown)?;
    let kind = Pattention::ALL.iter().position(|known| known.name() == kind).ok_or_else(unknown)?;
    let side = SIDES.iter().position(|known| *known == side).ok_or_else(unknown)?;
    if number >= config.num_layers {
        let message =
            format!("The token pack has tokens for layer {number}; this model has {} layers.", config.num_layers);
        return Err(Error::invalid_config(message).hint("Load the model that the pack was made for."));
    }
    Ok((number, kind, side))
}

fn read_values(name: &str, info: &TensorInfo, bytes: &[u8], config: &ModelConfig) -> Result<Vec<f32>> {
    let d = config.hidden_size;
    let [tokens, width] = info.shape[..] else {
        return Err(no_pack(format!("{name} has the shape {:?}; expected are tokens of {d} values each.", info.shape)));
    };
    if width != d {
        let message = format!("The token pack's {name} has tokens of {width} values; this model's have {d}.");
        return Err(Error::invalid_config(message).hint("Load the model that the pack was made for."));
    }
    if !(1..=MOST_TOKENS).contains(&tokens) {
        return Err(no_pack(format!("{name} has {tokens} tokens; 1 to {MOST_TOKENS} can be.")));
    }
    let pairs = || bytes.as_chunks::<2>().0.iter();
    let values: Vec<f32> = match info.dtype {
        Dtype::F32 => bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
        Dtype::F16 => pairs().map(|b| f16::from_le_bytes(*b).to_f32()).collect(),
        Dtype::BF16 => pairs().map(|b| bf16::from_le_bytes(*b).to_f32()).collect(),
        other => return Err(no_pack(format!("{name} has the type {other:?}; F16, F32 and BF16 are read."))),
    };
    match values.iter().find(|x| !x.is_finite()) {
        Some(x) => Err(no_pack(format!("{name} holds {x}, which is no number to compute with."))),
        None => Ok(values),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> ModelConfig {
        let json = r#"{"num_layers":2,"hidden_size":32,"num_attention_heads":2,"qkv_slot_num":32,"proj_slot_num":32,
            "ffn_slot_num":64,"padded_vocab_size":64}"#;
        ModelConfig::from_json(json.as_bytes()).expect("config")
    }

    fn file() -> PackFile {
        let mut pack = Pack::fresh(&config(), &[Pattention::Key, Pattention::Mlp], 3, 1);
        pack.layers[0][1] = None;
        let about = PackAbout {
            name: Some("a \"name\"".into()),
            strength: 0.75,
            base: PackBase::new("owner/name", "main", &config()),
            training: Some(json!({ "loss": [3.5, 2.25] })),
            license: Some("CC0-1.0".into()),
        };
        PackFile { about, pack }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let file = file();
        let bytes = file.to_bytes(&config());
        assert_eq!(bytes, file.to_bytes(&config()), "the same bytes every time");
        assert!(!String::from_utf8_lossy(&bytes).contains("null"), "what is not known is not told");
        let read = PackFile::read(&bytes, &config()).expect("a pack");
        assert_eq!(read.about, file.about);
        assert_eq!(read.pack.kinds(), [Pattention::Key, Pattention::Mlp]);
        for (got, want) in read.pack.slices().zip(file.pack.slices()) {
            assert!(got.iter().zip(want).all(|(got, want)| *got == f16::from_f32(*want).to_f32()));
        }
        // Values that f16 cannot hold are written as f32.
        let mut large = file.clone();
        large.pack.slices_mut().for_each(|values| values[1] = 1e5);
        assert_eq!(PackFile::read(&large.to_bytes(&config()), &config()).expect("a pack"), large);
        let plain = PackFile { about: PackAbout::default(), pack: file.pack };
        let read = PackFile::read(&plain.to_bytes(&config()), &config()).expect("a pack");
        assert_eq!(read.about, PackAbout::default());
    }

    #[test]
    fn packs_of_other_models_are_noted() {
        let about = file().about;
        assert_eq!(about.note("owner/name", "main"), None);
        let note = about.note("owner/name", "v2").expect("another revision");
        assert!(note.contains("revision main"), "{note}");
        let note = about.note("./folder", "main").expect("another model");
        assert!(note.contains("made for owner/name") && note.contains("./folder"), "{note}");
        assert_eq!(PackAbout::default().note("owner/name", "main"), None);
    }
}
