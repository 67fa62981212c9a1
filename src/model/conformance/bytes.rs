//! Cases of the kernels for products of bytes: `rows_in_bytes`, `matmul_bytes`.

use super::byte_rows::{Rows, rows};
use super::case::{Cases, DependsOn, SIZES};
use super::lab::{Lab, Wanted};
use super::pattention::{Way, matmul};
use crate::checkpoint::layout::TableFormat;
use crate::config::GROUP_SIZE;
use crate::error::Result;
use crate::model::kernels::{RowsInBytes, RowsInBytesBuffers, Step};

const FORMATS: [TableFormat; 2] = [TableFormat::Q4, TableFormat::Q8];

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
