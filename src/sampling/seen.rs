//! How often each id occurs in a text's last tokens: what penalties count.

/// Counts of a text that grows.
pub struct Seen {
    /// The whole text.
    text: Vec<u32>,
    /// Tokens of the prompt.
    prompt: usize,
    /// How many of the last tokens are counted.
    range: usize,
    /// For each id, how often prompt and output hold it, and how often the output does.
    counts: Vec<[u32; 2]>,
}

impl Seen {
    /// Counts ids below `ids` of a prompt; `range`: of how many last tokens, 0 for all.
    pub fn new(prompt: &[u32], range: u32, ids: usize) -> Self {
        let range = if range == 0 { usize::MAX } else { range as usize };
        let mut seen = Self { text: prompt.to_vec(), prompt: prompt.len(), range, counts: vec![[0; 2]; ids] };
        for id in &prompt[prompt.len().saturating_sub(range)..] {
            if let Some(counts) = seen.counts.get_mut(*id as usize) {
                counts[0] += 1;
            }
        }
        seen
    }

    /// Adds a token of the output; the oldest is no longer counted once the range is full.
    pub fn note(&mut self, id: u32) {
        if let Some(at) = self.leaving_at(self.written())
            && let Some(counts) = self.counts.get_mut(self.text[at] as usize)
        {
            counts[0] -= 1;
            counts[1] -= u32::from(at >= self.prompt);
        }
        self.text.push(id);
        if let Some(counts) = self.counts.get_mut(id as usize) {
            *counts = counts.map(|n| n + 1);
        }
    }

    /// The position in the text of the token that is no longer counted once the output's token number `index` is.
    pub fn leaving_at(&self, index: usize) -> Option<usize> {
        (self.prompt + index).checked_sub(self.range)
    }

    /// Prompt and output.
    pub fn text(&self) -> &[u32] {
        &self.text
    }

    /// Tokens of the output.
    pub fn written(&self) -> usize {
        self.text.len() - self.prompt
    }

    /// For each id, how often prompt and output hold it, and how often the output does.
    pub fn counts(&self) -> &[[u32; 2]] {
        &self.counts
    }
}
