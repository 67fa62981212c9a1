//! Cases of the kernels of a Pattention: `keys`, `values`, `matmul`, `matmul_few`, `weights`.

use super::byte_rows;
use super::case::{Cases, DependsOn, FORMATS, SIZES};
use super::lab::{Lab, Values as TableValues, Wanted};
use crate::checkpoint::layout::{TableFormat, TableShape, padded_slots};
use crate::config::NormActivation;
use crate::error::Result;
use crate::model::kernels::attention_parts::{AttentionParts, MOST_WEIGHTS, PART};
use crate::model::kernels::{
    Keys, KeysBuffers, KeysInput, Matmul, MatmulBuffers, MatmulBytes, MatmulFew, PackValues, Rotary, Sharing,
    SlotWeights, SlotWeightsBuffers, Step, Values, ValuesBuffers, ValuesOutput,
};
use crate::reference::math;
use std::rc::Rc;

const EPSILON: f64 = 1e-5;
/// Sums in a different order, and exponentials of a GPU.
const TOLERANCE: f64 = 2e-4;
pub const ACTIVATIONS: [NormActivation; 3] =
    [NormActivation::L2NormGelu, NormActivation::GeluL2Norm, NormActivation::Softmax];

/// The input that keys are multiplied by.
#[derive(Clone, Copy)]
pub enum Input {
    Normalized,
    Attention,
    /// The output of the attention over a context so long that its parts' weights do not fit into workgroup memory.
    LongAttention,
    Final,
    /// The same as `Final`, with a table in two parts.
    FinalInParts,
}

/// Kernels for X·Wᵀ.
#[derive(Clone, Copy)]
pub enum Way {
    Floats,
    /// For at most this many tokens.
    Few(usize),
    /// Of a quantized table.
    Bytes,
}

