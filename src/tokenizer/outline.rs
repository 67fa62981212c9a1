//! What `tokenizer.json` may contain: its own types, checked before the library `tokenizers` gets any of it.
//!
//! The library trusts such files. A merge that is longer than every token makes it panic, a prefix of subwords makes it
//! cut inside a character, a regular expression may take any time and memory, and padding any memory. So it parses
//! nothing here: the tokenizer is built from the parts that GPT-NeoX-20B's file and its relatives consist of, and every
//! other part is refused by name.

use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::collections::HashSet;
use std::fmt;
use std::marker::PhantomData;
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::normalizers::{NFC, NFD, NFKC, NFKD, Sequence as Normalizers};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence as PreTokenizers;
use tokenizers::{AddedToken, NormalizerWrapper, PreTokenizerWrapper, Tokenizer};

/// Most ids of a vocabulary (`config.rs` allows as many rows).
const MAX_IDS: usize = 1 << 20;
/// Most merges; GPT-NeoX-20B has 50,009, the largest vocabularies about 450,000.
const MAX_MERGES: usize = 1 << 19;
/// Most added tokens; GPT-NeoX-20B has 25.
const MAX_ADDED: usize = 1 << 14;
/// Most bytes of all added tokens together: the library makes one automaton of them, in time and memory that grow with
/// this. 512 KiB take half a second; GPT-NeoX-20B's have 400 bytes, 8,000 markers of an image 160 kB.
const MAX_ADDED_LEN: usize = 512 << 10;
/// Longest token in bytes; GPT-NeoX-20B's longest has 1,024.
const MAX_TOKEN_LEN: usize = 4096;
/// Most steps of a sequence.
const MAX_STEPS: usize = 8;

/// The file, without what is useless here: padding and truncation change texts that the model is to see as they are,
/// dropout makes tokens random, and post-processors add tokens that were not asked for.
#[derive(Deserialize)]
pub(super) struct Outline {
    #[serde(default)]
    added_tokens: Bounded<Added, MAX_ADDED>,
    normalizer: Option<Step>,
    pre_tokenizer: Option<Step>,
    decoder: Option<Step>,
    model: Model,
}

#[derive(Deserialize)]
struct Model {
    /// Old files leave it out.
    r#type: Option<String>,
    unk_token: Option<String>,
    continuing_subword_prefix: Option<String>,
    end_of_word_suffix: Option<String>,
    #[serde(default)]
    fuse_unk: bool,
    #[serde(default)]
    byte_fallback: bool,
    #[serde(default)]
    ignore_merges: bool,
    vocab: Vocabulary,
    merges: Bounded<Merge, MAX_MERGES>,
}

#[derive(Deserialize)]
struct Added {
    id: u32,
    content: String,
    single_word: bool,
    lstrip: bool,
    rstrip: bool,
    normalized: bool,
    special: bool,
}

/// A normalizer, pre-tokenizer or decoder: its type, and the options that the known ones have.
#[derive(Deserialize)]
struct Step {
    r#type: String,
    #[serde(default)]
    add_prefix_space: bool,
    use_regex: Option<bool>,
    #[serde(default)]
    individual_digits: bool,
    /// What a `Sequence` consists of.
    #[serde(default, alias = "normalizers", alias = "pretokenizers")]
    steps: Bounded<Step, MAX_STEPS>,
}

/// Why a file cannot be used.
pub(super) type Refusal = String;

impl Outline {
    /// The tokenizer, and one more than its highest id.
    pub(super) fn build(self) -> Result<(Tokenizer, usize), Refusal> {
        match &self.decoder {
            Some(decoder) if decoder.r#type == "ByteLevel" => {}
            _ => return Err("has no byte-level decoder".into()),
        }
        let ids: HashSet<u32> = self.model.vocab.0.values().copied().collect();
        if ids.len() != self.model.vocab.0.len() {
            return Err("has two tokens with the same id".into());
        }
        let mut added = self.added_tokens.0;
        // The library counts up from the vocabulary's size.
        added.sort_by_key(|a| a.id);
        let highest = ids.iter().copied().chain(added.iter().map(|a| a.id)).max();
        let size = highest.ok_or("has no tokens")? as usize + 1;
        if size > MAX_IDS {
            return Err(format!("has a token with id {}", size - 1));
        }
        let mut tokenizer = Tokenizer::new(self.model.build()?);
        let library = |e: tokenizers::Error| format!("cannot be used: {e}");
        if let Some(step) = self.normalizer {
            tokenizer.with_normalizer(Some(normalizer(&step)?)).map_err(library)?;
        }
        tokenizer.with_pre_tokenizer(self.pre_tokenizer.map(|step| pre_tokenizer(&step)).transpose()?);
        tokenizer.with_decoder(Some(ByteLevel::default()));
        let told: Vec<(u32, String)> = added.iter().map(|a| (a.id, a.content.clone())).collect();
        if let Some((_, token)) = told.iter().find(|(_, token)| token.len() > MAX_TOKEN_LEN) {
            return Err(format!("has a token of {} bytes", token.len()));
        }
        let added_len: usize = told.iter().map(|(_, token)| token.len()).sum();
        if added_len > MAX_ADDED_LEN {
            return Err(format!("has added tokens of {added_len} bytes together; at most {MAX_ADDED_LEN} are read"));
        }
        let is_taken = |(id, token): &&(u32, String)| ids.contains(id) && tokenizer.token_to_id(token) != Some(*id);
        if let Some((id, token)) = told.iter().find(is_taken) {
            return Err(format!("gives the added token {token:?} the id {id} of another"));
        }
        tokenizer.add_tokens(added.into_iter().map(Into::<AddedToken>::into)).map_err(library)?;
        if let Some((id, token)) = told.iter().find(|(id, token)| tokenizer.token_to_id(token) != Some(*id)) {
            return Err(format!("gives the added token {token:?} the id {id}, which is not the next one"));
        }
        Ok((tokenizer, size))
    }
}

