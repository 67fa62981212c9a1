//! Keys and values of several texts after the tokens that they have in common.

use super::attention::Cache;
use crate::config::ModelConfig;
use crate::error::Result;

/// Fewest tokens that memory is allocated for.
pub const LEAST: usize = 128;

/// A KV cache for each place, of every layer.
#[derive(Default)]
pub struct Tails {
    caches: Vec<Vec<Cache>>,
    capacity: usize,
}

impl Tails {
    /// Tokens that each may have.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// A place's part for a layer.
    pub fn of(&mut self, place: usize, layer: usize) -> &mut Cache {
        &mut self.caches[place][layer]
    }

    /// Makes room for `len` tokens in `places` places; what they hold stays.
    ///
    /// # Errors
    /// `out-of-memory`: then all is as it was.
    pub fn grow(&mut self, config: &ModelConfig, places: usize, len: usize) -> Result<()> {
        if len > self.capacity {
            let capacity = len.next_power_of_two().max(LEAST);
            let grown = |layers: &Vec<Cache>| layers.iter().map(|cache| cache.grown(capacity)).collect();
            self.caches = self.caches.iter().map(grown).collect::<Result<_>>()?;
            self.capacity = capacity;
        }
        while self.caches.len() < places {
            let layers = (0..config.num_layers).map(|_| Cache::new(config, self.capacity));
            self.caches.push(layers.collect::<Result<_>>()?);
        }
        Ok(())
    }
}
