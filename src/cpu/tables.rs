//! Weight tables in this module's memory, as they are stored.

use crate::checkpoint::layout::{Quantization, Side, TableFormat, TableShape, TensorId};
use crate::checkpoint::regions::{Region, region_bytes};
use crate::config::{GROUP_SIZE, ModelConfig};
use crate::error::{Error, ErrorCode, Result};
use crate::pattention::Pattention;

/// A table W[rows, cols].
#[derive(Debug)]
pub struct Table {
    /// How its elements are stored.
    pub format: TableFormat,
    /// Rows and columns.
    pub shape: TableShape,
    /// `weight_packed`, or the f16 elements.
    elements: Vec<u16>,
    /// `weight_scale`; empty for f16.
    scales: Vec<u16>,
}

/// One row of a table.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    /// Its elements, as they are stored.
    pub elements: &'a [u16],
    /// The f16 scale of every group.
    pub scales: &'a [u16],
}

/// All weights of a model.
pub struct Weights {
    config: ModelConfig,
    /// E[V, d].
    pub embedding: Table,
    /// Keys [slots, d] and values [d, slots], in the order of [`Pattention::ALL`], layer by layer.
    tokens: Vec<[Table; 2]>,
    /// [`TensorId::VECTORS`]: weight and bias of the final LayerNorm, [d] each.
    pub norm: [Vec<f32>; TensorId::VECTORS.len()],
}

/// Zeros, or an error if they do not fit into memory: wasm's own failure would end the engine.
pub fn zeros<T: bytemuck::Zeroable + Clone>(len: usize) -> Result<Vec<T>> {
    let mut values = Vec::new();
    values.try_reserve_exact(len).map_err(|e| {
        let megabytes = (len * size_of::<T>()).div_ceil(1_000_000);
        Error::new(ErrorCode::OutOfMemory, format!("There is no memory for another {megabytes} MB.")).caused_by(e)
    })?;
    values.resize(len, T::zeroed());
    Ok(values)
}

impl Table {
    fn new(format: TableFormat, shape: TableShape) -> Result<Self> {
        let room = |region| zeros(region_bytes(format, shape, region) as usize / 2);
        Ok(Self { format, shape, elements: room(Region::Elements)?, scales: room(Region::Scales)? })
    }

    /// Groups of elements in a row.
    pub fn groups(&self) -> usize {
        self.shape.cols / GROUP_SIZE
    }

    /// One of its rows.
    pub fn row(&self, row: usize) -> Row<'_> {
        let (words, groups) = (self.shape.cols * self.format.bits() / 16, self.groups());
        let scales = if self.format.is_quantized() { &self.scales[row * groups..][..groups] } else { &[] };
        Row { elements: &self.elements[row * words..][..words], scales }
    }

    fn bytes(&self) -> u64 {
        2 * (self.elements.len() + self.scales.len()) as u64
    }
}

impl Weights {
    /// Room for every tensor; all of it is zeros.
    ///
    /// # Errors
    /// `out-of-memory`.
    pub fn new(config: &ModelConfig, quantization: Quantization) -> Result<Self> {
        let table = |id: TensorId, format| Table::new(format, id.shape(config));
        let mut tokens = Vec::new();
        for layer in 0..config.num_layers {
            for pattention in Pattention::ALL {
                let side = |side| table(TensorId::Tokens { layer, pattention, side }, quantization.tokens());
                tokens.push([side(Side::Keys)?, side(Side::Values)?]);
            }
        }
        let embedding = table(TensorId::Embedding, quantization.embedding())?;
        let mut norm = TensorId::VECTORS.map(|_| Vec::new());
        for vector in &mut norm {
            *vector = zeros(config.hidden_size)?;
        }
        Ok(Self { config: config.clone(), embedding, tokens, norm })
    }

    /// Keys and values of a Pattention.
    pub fn tokens(&self, layer: usize, pattention: Pattention) -> &[Table; 2] {
        &self.tokens[layer * Pattention::ALL.len() + pattention as usize]
    }

    /// Bytes of all tables.
    pub fn bytes(&self) -> u64 {
        let tokens: u64 = self.tokens.iter().flatten().map(Table::bytes).sum();
        self.embedding.bytes() + tokens + (4 * self.norm.len() * self.config.hidden_size) as u64
    }

    /// The place of `len` bytes at `offset` of one of a tensor's regions.
    ///
    /// # Errors
    /// `invalid-config` for a tensor that the model does not have, or bytes past its end.
    pub fn place(&mut self, id: TensorId, region: Region, offset: usize, len: usize) -> Result<&mut [u8]> {
        let outside = || Error::invalid_config(format!("{} has no bytes {offset} to {}.", id.name(), offset + len));
        let table = match id {
            TensorId::Embedding => &mut self.embedding,
            TensorId::Tokens { layer, pattention, side } => {
                let index = layer * Pattention::ALL.len() + pattention as usize;
                &mut self.tokens.get_mut(index).ok_or_else(outside)?[side as usize]
            }
            vector => {
                let vector = &mut self.norm[vector.vector().ok_or_else(outside)?];
                let bytes = bytemuck::cast_slice_mut(vector);
                return bytes.get_mut(offset..offset + len).ok_or_else(outside);
            }
        };
        let region = if region == Region::Elements { &mut table.elements } else { &mut table.scales };
        bytemuck::cast_slice_mut(region).get_mut(offset..offset + len).ok_or_else(outside)
    }
}