pub fn add(cases: &mut Cases) {
    let inputs = [("layernorm", Input::Normalized), ("combine", Input::Attention), ("final norm", Input::Final)];
    for (i, rows) in SIZES.into_iter().enumerate() {
        for (j, format) in FORMATS.into_iter().enumerate() {
            for (k, (variant, input)) in inputs.into_iter().enumerate() {
                if cases.keeps(i + j + k) {
                    let cols = [32, 1024, 160][(i + j) % 3];
                    let size = format!("{rows} × {cols}");
                    cases.add(("keys", size, Some(format)), variant, DependsOn::Subgroups, move |lab| {
                        keys(lab, format, TableShape { rows, cols }, input, None)
                    });
                }
            }
        }
    }
    let rarer = [("combine, many parts", Input::LongAttention), ("final norm, two parts", Input::FinalInParts)];
    for (rows, cols, format) in [(33, 1024, TableFormat::Q4), (255, 160, TableFormat::Q8), (31, 32, TableFormat::F16)] {
        for (variant, input) in rarer {
            let size = format!("{rows} × {cols}");
            cases.add(("keys", size, Some(format)), variant, DependsOn::Subgroups, move |lab| {
                keys(lab, format, TableShape { rows, cols }, input, None)
            });
        }
    }
    for (i, slots) in SIZES.into_iter().enumerate() {
        for (j, format) in FORMATS.into_iter().enumerate() {
            for (k, activation) in ACTIVATIONS.into_iter().enumerate() {
                if cases.keeps(i + j + k) {
                    for (variant, qkv) in [("residual", false), ("qkv", true)] {
                        if cases.is_full() || qkv == (i + k).is_multiple_of(2) {
                            let d = if qkv { 160 } else { 96 };
                            let size = format!("{d} × {slots}");
                            let variant = format!("{variant} {activation:?}");
                            cases.add(("values", size, Some(format)), &variant, DependsOn::Subgroups, move |lab| {
                                values(lab, format, (d, slots), activation, qkv, None)
                            });
                        }
                    }
                }
            }
        }
    }
    // The 450M's products, and rows that the smallest workgroup memory holds in two chunks, the last of them shorter.
    let q4 = Some(TableFormat::Q4);
    cases.add(("keys", "3072 × 1024".into(), q4), "layernorm", DependsOn::Subgroups, |lab| {
        keys(lab, TableFormat::Q4, TableShape { rows: 3072, cols: 1024 }, Input::Normalized, None)
    });
    cases.add(("values", "1024 × 4096".into(), q4), "residual", DependsOn::Memory, |lab| {
        values(lab, TableFormat::Q4, (1024, 4096), NormActivation::L2NormGelu, false, None)
    });
    cases.add(("keys", "33 × 2080".into(), q4), "layernorm", DependsOn::Memory, |lab| {
        keys(lab, TableFormat::Q4, TableShape { rows: 33, cols: 2080 }, Input::Normalized, None)
    });
    cases.add(("values", "480 × 2079".into(), Some(TableFormat::Q8)), "qkv Softmax", DependsOn::Memory, |lab| {
        values(lab, TableFormat::Q8, (160, 2079), NormActivation::Softmax, true, None)
    });
    if cases.is_full() {
        cases.add(("values", "1536 × 6144".into(), q4), "residual", DependsOn::Subgroups, |lab| {
            values(lab, TableFormat::Q4, (1536, 6144), NormActivation::L2NormGelu, false, None)
        });
        cases.add(("keys", "50304 × 768".into(), Some(TableFormat::Q8)), "final norm", DependsOn::Subgroups, |lab| {
            keys(lab, TableFormat::Q8, TableShape { rows: 50_304, cols: 768 }, Input::Final, None)
        });
    }
    for (i, tokens) in SIZES.into_iter().enumerate() {
        for (j, format) in FORMATS.into_iter().enumerate() {
            if cases.keeps(i + j) {
                let rows = SIZES[(i + j + 1) % 5];
                let cols = [160, 32, 96][j];
                for (variant, shape) in [
                    ("two tables' parts", (2 * rows + 62, 1, 1, false)),
                    ("residual", (rows, 1, 1, true)),
                    ("three segments", (3 * rows, 3, 1, false)),
                    ("split sum", (rows, 1, 3, false)),
                ] {
                    let (rows, segments, parts, residual) = shape;
                    let size = format!("{tokens} × {rows} × {cols}");
                    cases.add(("matmul", size, Some(format)), variant, DependsOn::Nothing, move |lab| {
                        matmul(lab, format, (tokens, rows, cols), (segments, parts), residual, Way::Floats)
                    });
                }
            }
        }
    }
    for (i, (tokens, most)) in [(1, 2), (2, 2), (3, 4), (5, 8), (8, 8)].into_iter().enumerate() {
        for (j, format) in FORMATS.into_iter().enumerate() {
            let rows = SIZES[(i + j) % 5];
            let cols = [160, 1024, 32, 96][(i + j) % 4];
            for (variant, rows, segments, residual) in [
                ("two tables' parts", 2 * rows + 62, 1, false),
                ("residual", rows, 1, true),
                ("three segments", 3 * rows.next_multiple_of(32), 3, false),
            ] {
                let (size, variant) = (format!("{tokens} × {rows} × {cols}"), format!("{variant}, of {most}"));
                cases.add(("matmul_few", size, Some(format)), &variant, DependsOn::Nothing, move |lab| {
                    matmul(lab, format, (tokens, rows, cols), (segments, 1), residual, Way::Few(most))
                });
            }
        }
    }
    cases.add(("matmul", "65 × 1024 × 1024".into(), q4), "split sum", DependsOn::Nothing, |lab| {
        matmul(lab, TableFormat::Q4, (65, 1024, 1024), (1, 4), false, Way::Floats)
    });
    for slots in SIZES.into_iter().chain([4096]) {
        for activation in ACTIVATIONS {
            let size = format!("2 × 3 × {slots}");
            cases.add(("weights", size, None), &format!("{activation:?}"), DependsOn::Nothing, move |lab| {
                weights(lab, slots, activation)
            });
        }
    }
}

