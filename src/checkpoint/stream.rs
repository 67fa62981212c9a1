//! Converts a published checkpoint while its bytes pass by, in the order of the file.
//!
//! Keys and embedding are converted row by row. Value tables are stored transposed, in groups of 32 slots: 32
//! source rows make one column of groups, so that no table is ever in memory as f32.

use super::layout::{Quantization, Side, TableFormat, TensorId, tensors};
use super::names::Names;
use super::pickle::{Dtype, TorchTensor};
use super::quantize::Stored;
use super::regions::{Region, region_bytes, row_bytes, weight_bytes};
use super::torch::{Archive, decode};
use super::unit::Piece;
use super::zip::{Entry, LOCAL_HEADER_LEN, local_data_offset};
use crate::config::{GROUP_SIZE, ModelConfig};
use crate::error::{Error, ErrorKind, Result};
use std::collections::BTreeMap;
use std::ops::Range;

/// Rows that are converted at a time.
const BLOCK_ROWS: usize = GROUP_SIZE;

/// The bytes of one table in the file, and what they become.
#[derive(Debug)]
struct Source {
    /// More than one where tables share their memory.
    ids: Vec<TensorId>,
    /// Key in the checkpoint, for messages.
    key: String,
    bytes: Range<u64>,
    /// Where its entry begins: what lies before is of no use.
    header: u64,
    dtype: Dtype,
    rows: usize,
    cols: usize,
    transposed: bool,
}

impl Source {
    fn row_bytes(&self) -> u64 {
        (self.cols * self.dtype.size()) as u64
    }
}

/// A local header, and where it was believed to end.
#[derive(Debug)]
struct Header {
    entry: Entry,
    data: u64,
}

/// What is to be done with which bytes of a file.
#[derive(Debug)]
pub struct Conversion {
    sources: Vec<Source>,
    /// In the order of the file.
    headers: Vec<Header>,
    /// Consecutive ranges of the file, cut where a block of rows or a transposed table ends.
    pub units: Vec<Range<u64>>,
    config: ModelConfig,
    quantization: Quantization,
}

/// What a unit became.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Converted {
    /// The stored form of its tensors.
    pub bytes: Vec<u8>,
    /// Which bytes are which.
    pub pieces: Vec<Piece>,
}

impl Conversion {
    /// Plans the conversion. `data_offset` returns where the data of an entry of the archive begins, or is believed to
    /// begin: [`UnitConverter::push`] compares it with the local header that passes by.
    ///
    /// # Errors
    /// `unsupported-checkpoint` for tensors that share only a part of their memory, and those of
    /// [`Archive::locate`].
    #[allow(clippy::too_many_arguments)] // each says one thing about the checkpoint
    pub fn new(
        archive: &Archive,
        state: &[TorchTensor],
        names: &Names,
        config: &ModelConfig,
        quantization: Quantization,
        file_len: u64,
        unit_bytes: u64,
        data_offset: impl Fn(&Entry) -> Option<u64>,
    ) -> Result<Self> {
        let mut sources: Vec<Source> = Vec::new();
        let mut headers = BTreeMap::new();
        for id in tensors(config) {
            let tensor = &state[names.get(id)?];
            let located = archive.locate(tensor)?;
            let entry = &archive.entries[located.entry];
            let data = data_offset(entry).ok_or_else(misplaced)?;
            headers.insert(entry.header_offset, Header { entry: entry.clone(), data });
            let bytes = located.range(data);
            let cols = config.hidden_size;
            let rows = (located.len / (cols * located.dtype.size()) as u64) as usize;
            let transposed = matches!(id, TensorId::Tokens { side: Side::Values, .. });
            let key = tensor.name.clone();
            let header = entry.header_offset;
            sources.push(Source { ids: vec![id], key, bytes, header, dtype: located.dtype, rows, cols, transposed });
        }
        sources.sort_by_key(|s| (s.bytes.start, s.bytes.end, s.transposed));
        sources.dedup_by(|next, first| {
            let same = (&next.bytes, next.dtype, next.transposed) == (&first.bytes, first.dtype, first.transposed);
            if same {
                first.ids.append(&mut next.ids);
            }
            same
        });
        if let Some(pair) = sources.windows(2).find(|pair| pair[1].bytes.start < pair[0].bytes.end) {
            return Err(Error::unsupported(format!(
                "Tensors {:?} and {:?} of the checkpoint share a part of their memory.",
                pair[0].key, pair[1].key
            ))
            .hint("Convert the checkpoint with the convert tool."));
        }
        let units = cut(&sources, file_len, unit_bytes);
        let headers = headers.into_values().collect();
        Ok(Self { sources, headers, units, config: config.clone(), quantization })
    }

