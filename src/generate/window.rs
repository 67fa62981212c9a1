//! Which of a text's tokens the context holds, when the text is longer than the context.

use super::options::Overflow;
use crate::error::{Error, Result};

/// The part of a text that is in the context: its first `keep` tokens, and all after those that were left out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Window {
    /// Tokens that the context holds, in all.
    context: usize,
    overflow: Overflow,
    /// Tokens of the beginning that always stay.
    keep: usize,
    /// Tokens after these that are left out.
    dropped: usize,
    /// How often tokens were left out.
    pub slides: usize,
}

impl Window {
    /// For a prompt of `len` tokens. The model could have a context of `longest`.
    ///
    /// # Errors
    /// `invalid-argument` for a prompt that leaves no room, where no tokens may be left out, and for too large a
    /// `keep`.
    pub fn new(len: usize, (context, longest): (usize, usize), overflow: Overflow, keep: usize) -> Result<Self> {
        if keep > 0 && keep >= context.div_ceil(4) {
            let message = format!("keep is {keep}; it must be below a quarter of the context of {context} tokens.");
            return Err(Error::invalid_argument(message).hint("Keep fewer tokens."));
        }
        let mut window = Self { context, overflow, keep, dropped: 0, slides: 0 };
        window.fit(len);
        if window.room(len) == 0 {
            return Err(Error::invalid_argument(format!(
                "The prompt has {len} tokens and leaves no room in the context of {context}."
            ))
            .hint(if context < longest {
                "Shorten it, load the model with a larger contextLength, or set overflow to \"slide\"."
            } else {
                "Delete some of its beginning, or set overflow to \"slide\", which leaves it out."
            }));
        }
        Ok(window)
    }

    /// Tokens that may still be written after a text of `len`.
    pub fn room(&self, len: usize) -> usize {
        (self.context + self.dropped).saturating_sub(len)
    }

    /// Does writing continue when the context is full?
    pub fn slides_on(&self) -> bool {
        self.overflow == Overflow::Slide
    }

    /// Leaves tokens out if a text of `len` needs it, and takes them in again once so much of the text was removed that
    /// nothing would remain.
    pub fn fit(&mut self, len: usize) {
        if len <= self.keep + self.dropped {
            self.dropped = 0;
        }
        if self.room(len) == 0 && self.slides_on() {
            self.dropped = len - (self.context / 2).max(1);
            self.slides += 1;
        }
    }

    /// What the context holds of a text.
    pub fn of(&self, text: &[u32]) -> Vec<u32> {
        let mut ids = text.to_vec();
        ids.drain(self.keep.min(ids.len())..(self.keep + self.dropped).min(ids.len()));
        ids
    }

    /// How many of a text's first `len` tokens are in the context.
    pub fn held(&self, len: usize) -> usize {
        len - self.left_out(len)
    }

    /// How many of a text's first `len` tokens are left out.
    pub fn left_out(&self, len: usize) -> usize {
        len.saturating_sub(self.keep).min(self.dropped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_tokens_and_the_newest_stay() {
        let text: Vec<u32> = (0..30).collect();
        let mut window = Window::new(15, (16, 99), Overflow::Slide, 3).expect("a window");
        assert_eq!((window.of(&text[..15]), window.room(15), window.slides), (text[..15].to_vec(), 1, 0));
        window.fit(16);
        assert_eq!(window.of(&text[..16]), [0, 1, 2, 11, 12, 13, 14, 15]);
        assert_eq!((window.room(16), window.slides, window.left_out(6), window.held(6)), (8, 1, 3, 3));
        window.fit(23);
        assert_eq!((window.of(&text[..23]).len(), window.room(23), window.slides), (15, 1, 1));
        window.fit(24);
        assert_eq!(window.of(&text[..24]), [0, 1, 2, 19, 20, 21, 22, 23]);
        // So much is removed that what would remain is no longer in the context.
        window.fit(19);
        assert_eq!(window.of(&text[..19]), [0, 1, 2, 14, 15, 16, 17, 18]);
        window.fit(9);
        assert_eq!(window.of(&text[..9]), text[..9]);
    }

    #[test]
    fn a_prompt_that_does_not_fit() {
        let text: Vec<u32> = (0..40).collect();
        let window = Window::new(40, (17, 99), Overflow::Slide, 0).expect("a window");
        assert_eq!((window.of(&text), window.slides, window.left_out(40)), (text[32..].to_vec(), 1, 32));
        assert!(Window::new(16, (16, 99), Overflow::Stop, 0).is_err());
        assert!(Window::new(15, (16, 99), Overflow::Stop, 0).is_ok());
        // A quarter of the context is too much to be kept.
        assert!(
            Window::new(1, (16, 99), Overflow::Slide, 3).is_ok()
                && Window::new(1, (16, 99), Overflow::Slide, 4).is_err()
        );
        assert!(
            Window::new(1, (17, 99), Overflow::Slide, 4).is_ok()
                && Window::new(1, (17, 99), Overflow::Stop, 5).is_err()
        );
        // The smallest context that can slide.
        assert!(Window::new(9, (2, 99), Overflow::Slide, 0).is_ok_and(|w| w.of(&text[..9]) == [8]));
        assert!(Window::new(9, (1, 99), Overflow::Slide, 0).is_err());
    }
}
