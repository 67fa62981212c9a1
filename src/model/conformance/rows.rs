//! Cases of kernels that make rows from rows: `embed`, `layernorm`, `sum_parts`.

use super::case::{Cases, DependsOn, FORMATS, SIZES};
use super::lab::{Lab, Wanted};
use crate::checkpoint::layout::{TableFormat, TableShape};
use crate::error::Result;
use crate::model::kernels::{Embed, EmbedBuffers, LayerNorm, LayerNormBuffers, Step, SumParts, SumPartsBuffers};
use crate::reference::math;

pub const EPSILON: f64 = 1e-5;

pub fn add(cases: &mut Cases) {
    for (i, tokens) in SIZES.into_iter().enumerate() {
        for (j, format) in FORMATS.into_iter().enumerate() {
            if cases.keeps(i + j) {
                let size = format!("{tokens} × 1056 of 70");
                cases.add(("embed", size, Some(format)), "two parts", DependsOn::Nothing, move |lab| {
                    embed(lab, format, tokens, 1056)
                });
            }
        }
    }
    for cols in SIZES.into_iter().chain([160, 1536]) {
        for (variant, is_final) in [("", false), ("final", true)] {
            let size = format!("3 × {cols}");
            cases.add(("layernorm", size, None), variant, DependsOn::Nothing, move |lab| {
                layernorm(lab, 3, cols, is_final)
            });
        }
    }
    for (i, tokens) in SIZES.into_iter().enumerate() {
        for (j, (variant, residual)) in [("", false), ("residual", true)].into_iter().enumerate() {
            let cols = [4, 132, 1024][(i + j) % 3];
            let size = format!("{tokens} × {cols}, 3 parts");
            cases.add(("sum_parts", size, None), variant, DependsOn::Nothing, move |lab| {
                sum_parts(lab, tokens, cols, residual)
            });
        }
    }
}

fn embed(lab: &mut Lab<'_>, format: TableFormat, tokens: usize, cols: usize) -> Result<()> {
    let rows = 70;
    let weights = lab.table(format, TableShape { rows, cols }, 32);
    let ids = lab.random.ids(tokens, rows);
    let wanted = ids.iter().flat_map(|id| weights.values[*id as usize * cols..][..cols].to_vec()).collect();
    let (step, ids, h) = (lab.step(Step::new(5, tokens)), lab.input(&ids), lab.output(tokens * cols));
    for part in &weights.table.parts {
        let buffers = EmbedBuffers { step: &step, ids: &ids, h: &h.buffer };
        lab.run(&Embed { table: &weights.table, part }.dispatch(&buffers))?;
    }
    lab.expect(&h, Wanted::Floats { values: wanted, tolerance: 1e-6 });
    Ok(())
}

/// What LayerNorm is given, and what it is to leave.
pub struct Stream {
    pub step: wgpu::Buffer,
    pub h: wgpu::Buffer,
    pub norm: wgpu::Buffer,
    pub wanted: Vec<f32>,
}

/// Random rows; the final LayerNorm begins with the third.
pub fn stream(lab: &mut Lab<'_>, tokens: usize, cols: usize, is_final: bool) -> Stream {
    let first_row = if is_final { 2 } else { 0 };
    // A common offset must not cost precision.
    let rows: Vec<f32> = lab.numbers((first_row + tokens) * cols, 3.0).iter().map(|x| x + 20.0).collect();
    let norm = lab.numbers(2 * cols, 1.0);
    let mut wanted = math::layer_norm(&rows[first_row * cols..], cols, EPSILON as f32);
    if is_final {
        math::scale_and_shift(&mut wanted, &norm[..cols], &norm[cols..]);
    }
    let step = lab.step(Step { first_row: first_row as u32, ..Step::new(0, tokens) });
    Stream { step, h: lab.input(&rows), norm: lab.input(&norm), wanted }
}

fn layernorm(lab: &mut Lab<'_>, tokens: usize, cols: usize, is_final: bool) -> Result<()> {
    let Stream { step, h, norm, wanted } = stream(lab, tokens, cols, is_final);
    let u = lab.output(tokens * cols);
    let buffers =
        LayerNormBuffers { step: &step, h: &h, u: &u.buffer, norm: is_final.then_some(&norm), in_bytes: None };
    lab.run(&LayerNorm { cols, epsilon: EPSILON }.dispatch(&buffers))?;
    lab.expect(&u, Wanted::Floats { values: wanted, tolerance: 1e-4 });
    Ok(())
}

fn sum_parts(lab: &mut Lab<'_>, tokens: usize, cols: usize, residual: bool) -> Result<()> {
    let (parts, n) = (3, tokens * cols);
    let (x, before) = (lab.numbers(parts * n, 1.0), lab.numbers(n, 1.0));
    let sum = |i: usize| (0..parts).map(|p| x[p * n + i]).sum::<f32>() + if residual { before[i] } else { 0.0 };
    let wanted = (0..n).map(sum).collect();
    let (step, x) = (lab.step(Step::new(0, tokens)), lab.input(&x));
    let y = if residual { lab.in_out(&before) } else { lab.output(n) };
    let buffers = SumPartsBuffers { step: &step, parts: &x, y: &y.buffer };
    lab.run(&SumParts { cols, parts, residual }.dispatch(&buffers))?;
    lab.expect(&y, Wanted::Floats { values: wanted, tolerance: 1e-6 });
    Ok(())
}
