//! The tokens of a training on the GPU: the trained ones, with moments and gradients, and next to them those of active
//! packs that stay unchanged.

use super::shapes::Uniforms;
use crate::config::ModelConfig;
use crate::engine::TrainState;
use crate::error::{Error, Result};
use crate::gpu::{Gpu, GpuBuffer};
use crate::model::group::Group;
use crate::model::kernels::PackShape;
use crate::packs::{LayerTokens as HostTokens, Merged, MergedTokens, Pack, PackTokens};

/// How many tokens a layer has, and where they are: keys of all kinds in order, then values likewise. Within a kind,
/// trained tokens come first.
#[derive(Clone, Debug, PartialEq)]
pub struct Counts {
    /// Number of tokens by kind.
    pub all: [usize; 5],
    /// How many of these are trained.
    pub trained: [usize; 5],
}

impl Counts {
    /// Tokens of all kinds.
    pub fn total(&self) -> usize {
        self.all.iter().sum()
    }

    /// The first token of a kind.
    pub fn first(&self, kind: usize) -> usize {
        self.all[..kind].iter().sum()
    }

    /// Tokens of a group.
    pub fn of(&self, group: Group) -> usize {
        self.all[group.range()].iter().sum()
    }

    /// Runs of a group's kinds with the same number of tokens: first kind in the group, number of kinds, tokens each.
    pub fn runs(&self, group: Group) -> Vec<(usize, usize, usize)> {
        let mut runs: Vec<(usize, usize, usize)> = Vec::new();
        for (segment, &tokens) in self.all[group.range()].iter().enumerate() {
            match runs.last_mut() {
                Some((first, kinds, each)) if *each == tokens && *first + *kinds == segment => *kinds += 1,
                _ if tokens == 0 => {}
                _ => runs.push((segment, 1, tokens)),
            }
        }
        runs
    }

    /// Where the tokens of a group's kinds begin, and where the last kind's end.
    fn starts(&self, group: Group) -> [u32; 4] {
        let mut starts = [self.of(group) as u32; 4];
        let mut at = 0;
        for (start, tokens) in starts.iter_mut().zip(&self.all[group.range()]) {
            *start = at;
            at += *tokens as u32;
        }
        starts
    }
}

/// A layer's tokens.
pub struct LayerTokens {
    pub counts: Counts,
    /// Keys, then values, f32 [2, tokens, d].
    pub values: GpuBuffer,
    /// First and second moments, f32 [2, 2, tokens, d].
    pub moments: GpuBuffer,
    /// Gradients, f32 [2, tokens, d].
    pub grads: GpuBuffer,
    /// 1 for trained tokens, otherwise 0, u32 \[tokens\].
    pub trained: GpuBuffer,
    /// Strengths by group, f32 \[tokens\].
    pub strengths: [GpuBuffer; 3],
}

/// The tokens of every layer.
///
/// # Errors
/// `invalid-config` for tokens that do not have the model's shape, `invalid-argument` for moments that do not fit them.
pub fn upload(gpu: &Gpu, config: &ModelConfig, state: &TrainState, frozen: &Merged) -> Result<Vec<LayerTokens>> {
    let TrainState { tokens, moments, .. } = state;
    let zeros = tokens.zeros();
    let moments = moments.each_ref().map(|pack| if pack.layers.is_empty() { &zeros } else { pack });
    for pack in [tokens, moments[0], moments[1]] {
        pack.check(config)?;
    }
    let sizes = |pack: &Pack| {
        let layers = pack.layers.iter();
        layers.map(|layer| layer.each_ref().map(|t| t.as_ref().map_or(0, |t| t.keys.len()))).collect::<Vec<_>>()
    };
    if moments.iter().any(|pack| sizes(pack) != sizes(tokens)) {
        return Err(Error::invalid_argument("The moments of a training are not of its tokens."));
    }
    let none = HostTokens::default();
    let layer = |i: usize| {
        let host = [tokens, moments[0], moments[1]].map(|pack| pack.layers.get(i).unwrap_or(&none));
        LayerTokens::upload(gpu, config.hidden_size, host, frozen.layers.get(i))
    };
    Ok((0..config.num_layers).map(layer).collect())
}

