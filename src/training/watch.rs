//! Detects that a training goes wrong, and keeps what it had learnt before it did.

use crate::packs::Pack;

/// Steps that are looked at together: single losses differ by their sequences.
const SPAN: usize = 10;
/// A loss is too high once it is this many times that of the first steps …
const FACTOR: f64 = 1.5;
/// … and this many nats above it.
const NATS: f64 = 0.2;

/// Why a training was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// A loss, or a token, is no finite number.
    NotFinite,
    /// The loss rises.
    Rising,
}

impl Trouble {
    /// A message for people, after this many steps.
    pub(super) fn message(self, steps: usize) -> String {
        let what = match self {
            Self::NotFinite => "the loss is no longer a number",
            Self::Rising => "the loss rises instead of falling",
        };
        format!(
            "Training stopped after {steps} steps: {what}. What was learnt before is kept. A lower learningRate may help."
        )
    }
}

/// The losses so far, and tokens that were good.
pub(super) struct Watch {
    /// Of every step.
    pub(super) losses: Vec<f32>,
    /// Losses before the tokens that were kept last.
    kept_at: usize,
    /// The tokens that were read back last.
    last: Pack,
    /// The tokens after the steps with the lowest losses, and the mean of these losses.
    lowest: Option<(f64, Pack)>,
}

fn mean(losses: &[f32]) -> f64 {
    losses.iter().map(|loss| f64::from(*loss)).sum::<f64>() / losses.len() as f64
}

impl Watch {
    /// Before the first step.
    pub(super) fn new(start: Pack) -> Self {
        Self { losses: Vec::new(), kept_at: 0, last: start, lowest: None }
    }

    /// Records losses.
    pub(super) fn note(&mut self, losses: &[f32]) -> Result<(), Trouble> {
        self.losses.extend_from_slice(losses);
        if losses.iter().any(|loss| !loss.is_finite()) {
            return Err(Trouble::NotFinite);
        }
        let all = &self.losses;
        if all.len() < 3 * SPAN {
            return Ok(());
        }
        let (rest, last) = all.split_at(all.len() - SPAN);
        let [first, before, last] = [&all[..SPAN], &rest[rest.len() - SPAN..], last].map(mean);
        let is_rising = last > FACTOR * first && last > first + NATS && last > before;
        if is_rising { Err(Trouble::Rising) } else { Ok(()) }
    }

    /// Is it time to read the tokens back?
    pub(super) fn wants_tokens(&self) -> bool {
        self.losses.len() >= self.kept_at + SPAN
    }

    /// Records the tokens after all these steps.
    pub(super) fn keep(&mut self, tokens: Pack) -> Result<(), Trouble> {
        if tokens.slices().flatten().any(|x| !x.is_finite()) {
            return Err(Trouble::NotFinite);
        }
        let of_span = &self.losses[self.kept_at..];
        if !of_span.is_empty() {
            let mean = mean(of_span);
            if self.lowest.as_ref().is_none_or(|(lowest, _)| mean < *lowest) {
                self.lowest = Some((mean, tokens.clone()));
            }
        }
        (self.kept_at, self.last) = (self.losses.len(), tokens);
        Ok(())
    }

    /// The tokens that were read back last.
    pub(super) fn last(&self) -> &Pack {
        &self.last
    }

    /// The tokens to go back to.
    pub(super) fn good(&self, trouble: Trouble) -> &Pack {
        match (&self.lowest, trouble) {
            (Some((_, tokens)), Trouble::Rising) => tokens,
            _ => &self.last,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packs::PackTokens;

    fn tokens(value: f32) -> Pack {
        let tokens = PackTokens { keys: vec![value], values: vec![0.0] };
        Pack { layers: vec![[Some(tokens), None, None, None, None]] }
    }

    #[test]
    fn what_is_no_number_stops_it_and_the_last_tokens_are_good() {
        let mut watch = Watch::new(tokens(0.0));
        assert_eq!(watch.note(&[f32::NAN]), Err(Trouble::NotFinite));
        assert_eq!(watch.good(Trouble::NotFinite), &tokens(0.0));
        let mut watch = Watch::new(tokens(0.0));
        for (i, loss) in [3.0, 2.0, 2.5].into_iter().enumerate() {
            assert_eq!(watch.note(&[loss; SPAN]), Ok(()));
            assert!(watch.wants_tokens());
            assert_eq!(watch.keep(tokens(i as f32 + 1.0)), Ok(()));
            assert!(!watch.wants_tokens());
        }
        assert_eq!(watch.keep(tokens(f32::INFINITY)), Err(Trouble::NotFinite));
        assert_eq!(watch.note(&[2.0, f32::INFINITY]), Err(Trouble::NotFinite));
        assert_eq!(watch.good(Trouble::NotFinite), &tokens(3.0));
        assert!(Trouble::NotFinite.message(32).contains("after 32 steps"));
    }

    #[test]
    fn a_loss_that_rises_stops_it_and_the_lowest_is_good() {
        let mut watch = Watch::new(tokens(0.0));
        for (i, loss) in [3.0, 2.0, 2.5, 4.4, 4.6].into_iter().enumerate() {
            let want = if loss > 4.5 { Err(Trouble::Rising) } else { Ok(()) };
            assert_eq!(watch.note(&[loss; SPAN]), want, "{loss}");
            if want.is_ok() {
                watch.keep(tokens(i as f32 + 1.0)).expect("numbers");
            }
        }
        assert_eq!(watch.good(Trouble::Rising), &tokens(2.0));
        assert_eq!(watch.last(), &tokens(4.0));
    }

    #[test]
    fn high_losses_that_fall_and_small_ones_that_wander_go_on() {
        let mut watch = Watch::new(tokens(0.0));
        for loss in [2.0, 3.5, 3.2, 3.1] {
            assert_eq!(watch.note(&[loss; SPAN]), Ok(()), "{loss}");
        }
        let mut watch = Watch::new(tokens(0.0));
        for loss in [0.01, 0.02, 0.03, 0.04] {
            assert_eq!(watch.note(&[loss; SPAN]), Ok(()), "{loss}");
        }
    }
}
