//! Runs a kernel alone: in buffers that were not zero before, followed by words that must not be touched, and compares
//! the buffers with the expected results.

use crate::checkpoint::layout::{TableFormat, TableShape};
use crate::checkpoint::random::Random;
use crate::checkpoint::regions::Region;
use crate::config::GROUP_SIZE;
use crate::error::Result;
use crate::gpu::{Gpu, GpuBuffer, Kernel, Kernels};
use crate::model::kernels::{Dispatch, Step};
use crate::model::tables::{Elements, Table};
use crate::reference::math;
use half::f16;
use std::rc::Rc;

/// The initial value of every output word: as f32 not a number, as a token id far too large.
pub const DIRT: u32 = 0x7fc0_dead;
/// Words after an output that must not be touched.
const GUARD: usize = 64;

/// A kernel's run: its inputs and its expected outputs.
pub struct Lab<'g> {
    pub gpu: &'g Gpu,
    pub random: Random,
    /// The GPU is a software GPU, whatever kind it is treated as: its workgroups run one after the other.
    pub is_program: bool,
    kernels: &'g mut Kernels,
    step: Step,
    runs: Vec<(Kernel, [u32; 3])>,
    outputs: Vec<Output>,
    /// Why nothing is run.
    skipped: Option<&'static str>,
    /// Objects that must live until all is read.
    buffers: Vec<GpuBuffer>,
    tables: Vec<Rc<Values>>,
}

/// A table on the GPU, and its values.
pub struct Values {
    pub table: Table,
    pub values: Vec<f32>,
}

/// A buffer that kernels write.
#[derive(Clone)]
pub struct Out {
    pub buffer: wgpu::Buffer,
    words: usize,
}

struct Output {
    out: Out,
    wanted: Wanted,
}

/// The expected contents of an output.
pub enum Wanted {
    /// Numbers, within a fraction of their root mean square; one that is [`DIRT`] must be untouched.
    Floats { values: Vec<f32>, tolerance: f64 },
    /// Pairs of f16 from given words on, within a fraction of their root mean square; all else must be unchanged.
    Halves { before: Vec<u32>, runs: Vec<(usize, Vec<f32>)>, tolerance: f64 },
    /// Exactly these words; `None` matches any.
    Words(Vec<Option<u32>>),
    /// Approximately these numbers; `None` matches any.
    Near(Vec<Option<f32>>, f64),
}

/// The result.
#[derive(Debug, Default)]
pub struct Finding {
    /// The largest error, relative to the permitted one.
    pub error: f64,
    /// What is wrong, in words; empty if nothing is.
    pub wrong: String,
}

impl<'g> Lab<'g> {
    /// For one case on a device, whose pipelines are cached in `kernels`.
    pub fn new(gpu: &'g Gpu, kernels: &'g mut Kernels, seed: u64, is_program: bool) -> Self {
        let (runs, outputs, buffers, tables) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self {
            gpu,
            random: Random(seed),
            is_program,
            kernels,
            step: Step::new(0, 1),
            runs,
            outputs,
            skipped: None,
            buffers,
            tables,
        }
    }

    /// `n` numbers in [−scale, scale).
    pub fn numbers(&mut self, n: usize, scale: f32) -> Vec<f32> {
        (0..n).map(|_| self.random.uniform() * scale).collect()
    }

    /// The same, rounded to f16.
    pub fn halves(&mut self, n: usize, scale: f32) -> Vec<f32> {
        (0..n).map(|_| f16::from_f32(self.random.uniform() * scale).to_f32()).collect()
    }

    /// A buffer that is only read. Words after its end are not numbers.
    pub fn input<T: bytemuck::NoUninit>(&mut self, values: &[T]) -> wgpu::Buffer {
        let mut words: Vec<u32> = bytemuck::pod_collect_to_vec(bytemuck::cast_slice::<T, u8>(values));
        words.extend([DIRT; GUARD]);
        self.storage(&words)
    }

