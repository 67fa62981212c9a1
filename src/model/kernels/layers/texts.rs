//! The kernel for a token of each of several texts: how many texts' activations a product processes at a time, and how
//! contexts are split.

use super::spec::{Layers, STRETCH};

/// Most texts whose activations a product processes at a time, and how many rows of the longest kind they may take in
/// workgroup memory: the most promising first.
const CHUNKS: [(usize, usize); 4] = [(4, 2), (4, 1), (2, 1), (1, 1)];
/// Most slots of activations that a thread keeps in registers.
const MOST_ITEMS: usize = 16;
/// Lower bound on the number of parts that each text's context may be split into.
const LEAST_PARTS: usize = 4;

impl Layers {
    /// The same for a token of each of up to `texts` texts, where `texts` is more than one, if a device with these
    /// limits can run it.
    pub fn for_texts(&self, texts: usize, limits: &wgpu::Limits) -> Option<Self> {
        CHUNKS.into_iter().map(|chunks| self.with_chunks(texts, chunks)).find(|kernel| kernel.fits(limits))
    }

    fn with_chunks(&self, texts: usize, (most, rows): (usize, usize)) -> Self {
        let mut kernel = Self { texts, ..self.clone() };
        let (room, threads) = (rows * self.longest_row(), self.team.threads);
        for product in &mut kernel.products {
            let (row, items) = ((product.groups + 1) * 8, (product.groups * 8).div_ceil(threads));
            let fits = |chunk: &usize| chunk * row <= room && chunk * items <= MOST_ITEMS;
            product.chunk = [4, 2].into_iter().filter(|chunk| *chunk <= most.min(texts)).find(fits).unwrap_or(1);
        }
        // With many parts, each workgroup processes several anyway.
        let max_parts = (self.team.workgroups / (self.heads * texts)).max(LEAST_PARTS);
        kernel.max_parts = max_parts;
        kernel.scan = STRETCH.max(self.context_length.div_ceil(max_parts));
        (kernel.mailbox.parts, kernel.mailbox.stats) = (max_parts * self.hidden, max_parts * self.heads * 2);
        kernel
    }
}