impl From<Added> for AddedToken {
    fn from(added: Added) -> Self {
        let Added { content, single_word, lstrip, rstrip, normalized, special, .. } = added;
        Self { content, single_word, lstrip, rstrip, normalized, special }
    }
}

impl Model {
    fn build(self) -> Result<BPE, Refusal> {
        if let Some(other) = self.r#type.filter(|t| t != "BPE") {
            return Err(format!("has a model of type {other:?}"));
        }
        for (name, affix) in [
            ("continuing_subword_prefix", self.continuing_subword_prefix),
            ("end_of_word_suffix", self.end_of_word_suffix),
        ] {
            if affix.is_some_and(|affix| !affix.is_empty()) {
                return Err(format!("has a {name}, which byte-level tokenizers do not use"));
            }
        }
        let Vocabulary(vocab) = self.vocab;
        let longest = vocab.keys().map(String::len).max().unwrap_or(0);
        if longest > MAX_TOKEN_LEN {
            return Err(format!("has a token of {longest} bytes"));
        }
        let merges: Vec<_> = self.merges.0.into_iter().map(|Merge(left, right)| (left, right)).collect();
        if let Some((left, right)) = merges.iter().find(|(left, right)| left.len() + right.len() > longest) {
            return Err(format!("merges {left:?} and {right:?}, which is longer than every token"));
        }
        let unknown = self.unk_token.filter(|token| vocab.contains_key(token));
        let mut builder = BPE::builder()
            .fuse_unk(self.fuse_unk)
            .byte_fallback(self.byte_fallback)
            .ignore_merges(self.ignore_merges)
            .vocab_and_merges(vocab, merges);
        if let Some(unknown) = unknown {
            builder = builder.unk_token(unknown);
        }
        builder.build().map_err(|e| format!("cannot be used: {e}"))
    }
}

fn normalizer(step: &Step) -> Result<NormalizerWrapper, Refusal> {
    Ok(match step.r#type.as_str() {
        "NFC" => NFC.into(),
        "NFD" => NFD.into(),
        "NFKC" => NFKC.into(),
        "NFKD" => NFKD.into(),
        "Sequence" => Normalizers::new(step.each(normalizer)?).into(),
        other => return Err(format!("has a normalizer of type {other:?}")),
    })
}

fn pre_tokenizer(step: &Step) -> Result<PreTokenizerWrapper, Refusal> {
    Ok(match step.r#type.as_str() {
        "ByteLevel" => ByteLevel::new(step.add_prefix_space, true, step.use_regex.unwrap_or(true)).into(),
        "Digits" => Digits::new(step.individual_digits).into(),
        "Sequence" => PreTokenizers::new(step.each(pre_tokenizer)?).into(),
        other => return Err(format!("has a pre-tokenizer of type {other:?}")),
    })
}

impl Step {
    /// Builds what a sequence consists of; it holds no other sequence.
    fn each<T>(&self, build: fn(&Step) -> Result<T, Refusal>) -> Result<Vec<T>, Refusal> {
        match self.steps.0.iter().find(|step| step.r#type == "Sequence") {
            Some(_) => Err("has a Sequence in a Sequence".into()),
            None => self.steps.0.iter().map(build).collect(),
        }
    }
}

/// A list that is rejected once it has more than `MAX` items, before it is in memory.
struct Bounded<T, const MAX: usize>(Vec<T>);

impl<T, const MAX: usize> Default for Bounded<T, MAX> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for Bounded<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Items<T, const MAX: usize>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for Items<T, MAX> {
            type Value = Bounded<T, MAX>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a list of at most {MAX} items")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element()? {
                    if list.len() == MAX {
                        return Err(A::Error::invalid_length(MAX + 1, &self));
                    }
                    list.push(item);
                }
                Ok(Bounded(list))
            }
        }
        deserializer.deserialize_seq(Items(PhantomData))
    }
}

/// Ids by token.
struct Vocabulary(Vocab);

impl<'de> Deserialize<'de> for Vocabulary {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Ids;
        impl<'de> Visitor<'de> for Ids {
            type Value = Vocabulary;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "at most {MAX_IDS} tokens with their ids")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
                let mut vocab = Vocab::new();
                while let Some((token, id)) = entries.next_entry::<String, u32>()? {
                    if vocab.len() == MAX_IDS {
                        return Err(A::Error::invalid_length(MAX_IDS + 1, &self));
                    }
                    vocab.insert(token, id);
                }
                Ok(Vocabulary(vocab))
            }
        }
        deserializer.deserialize_map(Ids)
    }
}

/// Two tokens that become one: `["a", "b"]`, or `"a b"` in older files.
struct Merge(String, String);

impl<'de> Deserialize<'de> for Merge {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pair;
        impl<'de> Visitor<'de> for Pair {
            type Value = Merge;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a merge of two tokens")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Merge, E> {
                match text.split_once(' ') {
                    Some((left, right)) if !right.contains(' ') => Ok(Merge(left.to_owned(), right.to_owned())),
                    _ => Err(E::invalid_value(serde::de::Unexpected::Str(text), &self)),
                }
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Merge, A::Error> {
                let mut next = || items.next_element::<String>();
                match (next()?, next()?, next()?) {
                    (Some(left), Some(right), None) => Ok(Merge(left, right)),
                    _ => Err(A::Error::custom("a merge is not of two tokens")),
                }
            }
        }
        deserializer.deserialize_any(Pair)
    }
}