    /// Values as pairs of f16.
    pub fn input_halves(&mut self, values: &[f32]) -> wgpu::Buffer {
        let halves: Vec<f16> = values.iter().map(|x| f16::from_f32(*x)).collect();
        self.input(&halves)
    }

    /// A buffer of `words` words to be written, filled with [`DIRT`].
    pub fn output(&mut self, words: usize) -> Out {
        self.in_out(&vec![DIRT; words])
    }

    /// A buffer that is read and written.
    pub fn in_out<T: bytemuck::NoUninit>(&mut self, values: &[T]) -> Out {
        let words = size_of_val(values) / 4;
        Out { buffer: self.input(values), words }
    }

    /// A uniform buffer.
    pub fn uniform<T: bytemuck::NoUninit>(&mut self, value: &T) -> wgpu::Buffer {
        use wgpu::BufferUsages as U;
        let bytes = bytemuck::bytes_of(value);
        let buffer = GpuBuffer::new(self.gpu, "uniform", bytes.len() as u64, U::UNIFORM | U::COPY_DST);
        self.keep(buffer, bytes)
    }

    /// The parameters of the step, which also determine how many workgroups run.
    pub fn step(&mut self, step: Step) -> wgpu::Buffer {
        self.step = step;
        self.uniform(&step)
    }

    /// A random table, in parts of at most `rows_per_part` rows.
    pub fn table(&mut self, format: TableFormat, shape: TableShape, rows_per_part: usize) -> Rc<Values> {
        self.filled(Table::in_parts(self.gpu, "table", format, shape, rows_per_part))
    }

    /// A table with random values.
    pub fn filled(&mut self, table: Table) -> Rc<Values> {
        let shape = table.shape();
        let Elements::Stored(format) = table.elements() else {
            let values = self.numbers(shape.rows * shape.cols, 0.5);
            return self.filled_with(table, values);
        };
        let groups = shape.rows * shape.cols / GROUP_SIZE;
        let (mut elements, mut scales) = (Vec::new(), Vec::new());
        if format.is_quantized() {
            let top = (1u32 << (format.bits() - 1)) as f32;
            for _ in 0..groups {
                // A scale may have either sign.
                let sign = if self.random.word().is_multiple_of(2) { 0.5 } else { -0.5 };
                scales.extend(f16::from_f32(sign * (0.75 + 0.25 * self.random.uniform()) / top).to_le_bytes());
                for _ in 0..GROUP_SIZE * format.bits() / 64 {
                    elements.extend(self.random.word().to_le_bytes());
                }
            }
        } else {
            for value in self.numbers(groups * GROUP_SIZE, 0.5) {
                elements.extend(f16::from_f32(value).to_le_bytes());
            }
        }
        let values = math::decoded(format.bits(), &elements, &scales);
        for (region, bytes) in [(Region::Elements, &elements), (Region::Scales, &scales)] {
            for piece in table.place(0, region, 0, bytes.len()) {
                let mut bytes = bytes[piece.bytes].to_vec();
                bytes.resize(bytes.len().next_multiple_of(4), 0);
                self.gpu.queue.write_buffer(piece.buffer, piece.offset, &bytes);
            }
        }
        self.kept(Values { table, values })
    }

    /// A table of single precision with these values.
    pub fn f32_table(&mut self, shape: TableShape, values: Vec<f32>) -> Rc<Values> {
        let buffer = GpuBuffer::storage(self.gpu, "table", values.len() as u64 * 4);
        self.filled_with(Table::of_f32(shape, Rc::new(buffer), 0), values)
    }

    fn filled_with(&mut self, table: Table, values: Vec<f32>) -> Rc<Values> {
        for piece in table.place(0, Region::Elements, 0, values.len() * 4) {
            self.gpu.queue.write_buffer(piece.buffer, piece.offset, &bytemuck::cast_slice(&values)[piece.bytes]);
        }
        self.kept(Values { table, values })
    }

    fn kept(&mut self, values: Values) -> Rc<Values> {
        let made = Rc::new(values);
        self.tables.push(made.clone());
        made
    }