/// `packs`: further rows, in a table of their own.
pub fn keys(
    lab: &mut Lab<'_>,
    format: TableFormat,
    shape: TableShape,
    input: Input,
    packs: Option<usize>,
) -> Result<()> {
    let TableShape { rows, cols } = shape;
    let rows_per_part = if matches!(input, Input::FinalInParts) { (rows / 2).next_multiple_of(2) } else { 1 << 20 };
    let weights = lab.table(format, shape, rows_per_part);
    let packs = packs.map(|tokens| random_f32(lab, TableShape { rows: tokens, cols }));
    let table = &weights.table;
    // The last part of the attention that is used has three positions.
    let (parts, max_parts) = if matches!(input, Input::LongAttention) { (5, MOST_WEIGHTS + 1) } else { (2, 3) };
    let past = (parts - 1) * PART + 2;
    let layout = AttentionParts { max_parts, hidden: cols, head: 32 };
    let h = lab.numbers(3 * cols, 2.0);
    let norm = lab.numbers(2 * cols, 1.0);
    let left = lab.numbers(layout.len(), 1.0);
    let (x, row) = match input {
        Input::Normalized => (math::layer_norm(&h[..cols], cols, EPSILON as f32), 0),
        Input::Final | Input::FinalInParts => {
            let mut x = math::layer_norm(&h[2 * cols..], cols, EPSILON as f32);
            math::scale_and_shift(&mut x, &norm[..cols], &norm[cols..]);
            (x, 2)
        }
        Input::Attention | Input::LongAttention => {
            let stats: Vec<_> = left[layout.max_parts * cols..].chunks_exact(2).map(|s| (s[0], s[1] + 2.0)).collect();
            (math::joined(&left[..parts * cols], &stats[..parts * layout.heads()], (cols, layout.head)), 0)
        }
    };
    let mut left = left;
    left[layout.max_parts * cols..].chunks_exact_mut(2).for_each(|s| s[1] += 2.0);
    let mut wanted = math::product(&x, &weights.values, cols);
    wanted.extend(packs.iter().flat_map(|packs| math::product(&x, &packs.values, cols)));
    let step = lab.step(Step { row, ..Step::new(past, 1) });
    let (h, norm, left, y) = (lab.input(&h), lab.input(&norm), lab.input(&left), lab.output(wanted.len()));
    let x = match input {
        Input::Normalized => KeysInput::Normalized(&h),
        Input::Final | Input::FinalInParts => KeysInput::Final { h: &h, norm: &norm },
        Input::Attention | Input::LongAttention => KeysInput::Attention(&left, layout),
    };
    for part in &table.parts {
        let sharing = Sharing::new(lab.gpu, table, part.rows);
        let packs = packs.as_ref().map(|packs| &packs.table);
        let keys = Keys { table, part, sharing, epsilon: EPSILON, packs };
        lab.run(&keys.dispatch(&KeysBuffers { step: &step, x, y: &y.buffer }))?;
    }
    lab.expect(&y, Wanted::Floats { values: wanted, tolerance: TOLERANCE });
    Ok(())
}