    /// Begins to convert a unit.
    pub fn begin(&self, unit: usize) -> UnitConverter<'_> {
        let range = self.units[unit].clone();
        let source = self.sources.partition_point(|s| s.bytes.end <= range.start);
        UnitConverter {
            plan: self,
            position: range.start,
            end: range.end,
            source,
            header: self.headers.partition_point(|h| h.entry.header_offset < range.start),
            header_bytes: Vec::new(),
            pending: Vec::new(),
            values: Vec::new(),
            columns: Vec::new(),
            groups: Stored::default(),
            stored: Stored::default(),
            first_row: None,
            out: Converted::default(),
        }
    }

    /// Bytes of what is stored: elements and scales of all tensors.
    pub fn stored_bytes(&self) -> u64 {
        weight_bytes(&self.config, self.quantization)
    }
}

/// The error that means: read the local headers, and plan again with what they say.
pub fn misplaced() -> Error {
    Error::unsupported("The entries of the checkpoint do not lie as torch.save puts them.")
        .of_kind(ErrorKind::Misplaced)
}

/// The smaller of two lengths, one of which may be larger than memory.
fn at_most(len: usize, limit: u64) -> usize {
    (len as u64).min(limit) as usize
}

/// Cuts the file where at least a unit's length has gathered and conversion can start afresh.
fn cut(sources: &[Source], file_len: u64, wanted: u64) -> Vec<Range<u64>> {
    let mut cuts = vec![0];
    for s in sources {
        let step = if s.transposed { s.bytes.end - s.bytes.start } else { s.row_bytes() * BLOCK_ROWS as u64 };
        while s.header.saturating_sub(cuts[cuts.len() - 1]) >= wanted {
            cuts.push(cuts[cuts.len() - 1] + wanted);
        }
        let mut at = s.bytes.start;
        while at < s.bytes.end {
            at = s.bytes.end.min(at + step.max(1));
            if at - cuts[cuts.len() - 1] >= wanted {
                cuts.push(at);
            }
        }
    }
    // What follows the last tensor belongs to the last unit.
    if cuts.len() > 1 && file_len - cuts[cuts.len() - 1] < wanted {
        cuts.pop();
    }
    cuts.push(file_len);
    cuts.windows(2).map(|pair| pair[0]..pair[1]).collect()
}

/// Converts one unit.
#[derive(Debug)]
pub struct UnitConverter<'a> {
    plan: &'a Conversion,
    position: u64,
    end: u64,
    /// Index of the table at the position, or of the next one.
    source: usize,
    /// Index of the next local header, and what has come of it.
    header: usize,
    header_bytes: Vec<u8>,
    /// Bytes of a block of rows that is not complete.
    pending: Vec<u8>,
    /// A block as f32.
    values: Vec<f32>,
    /// A block of a value table transposed, and that quantized.
    columns: Vec<f32>,
    groups: Stored,
    /// The part of the table that this unit holds, as far as it is converted.
    stored: Stored,
    /// First row of that part.
    first_row: Option<usize>,
    out: Converted,
}

