//! Cases of the kernels for products of bytes: `rows_in_bytes`, `matmul_bytes`.

use super::case::{Cases, DependsOn, SIZES};
use super::lab::{Lab, Wanted};
use super::pattention::{Way, matmul};
use crate::checkpoint::layout::TableFormat;
use crate::config::GROUP_SIZE;
use crate::error::Result;
use crate::model::kernels::{RowsInBytes, RowsInBytesBuffers, Step};

const FORMATS: [TableFormat; 2] = [TableFormat::Q4, TableFormat::Q8];
/// The largest value of a group, in units of its scale.
const UNITS: i32 = 127 * 256;

pub fn add(cases: &mut Cases) {
    for (i, tokens) in SIZES.into_iter().enumerate() {
        for (j, format) in FORMATS.into_iter().enumerate() {
            let groups = [1, 33, 5][(i + j) % 3];
            let size = format!("{tokens} × {}", groups * GROUP_SIZE);
            cases.add(("rows_in_bytes", size, Some(format)), "", DependsOn::Nothing, move |lab| {
                rows_in_bytes(lab, tokens, groups, format)
            });
            if !cases.keeps(i + 2 * j) {
                continue;
            }
            let (rows, cols) = (SIZES[(i + j + 1) % 5], [160, 96][j]);
            for (variant, rows, segments, parts, residual) in [
                ("two tables' parts", 2 * rows + 62, 1, 1, false),
                ("residual", rows, 1, 1, true),
                ("three segments", 3 * rows, 3, 1, false),
                ("split sum", rows, 1, 2, false),
            ] {
                let size = format!("{tokens} × {rows} × {cols}");
                cases.add(("matmul_bytes", size, Some(format)), variant, DependsOn::Nothing, move |lab| {
                    matmul(lab, format, (tokens, rows, cols), (segments, parts), residual, Way::Bytes)
                });
            }
        }
    }
    let q4 = TableFormat::Q4;
    cases.add(("matmul_bytes", "65 × 1024 × 1024".into(), Some(q4)), "split sum", DependsOn::Nothing, move |lab| {
        matmul(lab, q4, (65, 1024, 1024), (1, 4), false, Way::Bytes)
    });
}

/// Rows whose values are multiples of their groups' scales.
pub struct Rows {
    /// The values, [rows, groups · 32].
    pub values: Vec<f32>,
    /// The same as the kernels read them: [rows, groups, 16] and [rows, groups].
    pub words: Vec<u32>,
    pub scales: Vec<f32>,
}

/// Random rows for products with a table of this format.
pub fn rows(lab: &mut Lab<'_>, rows: usize, groups: usize, format: TableFormat) -> Rows {
    let mut out = Rows { values: Vec::new(), words: Vec::new(), scales: Vec::new() };
    for group in 0..rows * groups {
        let scale = (-15.0 - (group % 4) as f32).exp2();
        let mut units: Vec<i32> = lab.numbers(GROUP_SIZE, UNITS as f32).iter().map(|x| x.round() as i32).collect();
        // One of them is the largest possible one, which makes the scale what it is; and a group may be zero.
        units[group * 7 % GROUP_SIZE] = if group % 2 == 0 { UNITS } else { -UNITS };
        if group % 11 == 3 {
            units.fill(0);
        }
        let coarse: Vec<i32> = units.iter().map(|n| (n + 128) >> 8).collect();
        let fine: Vec<i32> = units.iter().zip(&coarse).map(|(n, coarse)| n - coarse * 256).collect();
        for part in [coarse, fine] {
            out.words.extend((0..8).map(|slot| {
                u32::from_le_bytes(std::array::from_fn(|i| part[column_in_slot(format, slot, i)].to_le_bytes()[0]))
            }));
        }
        out.scales.push(if units.iter().all(|n| *n == 0) { 0.0 } else { scale });
        out.values.extend(units.iter().map(|n| *n as f32 * scale));
    }
    out
}

/// As `shaders/group.wgsl` has it.
fn column_in_slot(format: TableFormat, slot: usize, i: usize) -> usize {
    if format == TableFormat::Q4 { slot / 2 * 8 + slot % 2 + 2 * i } else { 4 * slot + i }
}

fn rows_in_bytes(lab: &mut Lab<'_>, tokens: usize, groups: usize, format: TableFormat) -> Result<()> {
    let Rows { values, words, scales } = rows(lab, tokens, groups, format);
    lab.step(Step::new(0, tokens));
    let (x, bytes, out) = (lab.input(&values), lab.output(words.len()), lab.output(scales.len()));
    let buffers = RowsInBytesBuffers { x: &x, bytes: &bytes.buffer, scales: &out.buffer };
    lab.run(&RowsInBytes { groups, format }.dispatch(&buffers))?;
    lab.expect_words(&bytes, words.into_iter().map(Some).collect());
    lab.expect(&out, Wanted::Floats { values: scales, tolerance: 1e-6 });
    Ok(())
}
