//! Phrases that a text must not contain, in upper or lower case.

use std::collections::VecDeque;

/// Looks for phrases in a text that arrives token by token.
pub(super) struct Phrases {
    phrases: Vec<Vec<char>>,
    /// The end of the text in lower case, as far as a phrase reaches, each character with the token that it begins in.
    end: VecDeque<(char, usize)>,
    /// A character that is not complete yet: its bytes, each with its token.
    rest: Vec<(u8, usize)>,
    /// By number of tokens so far: how many of them no phrase can take back any longer.
    decided: Vec<usize>,
}

impl Phrases {
    pub fn new(phrases: &[String]) -> Self {
        let phrases = phrases.iter().map(|phrase| phrase.chars().flat_map(char::to_lowercase).collect()).collect();
        Self { phrases, end: VecDeque::new(), rest: Vec::new(), decided: vec![0] }
    }

    /// Adds a token with its bytes. If that completes a phrase, returns the token that it begins in; of several, the
    /// first.
    pub fn push(&mut self, bytes: &[u8]) -> Option<usize> {
        let longest = self.phrases.iter().map(Vec::len).max()?;
        let token = self.decided.len() - 1;
        self.rest.extend(bytes.iter().map(|byte| (*byte, token)));
        let bytes: Vec<u8> = self.rest.iter().map(|(byte, _)| *byte).collect();
        let complete = bytes.len() - crate::tokenizer::incomplete_tail(&bytes);
        let mut found: Option<usize> = None;
        let mut at = 0;
        for chunk in bytes[..complete].utf8_chunks() {
            let broken = (!chunk.invalid().is_empty()).then_some((chunk.valid().len(), char::REPLACEMENT_CHARACTER));
            for (offset, c) in chunk.valid().char_indices().chain(broken) {
                let token = self.rest[at + offset].1;
                for c in c.to_lowercase() {
                    self.end.push_back((c, token));
                    let begins = self.phrases.iter().filter_map(|phrase| self.begin_of(phrase, phrase.len())).min();
                    found = found.into_iter().chain(begins).min();
                }
            }
            at += chunk.valid().len() + chunk.invalid().len();
            self.end.drain(..self.end.len().saturating_sub(longest));
        }
        self.rest.drain(..complete);
        // Taking back a phrase that began in `first` would leave the tokens before it, and what may begin a phrase
        // then.
        let left = self.open().map(|first| self.decided[first]).min();
        self.decided.push(left.unwrap_or(token + 1));
        found
    }

    /// How many of the tokens no phrase can take back any longer, whatever comes.
    pub fn decided(&self) -> usize {
        if self.phrases.is_empty() { usize::MAX } else { self.decided.last().copied().unwrap_or_default() }
    }

    /// The tokens in which incomplete phrases may begin.
    fn open(&self) -> impl Iterator<Item = usize> {
        let begins =
            |phrase: &Vec<char>| (1..phrase.len()).filter_map(|n| self.begin_of(phrase, n)).collect::<Vec<_>>();
        self.phrases.iter().flat_map(begins).chain(self.rest.first().map(|(_, token)| *token))
    }

    /// If the text ends in the first `n` characters of a phrase, the token that these begin in.
    fn begin_of(&self, phrase: &[char], n: usize) -> Option<usize> {
        let at = self.end.len().checked_sub(n)?;
        let is_same = self.end.iter().skip(at).map(|(c, _)| c).eq(&phrase[..n]);
        is_same.then(|| self.end[at].1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn phrases(list: &[&str]) -> Phrases {
        Phrases::new(&list.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn the_token_that_a_phrase_begins_in() {
        for (list, pieces, found, decided) in [
            (vec!["a cat"], vec!["It is", " a", " cat"], vec![None, None, Some(1)], vec![1, 1, 3]),
            (vec!["is a c"], vec!["It is", " a", " CAT"], vec![None, None, Some(0)], vec![0, 0, 3]),
            (vec!["ÉTÉ"], vec!["un ét", "é", "."], vec![None, Some(0), None], vec![0, 2, 3]),
            (vec!["bc", "abcd"], vec!["a", "b", "cd"], vec![None, None, Some(0)], vec![0, 0, 3]),
            (vec!["aab"], vec!["a", "a", "a", "b"], vec![None, None, None, Some(1)], vec![0, 0, 0, 4]),
            (vec![], vec!["a"], vec![None], vec![usize::MAX]),
        ] {
            let mut them = phrases(&list);
            for (i, piece) in pieces.iter().enumerate() {
                assert_eq!(them.push(piece.as_bytes()), found[i], "{list:?} {pieces:?} {i}");
                if found[i].is_none() {
                    assert_eq!(them.decided(), decided[i], "{list:?} {pieces:?} {i}");
                }
            }
        }
    }

    #[test]
    fn characters_that_span_tokens() {
        let mut them = phrases(&["🌍!"]);
        let got = [&b"a\xf0\x9f"[..], b"\x8c", b"\x8d", b"!"].map(|piece| (them.push(piece), them.decided()));
        assert_eq!(got, [(None, 0), (None, 0), (None, 0), (Some(0), 4)]);
        // Bytes that are no character.
        let mut them = phrases(&["ab"]);
        assert_eq!([&b"a\xff"[..], b"\xffa", b"b"].map(|piece| them.push(piece)), [None, None, Some(1)]);
    }

    proptest! {
        #[test]
        fn as_searching_the_whole_text(pieces in prop::collection::vec("[abAé]{0,3}", 1..10), list in prop::collection::vec("[abBÉ]{1,4}", 0..3)) {
            let list: Vec<&str> = list.iter().map(String::as_str).collect();
            let mut them = phrases(&list);
            let mut owners: Vec<usize> = Vec::new();
            let mut text = String::new();
            for (i, piece) in pieces.iter().enumerate() {
                let before = text.chars().count();
                text.extend(piece.chars().flat_map(char::to_lowercase));
                owners.resize(text.chars().count(), i);
                let letters: Vec<char> = text.chars().collect();
                let ends = (before + 1..=letters.len()).flat_map(|end| {
                    let letters = &letters[..end];
                    list.iter().filter_map(move |phrase| {
                        let phrase: Vec<char> = phrase.chars().flat_map(char::to_lowercase).collect();
                        letters.ends_with(&phrase).then(|| end - phrase.len())
                    })
                });
                let want = ends.min().map(|begin| owners[begin]);
                prop_assert_eq!(them.push(piece.as_bytes()), want);
            }
        }
    }
}