impl LayerTokens {
    fn upload(gpu: &Gpu, d: usize, host: [&HostTokens; 3], frozen: Option<&[MergedTokens; 5]>) -> Self {
        let none = MergedTokens::default();
        let frozen = |kind: usize| frozen.map_or(&none, |layer| &layer[kind]);
        let trained: [usize; 5] = std::array::from_fn(|kind| host[0][kind].as_ref().map_or(0, |t| t.keys.len() / d));
        let counts = Counts { all: std::array::from_fn(|kind| trained[kind] + frozen(kind).len()), trained };
        let total = counts.total();
        // One side of the tokens (keys or values): the trained ones, then the others; without `rest`, zeros instead of
        // these.
        let side = |own: &HostTokens, side: usize, rest: bool| -> Vec<f32> {
            let of_kind = |kind: usize| {
                let [keys, values] = [&frozen(kind).keys, &frozen(kind).values];
                let frozen = [keys, values][side];
                let mut out = own[kind].as_ref().map_or_else(Vec::new, |t| [&t.keys, &t.values][side].clone());
                out.resize(trained[kind] * d, 0.0);
                match rest {
                    true => out.extend(frozen),
                    false => out.resize(counts.all[kind] * d, 0.0),
                }
                out
            };
            (0..5).flat_map(of_kind).collect()
        };
        let both = |own: &HostTokens, rest: bool| [side(own, 0, rest), side(own, 1, rest)].concat();
        let storage = |label: &str, words: &[u32]| {
            let buffer = GpuBuffer::storage(gpu, label, words.len() as u64 * 4);
            gpu.queue.write_buffer(&buffer.buffer, 0, bytemuck::cast_slice(words));
            buffer
        };
        let floats = |label: &str, values: &[f32]| storage(label, bytemuck::cast_slice(values));
        let is_trained: Vec<u32> =
            (0..5).flat_map(|kind| (0..counts.all[kind]).map(move |i| u32::from(i < trained[kind]))).collect();
        let strengths = Group::ALL.map(|group| {
            let of_kind = |kind: usize| {
                let ones = std::iter::repeat_n(1.0, trained[kind]);
                ones.chain(frozen(kind).strengths.iter().copied()).collect::<Vec<f32>>()
            };
            floats("strengths", &group.range().flat_map(of_kind).collect::<Vec<_>>())
        });
        Self {
            values: floats("tokens", &both(host[0], true)),
            moments: floats("moments", &[both(host[1], false), both(host[2], false)].concat()),
            grads: GpuBuffer::storage(gpu, "gradients", (2 * total * d * 4) as u64),
            trained: storage("trained", &is_trained),
            strengths,
            counts,
        }
    }

    /// The uniform `PackShape` of a group whose products come in this many parts.
    pub fn shape(&self, group: Group, parts: usize, uniforms: &mut Uniforms<'_>) -> wgpu::Buffer {
        let (starts, tokens) = (self.counts.starts(group), self.counts.of(group) as u32);
        uniforms.fixed(&PackShape { starts, tokens, parts: parts as u32, padding: [0; 2] })
    }

    /// Number of values in `values`; `moments` has twice as many.
    pub fn len(&self, d: usize) -> usize {
        2 * self.counts.total() * d
    }

    /// The trained part of values with the layout of a buffer.
    pub fn trained_of(&self, d: usize, buffer: &[f32]) -> HostTokens {
        let (keys, values) = buffer.split_at(self.counts.total() * d);
        std::array::from_fn(|kind| {
            let at = self.counts.first(kind) * d..(self.counts.first(kind) + self.counts.trained[kind]) * d;
            let tokens = || PackTokens { keys: keys[at.clone()].to_vec(), values: values[at.clone()].to_vec() };
            (self.counts.trained[kind] > 0).then(tokens)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_with_as_many_tokens_run_together() {
        let counts = |all| Counts { all, trained: [0; 5] };
        assert_eq!(counts([4, 4, 4, 2, 0]).runs(Group::Qkv), [(0, 3, 4)]);
        assert_eq!(counts([4, 4, 2, 2, 0]).runs(Group::Qkv), [(0, 2, 4), (2, 1, 2)]);
        assert_eq!(counts([4, 0, 4, 2, 0]).runs(Group::Qkv), [(0, 1, 4), (2, 1, 4)]);
        assert_eq!(counts([0; 5]).runs(Group::Mlp), []);
        assert_eq!(counts([4, 0, 3, 2, 0]).starts(Group::Qkv), [0, 4, 4, 7]);
        assert_eq!(counts([4, 0, 3, 2, 0]).starts(Group::Proj), [0, 2, 2, 2]);
    }
}
