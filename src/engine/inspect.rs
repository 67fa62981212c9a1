//! Which parameter tokens write: the request to an engine, and its answer.

use crate::packs::MergedTokens;
use crate::pattention::Pattention;
use std::rc::Rc;

/// Most parameter tokens of one place that can be asked for.
pub const MOST_TOP: usize = 64;

/// What to look at while tokens are read.
#[derive(Clone, Debug, PartialEq)]
pub struct InspectRequest {
    /// Which of the tokens of the step.
    pub rows: Vec<usize>,
    /// Layers, from 0.
    pub layers: Vec<usize>,
    /// Pattentions of each of them.
    pub kinds: Vec<Pattention>,
    /// How many parameter tokens of each, starting with those that contribute most; up to [`MOST_TOP`].
    pub top: usize,
}

impl InspectRequest {
    /// Places that are looked at for each row: layers, and in each of them kinds.
    pub fn places(&self) -> impl Iterator<Item = (usize, Pattention)> {
        self.layers.iter().flat_map(|layer| self.kinds.iter().map(|kind| (*layer, *kind)))
    }
}

/// A parameter token that contributes to what a Pattention writes.
#[derive(Clone, Debug, PartialEq)]
pub struct FiredToken {
    /// Its number among the base's tokens, or among those of its pack.
    pub slot: usize,
    /// The pack that it belongs to.
    pub pack: Option<Rc<str>>,
    /// s_j/‖s‖₂·√n with the norm of the base's scores; for other activations than `l2_norm_gelu` s_j.
    pub score: f32,
    /// Its activation a_j, times what ablation multiplies it by.
    pub activation: f32,
    /// |a_j|·‖v_j‖₂, times the magnitude of its pack's strength.
    pub contribution: f32,
}

/// One that may be among the strongest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// True for a token of packs.
    pub is_of_packs: bool,
    /// Its number among the base's tokens, or among those of all packs.
    pub index: usize,
    /// As [`FiredToken`] has it.
    pub score: f32,
    /// The same, without what ablation multiplies a pack's token by.
    pub activation: f32,
    /// As [`FiredToken`] has it.
    pub contribution: f32,
}

/// The `top` candidates that contribute most, in order; on ties the base's come before those of packs, and the lower
/// number first.
pub fn strongest(mut candidates: Vec<Candidate>, top: usize, packs: Option<&MergedTokens>) -> Vec<FiredToken> {
    candidates.sort_by(|a, b| {
        let place = |c: &Candidate| (c.is_of_packs, c.index);
        b.contribution.total_cmp(&a.contribution).then(place(a).cmp(&place(b)))
    });
    candidates.truncate(top);
    candidates.into_iter().filter_map(|candidate| named(candidate, packs)).collect()
}

fn named(candidate: Candidate, packs: Option<&MergedTokens>) -> Option<FiredToken> {
    let Candidate { is_of_packs, index, score, activation, contribution } = candidate;
    if !is_of_packs {
        return Some(FiredToken { slot: index, pack: None, score, activation, contribution });
    }
    let (pack, slot, scale) = packs?.origin(index)?;
    Some(FiredToken { slot, pack: Some(pack.clone()), score, activation: activation * scale, contribution })
}

#[cfg(test)]
pub(crate) mod agreement {
    use super::*;

    /// Does `got`, the strongest tokens of each place, agree with `all`, the reference's list of every token of each
    /// place? Numbers that are nearly equal may be in either order. `factor`: the largest factor that activations are
    /// multiplied by.
    ///
    /// # Panics
    /// If it does not.
    pub fn check(what: &str, got: &[Vec<FiredToken>], all: &[Vec<FiredToken>], top: usize, factor: f32) {
        assert_eq!(got.len(), all.len(), "{what}");
        // Relative to the number, or to what it would be at an activation of 1.
        let close = |got: f32, want: f32, one: f32| (got - want).abs() <= 1e-3 * want.abs().max(one);
        for (i, (got, all)) in got.iter().zip(all).enumerate() {
            assert_eq!(got.len(), top.min(all.len()), "{what}, place {i}");
            for (rank, token) in got.iter().enumerate() {
                let is_it = |other: &&FiredToken| other.slot == token.slot && other.pack == token.pack;
                let want = all.iter().find(is_it).expect("a token that there is");
                let ranked = &all[rank];
                let length = if want.activation == 0.0 { 1.0 } else { want.contribution / want.activation.abs() };
                assert!(
                    close(token.score, want.score, 1.0)
                        && close(token.activation, want.activation, factor)
                        && close(token.contribution, want.contribution, factor * length)
                        && close(token.contribution, ranked.contribution, factor * length),
                    "{what}, place {i}, rank {rank}: {token:?} instead of {want:?}, where {ranked:?} is"
                );
                assert!(got[..rank].iter().all(|before| before.slot != token.slot || before.pack != token.pack));
            }
            assert!(got.windows(2).all(|pair| pair[0].contribution >= pair[1].contribution), "{what}, place {i}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strongest_come_in_order_with_their_names() {
        let of = |is_of_packs, index, contribution| Candidate {
            is_of_packs,
            index,
            score: 1.0,
            activation: 2.0,
            contribution,
        };
        let packs = MergedTokens {
            owners: vec![("a".into(), 2), ("b".into(), 1)],
            scales: vec![(2, 0.5)],
            ..Default::default()
        };
        let candidates =
            vec![of(true, 2, 3.0), of(false, 5, 3.0), of(false, 4, 3.0), of(true, 1, 9.0), of(false, 0, 1.0)];
        let top = strongest(candidates, 4, Some(&packs));
        let told: Vec<_> = top.iter().map(|t| (t.pack.as_deref(), t.slot, t.activation)).collect();
        assert_eq!(told, [(Some("a"), 1, 2.0), (None, 4, 2.0), (None, 5, 2.0), (Some("b"), 0, 1.0)]);
    }
}
