//! Sequences for calibration that need no text: random tokens, and what the model itself writes.

use crate::error::{Error, Result};
use crate::reference::forward::{Cache, Reference, embed};
use crate::sampling::{Sampler, SamplingOptions, below};

/// Most tokens of a sequence.
const SEQUENCE: usize = 256;
/// Sequences that are written in parallel.
const SIDE_BY_SIDE: usize = 32;
/// Probability that a token is random, by turns: random tokens alone leave tables free to be wrong about texts, the
/// model's own texts alone leave them free to be wrong about all others, and what it writes where it is interrupted
/// lies between.
const RANDOM: [f64; 3] = [1.0, 0.0, 0.3];
const SEED: u64 = 0x746f_6b65_6e73;

/// Sequences of token ids below `real_ids`, all of the same length, with at least `tokens` tokens in total; the model's
/// own KV cache is not touched.
///
/// # Errors
/// `invalid-argument` for no tokens, and if the model has fewer than `real_ids` ids.
pub fn sequences(model: &Reference, tokens: usize, real_ids: usize) -> Result<Vec<Vec<u32>>> {
    let ids = model.config.padded_vocab_size;
    if tokens == 0 || !(1..=ids).contains(&real_ids) {
        let error = format!("{tokens} tokens of {real_ids} ids cannot be made: the model has {ids} ids.");
        return Err(Error::invalid_argument(error));
    }
    let len = SEQUENCE.min(model.config.max_position_embeddings);
    let mut sequences: Vec<Vec<u32>> = (0..tokens.div_ceil(len))
        .map(|sequence| (0..len).map(|position| random_id(real_ids, sequence, position)).collect())
        .collect();
    let mut written: Vec<(usize, &mut Vec<u32>)> =
        sequences.iter_mut().enumerate().filter(|(number, _)| randomness(*number) < 1.0).collect();
    for some in written.chunks_mut(SIDE_BY_SIDE) {
        write(model, real_ids, some)?;
    }
    Ok(sequences)
}

/// The probability that a token of a sequence is random.
fn randomness(sequence: usize) -> f64 {
    RANDOM[sequence % RANDOM.len()]
}

/// How the model's tokens of a sequence are sampled: with its own probabilities.
fn sampler(sequence: usize, real_ids: usize) -> Sampler {
    let options = SamplingOptions { temperature: 1.0, top_p: 1.0, seed: SEED + sequence as u64, ..Default::default() };
    Sampler::new(options, &[], real_ids)
}

/// Uniform in [0, 1), a different one for each `draw`.
fn uniform(draw: u64, sequence: usize, position: usize) -> f64 {
    const STEPS: usize = 1 << 24;
    below(STEPS, SEED + draw, (sequence * SEQUENCE + position) as u32) as f64 / STEPS as f64
}

/// Every id is equally likely or, for every other token, low ids are far more likely (logarithms are uniform), as in
/// texts: byte-pair encoding numbers its merges by how often they occur.
fn random_id(real_ids: usize, sequence: usize, position: usize) -> u32 {
    let (part, real_ids) = (uniform(0, sequence, position), real_ids as f64);
    let evenly = uniform(1, sequence, position) < 0.5;
    let id = if evenly { part * real_ids } else { (part * real_ids.ln()).exp() };
    id.min(real_ids - 1.0) as u32
}

/// Replaces random tokens by what the model writes there: each but the first stays random with the probability of its
/// sequence, given by number.
fn write(model: &Reference, real_ids: usize, sequences: &mut [(usize, &mut Vec<u32>)]) -> Result<()> {
    let (config, vocab) = (&model.config, model.config.padded_vocab_size);
    let mut caches = vec![vec![Cache::default(); sequences.len()]; model.layers.len()];
    let mut samplers: Vec<Sampler> = sequences.iter().map(|(number, _)| sampler(*number, real_ids)).collect();
    let len = sequences.first().map_or(0, |(_, ids)| ids.len());
    for position in 0..len.saturating_sub(1) {
        let ids: Vec<u32> = sequences.iter().map(|(_, ids)| ids[position]).collect();
        let mut h = embed(&model.embedding, config.hidden_size, &ids)?;
        for (layer, caches) in model.layers.iter().zip(&mut caches) {
            layer.forward(config, None, position, false, caches, &mut h);
        }
        let logits = model.logits(&h);
        for (((number, ids), sampler), logits) in
            sequences.iter_mut().zip(&mut samplers).zip(logits.chunks_exact(vocab))
        {
            if uniform(2, *number, position + 1) >= randomness(*number) {
                ids[position + 1] = sampler.next(logits);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::layout::Quantization;
    use crate::checkpoint::random::RandomModel;
    use crate::config::PartialConfig;

    #[test]
    fn what_is_written_is_what_the_model_would_choose() {
        const SHAPE: &str = r#"{"num_layers":2,"hidden_size":64,"num_attention_heads":2,"qkv_slot_num":70,
            "proj_slot_num":64,"ffn_slot_num":96,"padded_vocab_size":120,"max_position_embeddings":40}"#;
        let config = PartialConfig::from_json(SHAPE.as_bytes()).and_then(PartialConfig::finish).expect("config");
        let mut source = RandomModel::new(&config, Quantization::F16, 5);
        let mut model = Reference::load(&mut source, false).expect("model");
        let all = sequences(&model, 1500, 100).expect("sequences");
        assert_eq!((all.len(), all.iter().all(|ids| ids.len() == 40)), (38, true));
        assert!(all.iter().flatten().all(|id| *id < 100));
        assert_eq!(sequences(&model, 1, 120).expect("one").len(), 1);
        for (tokens, real_ids) in [(0, 100), (10, 0), (10, 121)] {
            assert!(sequences(&model, tokens, real_ids).is_err(), "{tokens} tokens of {real_ids}");
        }
        let mut kept = [(0, 0); 3];
        for (number, ids) in all.iter().enumerate() {
            let random: Vec<u32> = (0..ids.len()).map(|position| random_id(100, number, position)).collect();
            let (same, all) = &mut kept[number % 3];
            *same += ids.iter().zip(&random).filter(|(a, b)| a == b).count();
            *all += ids.len();
        }
        let part = |kind: usize| kept[kind].0 as f64 / kept[kind].1 as f64;
        assert!(part(0) == 1.0 && part(1) < 0.1 && part(2) > 0.2 && part(2) < 0.45, "{kept:?}");
        // Sequence 1 again, alone and by the model's own KV cache.
        let mut sampler = sampler(1, 100);
        for pair in all[1].windows(2) {
            let h = model.forward(&pair[..1], false).expect("forward").last;
            assert_eq!(sampler.next(&model.logits(&h)), pair[1]);
        }
    }
}
