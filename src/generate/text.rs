//! From token ids to text, one at a time: stop strings, characters that span tokens, chunks.
//!
//! A token is held back until all of its text is decided: until its bytes can no longer be the
//! beginning of a stop string or of an incomplete character. So whatever was handed out stays.

use crate::tokenizer::{Utf8Stream, incomplete_tail};
use std::collections::VecDeque;

/// A token that waits for its text to be decided; `T` travels with it.
struct Held<T> {
    token: T,
    /// Bytes of the completion before and after this token.
    start: usize,
    end: usize,
}

/// Assembles the text of a completion.
pub struct TextAssembler<T> {
    stop: Vec<Vec<u8>>,
    /// Tokens to come in which stop strings are not looked for, and the bytes of such tokens so far.
    min_tokens: usize,
    free: usize,
    /// All bytes fed so far.
    bytes: Vec<u8>,
    /// Bytes that were handed out.
    decided: usize,
    utf8: Utf8Stream,
    held: VecDeque<Held<T>>,
    ready: VecDeque<(T, String)>,
    ended: bool,
}

impl<T> TextAssembler<T> {
    /// An assembler that ends at the first of the `stop` strings after the first `min_tokens` tokens.
    pub fn new(stop: &[String], min_tokens: usize) -> Self {
        Self {
            min_tokens,
            free: 0,
            stop: stop.iter().map(|s| s.clone().into_bytes()).collect(),
            bytes: Vec::new(),
            decided: 0,
            utf8: Utf8Stream::default(),
            held: VecDeque::new(),
            ready: VecDeque::new(),
            ended: false,
        }
    }

