//! Random rows as the kernels for products of bytes read them.

use super::lab::Lab;
use crate::checkpoint::layout::TableFormat;
use crate::config::GROUP_SIZE;

/// The largest value of a group, in units of its scale.
const UNITS: i32 = 127 * 256;

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