    /// Runs a dispatch after those before it.
    ///
    /// # Errors
    /// If the shader's files contradict each other.
    pub fn run(&mut self, dispatch: &Dispatch<'_>) -> Result<()> {
        self.run_for(dispatch, self.step.count as usize)
    }

    /// The same, with workgroups for this many rows, whatever the step has.
    ///
    /// # Errors
    /// See [`run`](Self::run).
    pub fn run_for(&mut self, dispatch: &Dispatch<'_>, rows: usize) -> Result<()> {
        let grid = dispatch.grid.of(self.step.past as usize, rows);
        let kernel = self.kernels.kernel(self.gpu, &dispatch.shader, &dispatch.bindings)?;
        self.runs.extend(kernel.map(|kernel| (kernel, grid)));
        Ok(())
    }

    /// Records why this case cannot run on this device.
    pub fn skip(&mut self, why: &'static str) {
        self.skipped = Some(why);
    }

    /// Why nothing is run, if so.
    pub fn skipped(&self) -> Option<&'static str> {
        self.skipped
    }

    /// Sets the expected contents of an output.
    pub fn expect(&mut self, out: &Out, wanted: Wanted) {
        self.outputs.push(Output { out: out.clone(), wanted });
    }

    /// Sets the words that must match exactly.
    pub fn expect_words(&mut self, out: &Out, words: Vec<Option<u32>>) {
        self.expect(out, Wanted::Words(words));
    }

    /// Sets the numbers that must match approximately.
    pub fn expect_near(&mut self, out: &Out, numbers: Vec<Option<f32>>, tolerance: f64) {
        self.expect(out, Wanted::Near(numbers, tolerance));
    }

    /// Expects these rows of f16 from `row` on, and the rest untouched: the cache after a step.
    pub fn expect_rows(&mut self, out: &Out, (row, d): (usize, usize), values: Vec<f32>) {
        self.expect_halves(out, vec![DIRT; out.words], vec![(row * d / 2, values)]);
    }

    /// Expects these f16 from given words on, and the rest unchanged.
    pub fn expect_halves(&mut self, out: &Out, before: Vec<u32>, runs: Vec<(usize, Vec<f32>)>) {
        // f16 has eleven bits of precision, and the sums before it are in a different order.
        self.expect(out, Wanted::Halves { before, runs, tolerance: 2e-3 });
    }

    /// Runs all and compares.
    ///
    /// # Errors
    /// `device-lost`.
    pub async fn finding(self) -> Result<Finding> {
        use wgpu::BufferUsages as U;
        let words: usize = self.outputs.iter().map(|o| o.out.words + GUARD).sum();
        let staging = GpuBuffer::new(self.gpu, "staging", words as u64 * 4, U::MAP_READ | U::COPY_DST);
        let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
        {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            for (kernel, grid) in &self.runs {
                kernel.dispatch(&mut pass, *grid);
            }
        }
        let mut at = 0;
        for Output { out, .. } in &self.outputs {
            let bytes = (out.words + GUARD) as u64 * 4;
            encoder.copy_buffer_to_buffer(&out.buffer, 0, &staging.buffer, at, bytes);
            at += bytes;
        }
        self.gpu.queue.submit([encoder.finish()]);
        let read = self.gpu.read::<u32>(&staging.buffer, words as u64 * 4).await?;
        let mut finding = Finding::default();
        let mut rest = &read[..];
        for Output { out, wanted } in &self.outputs {
            let (got, behind) = rest.split_at(out.words);
            let (guard, next) = behind.split_at(GUARD);
            rest = next;
            wanted.compare(got, &mut finding);
            if let Some(i) = guard.iter().position(|word| *word != DIRT) {
                finding.diagnose(f64::INFINITY, || format!("word {i} behind the end was written"));
            }
        }
        Ok(finding)
    }

    fn storage(&mut self, words: &[u32]) -> wgpu::Buffer {
        let buffer = GpuBuffer::storage(self.gpu, "case", words.len() as u64 * 4);
        self.keep(buffer, bytemuck::cast_slice(words))
    }

    fn keep(&mut self, buffer: GpuBuffer, bytes: &[u8]) -> wgpu::Buffer {
        self.gpu.queue.write_buffer(&buffer.buffer, 0, bytes);
        let handle = buffer.buffer.clone();
        self.buffers.push(buffer);
        handle
    }
}