/// `packs`: further tokens of each segment, with scores after those of the base.
pub fn values(
    lab: &mut Lab<'_>,
    format: TableFormat,
    (d, slots): (usize, usize),
    activation: NormActivation,
    qkv: bool,
    packs: Option<usize>,
) -> Result<()> {
    let segments = if qkv { 3 } else { 1 };
    let (cols, past, context) = (padded_slots(slots), 6, 8);
    let weights = lab.table(format, TableShape { rows: segments * d, cols }, 1 << 20);
    // Values of the packs' padding are never used.
    let of_packs = |tokens| TableShape { rows: segments * d, cols: padded_slots(tokens) };
    let packs = packs.map(|tokens| (tokens, random_f32(lab, of_packs(tokens))));
    let scores = lab.numbers(segments * (cols + packs.as_ref().map_or(0, |(tokens, _)| *tokens)), 1.0);
    let y: Vec<f32> = (0..segments)
        .flat_map(|s| {
            let mut row = scores[s * cols..][..slots].to_vec();
            let scale = scale_of(&row);
            math::theta(activation, &mut row);
            row.resize(cols, 0.0);
            let mut y = math::product(&row, &weights.values[s * d * cols..][..d * cols], cols);
            if let Some((tokens, packs)) = &packs {
                let own = gelu_of(&scores[segments * cols + s * tokens..][..*tokens], scale);
                let cols = padded_slots(*tokens);
                let rows = packs.values[s * d * cols..].chunks_exact(cols);
                y.iter_mut().zip(rows).for_each(|(y, row)| *y += math::dot(&own, &row[..*tokens]));
            }
            y
        })
        .collect();
    let (table, part) = (&weights.table, &weights.table.parts[0]);
    let sharing = Sharing::new(lab.gpu, table, segments * d);
    let packs = packs.as_ref().map(|(tokens, packs)| PackValues { table: &packs.table, tokens: *tokens });
    let kernel = Values { table, part, sharing, segment_rows: d, slots, activation, packs };
    let (step, scores) = (lab.step(Step::new(past, 1)), lab.input(&scores));
    if !qkv {
        let before = lab.numbers(d, 1.0);
        let wanted = y.iter().zip(&before).map(|(y, h)| y + h).collect();
        let h = lab.in_out(&before);
        let buffers = ValuesBuffers { step: &step, scores: &scores, y: ValuesOutput::Residual(&h.buffer) };
        lab.run(&kernel.dispatch(&buffers))?;
        lab.expect(&h, Wanted::Floats { values: wanted, tolerance: TOLERANCE });
        return Ok(());
    }
    let rotary = Rotary { head: 80, dims: 20 };
    let (base, head) = (10_000.0, (rotary.head, rotary.dims));
    let angles = lab.input(&rotary.angles(base, context));
    let at = |i: usize| y[i * d..][..d].to_vec();
    let turned = |i: usize| {
        let mut x = at(i);
        math::rotate(&mut x, d, head, base, past);
        math::paired(&x, head)
    };
    let (q, keys, values) = (lab.output(d), lab.output(context * d / 2), lab.output(context * d / 2));
    let y = ValuesOutput::Qkv {
        q: &q.buffer,
        keys: keys.buffer.as_entire_buffer_binding(),
        values: values.buffer.as_entire_buffer_binding(),
        angles: &angles,
        rotary,
    };
    lab.run(&kernel.dispatch(&ValuesBuffers { step: &step, scores: &scores, y }))?;
    lab.expect(&q, Wanted::Floats { values: turned(0), tolerance: TOLERANCE });
    lab.expect_rows(&keys, (past, d), turned(1));
    lab.expect_rows(&values, (past, d), at(2));
    Ok(())
}

pub fn matmul(
    lab: &mut Lab<'_>,
    format: TableFormat,
    (tokens, rows, cols): (usize, usize, usize),
    (segments, parts): (usize, usize),
    residual: bool,
    way: Way,
) -> Result<()> {
    // When a table is cut, each part has an even number of rows.
    let rows_per_part = if segments == 1 && parts == 1 && !residual { (rows / 2).next_multiple_of(2) } else { rows };
    let weights = lab.table(format, TableShape { rows, cols }, rows_per_part);
    product(lab, &weights, tokens, (segments, parts), residual, way)
}

