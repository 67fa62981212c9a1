//! Text to token ids and back: byte-level BPE, as GPT-NeoX-20B's `tokenizer.json` defines it.

mod outline;

use crate::error::{Error, Result};
use outline::Outline;
use std::collections::HashMap;

/// Longest `tokenizer.json` that is read, in bytes; GPT-NeoX-20B's has 2.5 MB.
pub const MAX_FILE_LEN: usize = 16 << 20;

/// A tokenizer.
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    /// Bytes that a character of the byte-level alphabet stands for.
    bytes_of_char: HashMap<char, u8>,
    size: usize,
}

impl Tokenizer {
    /// Reads `tokenizer.json`.
    ///
    /// # Errors
    /// `invalid-config` if it cannot be read or is not byte-level.
    pub fn from_json(json: &[u8]) -> Result<Self> {
        let bad = |what: String| {
            Error::invalid_config(format!("tokenizer.json {what}."))
                .hint("TokenFormer uses GPT-NeoX-20B's byte-level tokenizer.json.")
        };
        if json.len() > MAX_FILE_LEN {
            return Err(bad(format!("has {} bytes; at most {MAX_FILE_LEN} are read", json.len())));
        }
        let outline: Outline = serde_json::from_slice(json).map_err(|e| bad(format!("cannot be read: {e}")))?;
        let (inner, size) = outline.build().map_err(bad)?;
        // The library compiles its regular expression with the first text, in 30 ms in a browser. A model that is being
        // loaded has that time, a text that waits has not. A text that cannot be encoded is that text's error.
        let _ = inner.encode_fast("a", false);
        Ok(Self { inner, bytes_of_char: byte_level_alphabet(), size })
    }

    /// One more than the highest id, added tokens included.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Token ids of a text; no special tokens are added but those the text spells out.
    ///
    /// # Errors
    /// `invalid-argument` if the tokenizer refuses the text.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let encoding = self.inner.encode_fast(text, false);
        let encoding = encoding.map_err(|e| Error::invalid_argument(format!("The text cannot be encoded: {e}.")))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// Text of token ids; bytes that are not UTF-8 become U+FFFD, ids without a token nothing.
    pub fn decode(&self, ids: &[u32]) -> String {
        let bytes: Vec<u8> = ids.iter().flat_map(|id| self.token_bytes(*id)).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The bytes that a token stands for; they may be part of a character only.
    pub fn token_bytes(&self, id: u32) -> Vec<u8> {
        let Some(token) = self.inner.id_to_token(id) else { return Vec::new() };
        // Added tokens are spelled as they are, and so hold characters outside the alphabet.
        let bytes: Option<Vec<u8>> = token.chars().map(|c| self.bytes_of_char.get(&c).copied()).collect();
        bytes.unwrap_or_else(|| token.into_bytes())
    }
}

/// GPT-2's alphabet: printable bytes stand for themselves, the others for U+0100 and on, in order.
fn byte_level_alphabet() -> HashMap<char, u8> {
    let mut next = 0x100;
    let pairs = (0..=255u8).map(|b| match b {
        b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff => (char::from(b), b),
        _ => {
            let c = char::from_u32(next).unwrap_or(char::REPLACEMENT_CHARACTER);
            next += 1;
            (c, b)
        }
    });
    pairs.collect()
}

/// Turns bytes that come in pieces into text, never giving out half a character.
#[derive(Debug, Default)]
pub struct Utf8Stream(Vec<u8>);

impl Utf8Stream {
    /// Adds bytes and takes the text that is complete.
    pub fn push(&mut self, bytes: &[u8]) -> String {
        self.0.extend_from_slice(bytes);
        let keep = incomplete_tail(&self.0);
        let rest = self.0.split_off(self.0.len() - keep);
        let text = String::from_utf8_lossy(&self.0).into_owned();
        self.0 = rest;
        text
    }

    /// Takes what is left at the end: U+FFFD if a character is incomplete.
    pub fn finish(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.0)).into_owned()
    }
}

/// Bytes at the end of `bytes` that may still become a character.
pub fn incomplete_tail(bytes: &[u8]) -> usize {
    // Only the last three bytes can be the beginning of something longer.
    (1..=3.min(bytes.len()))
        .rev()
        .find(|&n| matches!(std::str::from_utf8(&bytes[bytes.len() - n..]), Err(e) if e.valid_up_to() == 0 && e.error_len().is_none()))
        .unwrap_or(0)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::LazyLock;

    static NEOX: LazyLock<Tokenizer> = LazyLock::new(|| Tokenizer::from_json(NEOX_JSON).expect("tokenizer"));
    pub(crate) const NEOX_JSON: &[u8] = include_bytes!("../../tests/fixtures/gpt-neox/tokenizer.json");

    #[test]
    fn size_and_special_token() {
        assert_eq!(NEOX.size(), 50_277);
        assert_eq!(NEOX.encode("<|endoftext|>").expect("ids"), [0]);
        assert_eq!(NEOX.encode("").expect("ids"), [0; 0]);
        assert_eq!(NEOX.encode("Once upon a time").expect("ids"), [10758, 2220, 247, 673]);
    }

    #[test]
    fn decoding_agrees_with_the_library() {
        for text in ["Hello, world!", "日本語 🏳️‍🌈 e\u{301}\u{327}", "  indented\n\n\ttabs", "naïve café ½"]
        {
            let ids = NEOX.encode(text).expect("ids");
            assert_eq!(NEOX.decode(&ids), NEOX.inner.decode(&ids, false).expect("text"));
        }
    }

    #[test]
    fn broken_files_are_refused() {
        let size = NEOX_JSON.len();
        for bad in [&b""[..], b"{}", b"[]", b"null", &NEOX_JSON[..size / 2]] {
            let e = Tokenizer::from_json(bad).err().expect("an error");
            assert_eq!(e.code, crate::error::ErrorCode::InvalidConfig);
        }
        let text = std::str::from_utf8(NEOX_JSON).expect("UTF-8");
        assert!(text.contains(": 50251"), "a token of the vocabulary");
        let absurd = text.replacen(": 50251", ": 4294967295", 1);
        let e = Tokenizer::from_json(absurd.as_bytes()).err().expect("an error");
        assert_eq!(e.code, crate::error::ErrorCode::InvalidConfig, "{e}");
    }

    proptest! {
        #[test]
        fn pieces_join_to_the_whole(ids in prop::collection::vec(0u32..50_300, 0..40)) {
            let mut stream = Utf8Stream::default();
            let mut joined = String::new();
            for id in &ids {
                joined += &stream.push(&NEOX.token_bytes(*id));
            }
            joined += &stream.finish();
            prop_assert_eq!(&joined, &NEOX.decode(&ids));
            prop_assert_eq!(joined, NEOX.inner.decode(&ids, false).unwrap_or_default());
        }

        #[test]
        fn any_bytes_in_any_pieces(bytes in prop::collection::vec(any::<u8>(), 0..60), cut in 1usize..7) {
            let mut stream = Utf8Stream::default();
            let mut joined: String = bytes.chunks(cut).map(|piece| stream.push(piece)).collect();
            joined += &stream.finish();
            prop_assert_eq!(joined, String::from_utf8_lossy(&bytes).into_owned());
        }

        #[test]
        fn text_survives(text in "\\PC{0,40}") {
            // The tokenizer normalizes to NFC first, so compare what a second round gives.
            let once = NEOX.decode(&NEOX.encode(&text).expect("ids"));
            let twice = NEOX.decode(&NEOX.encode(&once).expect("ids"));
            prop_assert_eq!(once, twice);
        }
    }
}