impl UnitConverter<'_> {
    /// Takes the unit's next bytes.
    ///
    /// # Errors
    /// `unsupported-checkpoint` for weights that cannot be stored, and that of [`misplaced`] entries.
    pub fn push(&mut self, mut bytes: &[u8]) -> Result<()> {
        bytes = &bytes[..at_most(bytes.len(), self.end - self.position)];
        let plan = self.plan;
        self.check_headers(bytes)?;
        while !bytes.is_empty() {
            let Some(source) = plan.sources.get(self.source) else {
                self.position += bytes.len() as u64;
                return Ok(());
            };
            if self.position < source.bytes.start {
                let skip = at_most(bytes.len(), source.bytes.start - self.position);
                bytes = &bytes[skip..];
                self.position += skip as u64;
                continue;
            }
            let row_bytes = source.row_bytes();
            let first_row = ((self.position - self.pending.len() as u64 - source.bytes.start) / row_bytes) as usize;
            let rows = BLOCK_ROWS.min(source.rows - first_row);
            let missing = rows * row_bytes as usize - self.pending.len();
            let taken = missing.min(bytes.len());
            let (head, tail) = bytes.split_at(taken);
            bytes = tail;
            self.position += taken as u64;
            if taken < missing {
                self.pending.extend_from_slice(head);
                return Ok(());
            }
            let mut values = std::mem::take(&mut self.values);
            values.clear();
            if self.pending.is_empty() {
                decode(source.dtype, head, &mut values);
            } else {
                self.pending.extend_from_slice(head);
                decode(source.dtype, &self.pending, &mut values);
                self.pending.clear();
            }
            let converted = self.block(source, first_row, rows, &values);
            self.values = values;
            converted.map_err(|e| Error { message: format!("{:?}: {}", source.key, e.message), ..e })?;
            if first_row + rows == source.rows {
                self.end_of_table(source)?;
                self.source += 1;
            }
        }
        Ok(())
    }

    /// Compares the local headers among the next bytes with where their data was believed to begin.
    fn check_headers(&mut self, bytes: &[u8]) -> Result<()> {
        let end = self.position + bytes.len() as u64;
        while let Some(header) = self.plan.headers.get(self.header) {
            let from = header.entry.header_offset + self.header_bytes.len() as u64;
            let to = end.min(header.entry.header_offset + LOCAL_HEADER_LEN);
            if from >= to {
                break;
            }
            self.header_bytes.extend(&bytes[(from - self.position) as usize..(to - self.position) as usize]);
            if self.header_bytes.len() as u64 == LOCAL_HEADER_LEN {
                if local_data_offset(&self.header_bytes, &header.entry)? != header.data {
                    return Err(misplaced());
                }
                self.header += 1;
                self.header_bytes.clear();
            }
        }
        Ok(())
    }

    /// Ends the unit.
    pub fn finish(mut self) -> Converted {
        if let (Some(first_row), Some(source)) = (self.first_row, self.plan.sources.get(self.source)) {
            self.emit(source, first_row);
        }
        self.out
    }

    /// Converts the rows from `first_row` on.
    fn block(&mut self, source: &Source, first_row: usize, rows: usize, values: &[f32]) -> Result<()> {
        self.first_row.get_or_insert(first_row);
        let (id, config) = (source.ids[0], &self.plan.config);
        match id.format(self.plan.quantization) {
            None => {
                if values.iter().any(|v| !v.is_finite()) {
                    return Err(Error::unsupported("It holds values that are not finite."));
                }
                self.stored.elements.extend(values.iter().flat_map(|v| v.to_le_bytes()));
                Ok(())
            }
            Some(format) if source.transposed => {
                let shape = id.shape(config);
                let whole = |region| region_bytes(format, shape, region) as usize;
                if first_row == 0 {
                    self.stored.elements = vec![0; whole(Region::Elements)];
                    self.stored.scales = vec![0; whole(Region::Scales)];
                }
                self.block_of_values(format, first_row / BLOCK_ROWS, rows, values, source.cols, shape.cols)
            }
            Some(format) => self.stored.push(values, format),
        }
    }

    /// 32 slots [rows, d] become group `group` of every row of the transposed table.
    fn block_of_values(
        &mut self,
        format: TableFormat,
        group: usize,
        rows: usize,
        values: &[f32],
        d: usize,
        slots: usize,
    ) -> Result<()> {
        let mut columns = std::mem::take(&mut self.columns);
        columns.clear();
        columns.resize(d * BLOCK_ROWS, 0.0);
        // Four columns at a time share the cache lines that they are read from.
        for first in (0..d).step_by(16) {
            for row in 0..rows {
                for col in first..d.min(first + 16) {
                    columns[col * BLOCK_ROWS + row] = values[row * d + col];
                }
            }
        }
        let mut groups = std::mem::take(&mut self.groups);
        groups.elements.clear();
        groups.scales.clear();
        groups.push(&columns, format)?;
        for (from, to, region) in [
            (&groups.elements, &mut self.stored.elements, Region::Elements),
            (&groups.scales, &mut self.stored.scales, Region::Scales),
        ] {
            let (len, stride) =
                (row_bytes(format, GROUP_SIZE, region) as usize, row_bytes(format, slots, region) as usize);
            if len == 0 {
                continue;
            }
            for (row, bytes) in from.chunks_exact(len).enumerate() {
                to[row * stride + group * len..][..len].copy_from_slice(bytes);
            }
        }
        (self.columns, self.groups) = (columns, groups);
        Ok(())
    }

    fn end_of_table(&mut self, source: &Source) -> Result<()> {
        let id = source.ids[0];
        let shape = id.shape(&self.plan.config);
        if let Some(format) = id.format(self.plan.quantization)
            && !source.transposed
            && shape.rows > source.rows
        {
            self.stored.push(&vec![0.0; (shape.rows - source.rows) * shape.cols], format)?;
        }
        if let Some(first_row) = self.first_row {
            self.emit(source, first_row);
        }
        Ok(())
    }

    /// Moves what was converted into the output.
    fn emit(&mut self, source: &Source, first_row: usize) {
        let stored = std::mem::take(&mut self.stored);
        self.first_row = None;
        for (region, bytes) in [(Region::Elements, stored.elements), (Region::Scales, stored.scales)] {
            if bytes.is_empty() {
                continue;
            }
            let at = self.out.bytes.len() as u32;
            for &id in &source.ids {
                let cols = id.shape(&self.plan.config).cols;
                let row_bytes = id.format(self.plan.quantization).map_or(0, |f| row_bytes(f, cols, region));
                let offset = first_row as u64 * row_bytes;
                self.out.pieces.push(Piece { id, region, offset, at, len: bytes.len() as u32 });
            }
            self.out.bytes.extend(bytes);
            // Every piece begins at a whole word, as the GPU wants it.
            self.out.bytes.resize(self.out.bytes.len().next_multiple_of(4), 0);
        }
    }
}