/// X·Wᵀ for this many tokens.
pub fn product(
    lab: &mut Lab<'_>,
    weights: &TableValues,
    tokens: usize,
    (segments, parts): (usize, usize),
    residual: bool,
    way: Way,
) -> Result<()> {
    let TableShape { rows, cols } = weights.table.shape();
    // A sum is split at rounds of this many columns.
    let (round, in_bytes) = match (way, weights.table.quantized()) {
        (Way::Bytes, Some(format)) => {
            (32, Some(byte_rows::rows(lab, tokens, segments * weights.table.groups(), format)))
        }
        _ => (16, None),
    };
    let x = match &in_bytes {
        Some(rows) => rows.values.clone(),
        None => lab.numbers(tokens * segments * cols, 1.0),
    };
    let each = rows / segments;
    let before = lab.numbers(tokens * rows, 1.0);
    let mut wanted = vec![0.0; parts * tokens * rows];
    let rounds = cols / round;
    for part in 0..parts {
        let columns = part * rounds / parts * round..(part + 1) * rounds / parts * round;
        for t in 0..tokens {
            for row in 0..rows {
                let x = &x[(t * segments + row / each) * cols..][..cols];
                let w = &weights.values[row * cols..][..cols];
                let sum = math::product(&x[columns.clone()], &w[columns.clone()], columns.len().max(1));
                wanted[(part * tokens + t) * rows + row] = sum.first().copied().unwrap_or(0.0);
            }
        }
    }
    if residual {
        wanted.iter_mut().zip(&before).for_each(|(y, h)| *y += h);
    }
    let step = lab.step(Step::new(3, tokens));
    let (x, scales) = match &in_bytes {
        Some(rows) => (lab.input(&rows.words), Some(lab.input(&rows.scales))),
        None => (lab.input(&x), None),
    };
    let y = if residual { lab.in_out(&before) } else { lab.output(parts * tokens * rows) };
    for part in &weights.table.parts {
        let kernel = Matmul { table: &weights.table, part, segments, parts, y_stride: rows, residual };
        let shape = lab.uniform(&kernel.shape());
        let buffers = MatmulBuffers { step: &step, x: &x, y: &y.buffer, shape: &shape };
        match (way, &scales) {
            (Way::Few(tokens), _) => lab.run(&MatmulFew { product: kernel, tokens }.dispatch(&buffers))?,
            (Way::Bytes, Some(scales)) => lab.run(&MatmulBytes { product: kernel, scales }.dispatch(&buffers))?,
            _ => lab.run(&kernel.dispatch(&buffers))?,
        }
    }
    lab.expect(&y, Wanted::Floats { values: wanted, tolerance: TOLERANCE });
    Ok(())
}

/// A random table of single precision.
pub fn random_f32(lab: &mut Lab<'_>, shape: TableShape) -> Rc<TableValues> {
    let values = lab.numbers(shape.rows * shape.cols, 0.5);
    lab.f32_table(shape, values)
}

/// gelu(z · scale), element by element.
pub fn gelu_of(values: &[f32], scale: f32) -> Vec<f32> {
    values.iter().map(|z| math::gelu(z * scale)).collect()
}

/// √n / ‖s‖₂ of a row of scores.
pub fn scale_of(row: &[f32]) -> f32 {
    let norm = row.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>().sqrt();
    if norm > 0.0 { ((row.len() as f64).sqrt() / norm) as f32 } else { 0.0 }
}

/// Weights of rows of scores; those of their padding are 0.
pub fn weights_of(scores: &[f32], slots: usize, activation: NormActivation) -> Vec<f32> {
    let cols = padded_slots(slots);
    let of_row = |row: &[f32]| {
        let mut row = row[..slots].to_vec();
        math::theta(activation, &mut row);
        row.resize(cols, 0.0);
        row
    };
    scores.chunks_exact(cols).flat_map(of_row).collect()
}

fn weights(lab: &mut Lab<'_>, slots: usize, activation: NormActivation) -> Result<()> {
    let (tokens, segments, cols) = (2, 3, padded_slots(slots));
    let scores = lab.numbers(tokens * segments * cols, 2.0);
    let wanted = weights_of(&scores, slots, activation);
    let (step, scores) = (lab.step(Step::new(0, tokens)), lab.in_out(&scores));
    let kernel = SlotWeights { activation, segments, slots };
    let buffers = SlotWeightsBuffers { step: &step, scores: &scores.buffer, scales: None, in_bytes: None };
    lab.run(&kernel.dispatch(&buffers))?;
    lab.expect(&scores, Wanted::Floats { values: wanted, tolerance: TOLERANCE });
    Ok(())
}