    /// Adds a token with its bytes. True if a stop string is complete: the text ends before it, and
    /// tokens that begin in it are dropped.
    pub fn push(&mut self, token: T, bytes: &[u8]) -> bool {
        if self.ended {
            return true;
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        if self.min_tokens > 0 {
            self.min_tokens -= 1;
            self.free = self.bytes.len();
        }
        self.held.push_back(Held { token, start, end: self.bytes.len() });
        if let Some(at) = self.find_stop(start) {
            self.bytes.truncate(at);
            // A token without bytes that comes just before the stop string is dropped with it.
            while self.held.back().is_some_and(|h| h.start >= at) {
                self.held.pop_back();
            }
            self.finish();
            return true;
        }
        let open = self.open_stop().max(incomplete_tail(&self.bytes));
        self.release(self.bytes.len() - open);
        false
    }

    /// Takes all bytes so far for decided, as they are if they were handed out before.
    pub fn settle(&mut self) {
        self.free = self.bytes.len();
        self.release(self.bytes.len());
    }

    /// Ends the text where it is: everything that is still held back becomes ready.
    pub fn finish(&mut self) {
        if !self.ended {
            self.ended = true;
            self.release(self.bytes.len());
            let rest = self.utf8.finish();
            if let Some((_, text)) = self.ready.back_mut() {
                text.push_str(&rest);
            }
        }
    }

    /// The next token whose text is decided, with that text.
    pub fn pop(&mut self) -> Option<(T, String)> {
        self.ready.pop_front()
    }

    /// All bytes of the text so far.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Where the earliest stop string begins, if one ends in the bytes from `new` on.
    fn find_stop(&self, new: usize) -> Option<usize> {
        let found = self.stop.iter().filter_map(|stop| {
            let from = (new + 1).saturating_sub(stop.len()).max(self.free);
            let windows = self.bytes[from..].windows(stop.len());
            windows.enumerate().find(|(_, w)| w == stop).map(|(i, _)| from + i)
        });
        found.min()
    }

    /// Bytes at the end that may be the beginning of a stop string.
    fn open_stop(&self) -> usize {
        let longest = |stop: &Vec<u8>| {
            let most = stop.len().saturating_sub(1).min(self.bytes.len() - self.free);
            (1..=most).rev().find(|&n| self.bytes.ends_with(&stop[..n])).unwrap_or(0)
        };
        self.stop.iter().map(longest).max().unwrap_or(0)
    }

    /// Hands out the held tokens whose bytes end at or before `decided`.
    fn release(&mut self, decided: usize) {
        while let Some(h) = self.held.front() {
            // After the end, the last token may reach past the beginning of the stop string.
            let end = if self.ended { h.end.min(self.bytes.len()) } else { h.end };
            if end > decided {
                return;
            }
            let text = self.utf8.push(&self.bytes[self.decided..end]);
            self.decided = end;
            if let Some(h) = self.held.pop_front() {
                self.ready.push_back((h.token, text));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Feeds pieces; returns the kept pieces' indices, the chunks' texts and whether a stop string ended it.
    fn run(pieces: &[&[u8]], stop: &[&str]) -> (Vec<usize>, Vec<String>, bool) {
        let stop: Vec<String> = stop.iter().map(ToString::to_string).collect();
        let mut a = TextAssembler::new(&stop, 0);
        let (mut kept, mut texts, mut stopped) = (Vec::new(), Vec::new(), false);
        for (i, piece) in pieces.iter().enumerate() {
            stopped = a.push(i, piece);
            while let Some((i, text)) = a.pop() {
                kept.push(i);
                texts.push(text);
            }
            if stopped {
                break;
            }
        }
        a.finish();
        while let Some((i, text)) = a.pop() {
            kept.push(i);
            texts.push(text);
        }
        (kept, texts, stopped)
    }

    #[test]
    fn stop_strings() {
        for (pieces, stop, kept, text, stopped) in [
            (vec!["a", "b", "c"], vec![], 3, "abc", false),
            (vec!["a", "\n", "\n", "b"], vec!["\n\n"], 1, "a", true),
            (vec!["a.\n", "\nb"], vec!["\n\n"], 1, "a.", true),
            (vec!["a.\n", "b"], vec!["\n\n"], 2, "a.\nb", false),
            (vec!["a.\n"], vec!["\n\n"], 1, "a.\n", false),
            (vec!["STOP", "x"], vec!["STOP"], 0, "", true),
            (vec!["xSTOPy"], vec!["STOP"], 1, "x", true),
            (vec!["a", "a", "a", "b"], vec!["aab"], 1, "a", true),
            (vec!["x", "one two"], vec!["two", "one"], 1, "x", true),
            (vec!["ab", "cd"], vec!["bcd", "abc"], 0, "", true),
            (vec!["é", "è!"], vec!["è"], 1, "é", true),
        ] {
            let bytes: Vec<&[u8]> = pieces.iter().map(|p| p.as_bytes()).collect();
            let got = run(&bytes, &stop);
            assert_eq!((got.0.len(), got.1.concat().as_str(), got.2), (kept, text, stopped), "{pieces:?} {stop:?}");
        }
    }

    #[test]
    fn stop_strings_are_looked_for_after_the_first_tokens() {
        for (min_tokens, want) in [(0, ""), (1, "x"), (2, "xyx"), (3, "xyxxy")] {
            let mut a = TextAssembler::new(&["x".into(), "yx".into()], min_tokens);
            let mut text = String::new();
            for piece in ["x", "yx", "xy", "x"] {
                let is_over = a.push((), piece.as_bytes());
                while let Some(((), piece)) = a.pop() {
                    text += &piece;
                }
                if is_over {
                    break;
                }
            }
            assert_eq!(text, want, "{min_tokens}");
        }
    }

    #[test]
    fn characters_that_span_tokens() {
        let (kept, texts, _) = run(&[b"a\xf0\x9f", b"\x8c", b"\x8d", b"b"], &[]);
        assert_eq!((kept, texts), (vec![0, 1, 2, 3], ["a", "", "🌍", "b"].map(String::from).to_vec()));
        // A stop string that begins in the middle of a token sequence for one character.
        let (kept, texts, stopped) = run(&[b"a", b"\xf0\x9f", b"\x8c\x8d"], &["🌍"]);
        assert_eq!((kept, texts.concat(), stopped), (vec![0], "a".into(), true));
        // The completion ends in half a character.
        let (kept, texts, _) = run(&[b"a", b"\xf0\x9f"], &[]);
        assert_eq!((kept, texts.concat()), (vec![0, 1], "a\u{fffd}".into()));
    }

    proptest! {
        #[test]
        fn text_is_what_stands_before_the_first_stop_string(
            pieces in prop::collection::vec("[abé]{0,3}", 0..12), stop in prop::collection::vec("[abé]{1,4}", 0..3),
        ) {
            let bytes: Vec<&[u8]> = pieces.iter().map(|p| p.as_bytes()).collect();
            let stops: Vec<&str> = stop.iter().map(String::as_str).collect();
            let (kept, texts, stopped) = run(&bytes, &stops);
            // The definition: after each piece, cut at the earliest stop string if there is one.
            let (mut whole, mut want, mut ended) = (String::new(), None, false);
            for piece in &pieces {
                whole += piece;
                if let Some(at) = stops.iter().filter_map(|s| whole.find(s)).min() {
                    want = Some(whole[..at].to_owned());
                    ended = true;
                    break;
                }
            }
            prop_assert_eq!(texts.concat(), want.unwrap_or(whole));
            prop_assert_eq!(stopped, ended);
            prop_assert_eq!(kept.clone(), (0..kept.len()).collect::<Vec<_>>());
        }
    }
}