impl Wanted {
    /// Words that have an expectation.
    fn len(&self) -> usize {
        match self {
            Self::Floats { values, .. } => values.len(),
            Self::Halves { before, .. } => before.len(),
            Self::Words(words) => words.len(),
            Self::Near(numbers, _) => numbers.len(),
        }
    }

    fn compare(&self, got: &[u32], finding: &mut Finding) {
        if self.len() != got.len() {
            let (words, all) = (self.len(), got.len());
            finding.diagnose(f64::INFINITY, || format!("the case speaks of {words} words where there are {all}"));
            return;
        }
        match self {
            Self::Floats { values, tolerance } => {
                let got = got.iter().map(|word| f32::from_bits(*word));
                close(got, values, *tolerance, finding);
            }
            Self::Halves { before, runs, tolerance } => {
                let is_wanted = |i: usize| runs.iter().any(|(first, run)| (*first..first + run.len() / 2).contains(&i));
                let is_touched = |i: &usize| got[*i] != before[*i] && !is_wanted(*i);
                if let Some(i) = (0..got.len()).find(is_touched) {
                    finding.diagnose(f64::INFINITY, || format!("word {i} was written"));
                }
                for (first, values) in runs {
                    let words = &got[*first..first + values.len() / 2];
                    let halves = words.iter().flat_map(|word| [*word as u16, (*word >> 16) as u16]);
                    close(halves.map(|bits| f16::from_bits(bits).to_f32()), values, *tolerance, finding);
                }
            }
            Self::Words(wanted) => {
                let mut pairs = got.iter().zip(wanted).enumerate();
                if let Some((i, (got, wanted))) = pairs.find(|(_, (a, b))| b.is_some_and(|b| **a != b)) {
                    let wanted = wanted.unwrap_or_default();
                    finding.diagnose(f64::INFINITY, || format!("word {i} is {got:#x} instead of {wanted:#x}"));
                }
            }
            Self::Near(wanted, tolerance) => {
                let pairs = got.iter().zip(wanted).filter_map(|(got, wanted)| Some((f32::from_bits(*got), (*wanted)?)));
                let (got, wanted): (Vec<_>, Vec<_>) = pairs.unzip();
                close(got.into_iter(), &wanted, *tolerance, finding);
            }
        }
    }
}

impl Finding {
    /// Records an error, relative to the permitted one, if it is the largest.
    fn diagnose(&mut self, error: f64, what: impl FnOnce() -> String) {
        if error > self.error {
            self.error = error;
            self.wrong = if error > 1.0 { what() } else { String::new() };
        }
    }
}

fn close(got: impl Iterator<Item = f32>, wanted: &[f32], tolerance: f64, finding: &mut Finding) {
    let is_number = |x: &&f32| x.is_finite();
    let squares: f64 = wanted.iter().filter(is_number).map(|x| f64::from(*x).powi(2)).sum();
    let numbers = wanted.iter().filter(is_number).count().max(1);
    let size = (squares / numbers as f64).sqrt();
    // If zeros are expected, anything as small as the rounding of ones will do.
    let size = if size > 0.0 { size } else { 1e-3 };
    for (i, (got, wanted)) in got.zip(wanted).enumerate() {
        if wanted.to_bits() == DIRT {
            if got.to_bits() != DIRT {
                finding.diagnose(f64::INFINITY, || format!("value {i} was written, {got}"));
            }
            continue;
        }
        let error = (f64::from(got) - f64::from(*wanted)).abs() / size / tolerance;
        let error = if error.is_nan() { f64::INFINITY } else { error };
        finding.diagnose(error, || match got.to_bits() == DIRT {
            true => format!("value {i} was never written"),
            false => format!("value {i} is {got} instead of {wanted}"),
        });
    }
}
