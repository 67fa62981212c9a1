//! Cases of the kernels of the attention: `append`, `attention_decode`, `attention_prefill`.

use super::case::{Cases, DependsOn, SIZES};
use super::lab::{DIRT, Lab, Wanted};
use crate::error::Result;
use crate::model::kernels::attention_parts::{AttentionParts, PART};
use crate::model::kernels::{
    Append, AppendBuffers, AttentionDecode, AttentionDecodeBuffers, AttentionPrefill, AttentionPrefillBuffers, Rotary,
    Step,
};
use crate::reference::math;

/// Exponentials of a GPU, and sums in another order.
const TOLERANCE: f64 = 2e-4;
/// Columns, dimensions of a head, and of these rotated: published shapes' heads and the smallest.
const HEADS: [(usize, usize, usize); 4] = [(128, 64, 16), (160, 80, 20), (192, 96, 24), (32, 8, 2)];

pub fn add(cases: &mut Cases) {
    for (i, tokens) in SIZES.into_iter().enumerate() {
        for (j, shape) in HEADS.into_iter().enumerate() {
            if !cases.is_full() && (i + j) % 4 > 1 {
                continue;
            }
            let (d, head, _) = shape;
            let size = format!("{tokens} × {d}, heads of {head}");
            cases.add(("append", size.clone(), None), "", DependsOn::Nothing, move |lab| append(lab, tokens, shape));
            for past in [0, 17] {
                let variant = format!("after {past}");
                cases.add(("attention_prefill", size.clone(), None), &variant, DependsOn::Nothing, move |lab| {
                    prefill(lab, (past, tokens), shape)
                });
            }
            let length = format!("{tokens} × {d}, heads of {head}");
            cases.add(("attention_decode", length, None), "", DependsOn::Subgroups, move |lab| {
                decode(lab, tokens, shape)
            });
        }
    }
    for length in [PART, PART + 1, 2048] {
        let size = format!("{length} × 1024, heads of 64");
        cases.add(("attention_decode", size, None), "", DependsOn::Subgroups, move |lab| {
            decode(lab, length, (1024, 64, 16))
        });
    }
}

fn append(lab: &mut Lab<'_>, tokens: usize, (d, head, dims): (usize, usize, usize)) -> Result<()> {
    let (past, base) = (5, 10_000.0);
    let context = past + tokens + 2;
    let rotary = Rotary { head, dims };
    let qkv = lab.numbers(tokens * 3 * d, 1.0);
    let column =
        |which: usize| -> Vec<f32> { (0..tokens).flat_map(|t| qkv[(t * 3 + which) * d..][..d].to_vec()).collect() };
    let turned = |which: usize| {
        let mut x = column(which);
        math::rotate(&mut x, d, (head, dims), base, past);
        math::paired(&x, (head, dims))
    };
    let (step, input) = (lab.step(Step::new(past, tokens)), lab.input(&qkv));
    let angles = lab.input(&rotary.angles(base, context));
    let (q, keys, values) = (lab.output(tokens * d), lab.output(context * d / 2), lab.output(context * d / 2));
    let buffers = AppendBuffers {
        step: &step,
        qkv: &input,
        q: &q.buffer,
        keys: keys.buffer.as_entire_buffer_binding(),
        values: values.buffer.as_entire_buffer_binding(),
        angles: &angles,
    };
    lab.run(&Append { hidden: d, rotary }.dispatch(&buffers))?;
    lab.expect(&q, Wanted::Floats { values: turned(0), tolerance: 1e-5 });
    lab.expect_rows(&keys, (past, d), turned(1));
    lab.expect_rows(&values, (past, d), column(2));
    Ok(())
}

fn decode(lab: &mut Lab<'_>, length: usize, (d, head, _): (usize, usize, usize)) -> Result<()> {
    let parts = AttentionParts { max_parts: length.div_ceil(PART) + 1, hidden: d, head };
    let q = lab.numbers(d, 3.0);
    let (keys, values) = (lab.halves(length * d, 1.0), lab.halves(length * d, 1.0));
    // Parts of a longer context are left alone.
    let mut wanted = vec![f32::from_bits(DIRT); parts.len()];
    for part in 0..length.div_ceil(PART) {
        let rows = part * PART * d..((part + 1) * PART).min(length) * d;
        for h in 0..parts.heads() {
            let dims = h * head..(h + 1) * head;
            let scores = math::scores(&q, &keys[rows.clone()], d, dims.clone());
            let highest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let weights: Vec<f32> = scores.iter().map(|s| (s - highest).exp()).collect();
            for i in dims {
                let column = values[rows.clone()].iter().skip(i).step_by(d);
                wanted[part * d + i] = weights.iter().zip(column).map(|(w, v)| w * v).sum();
            }
            let stats = parts.max_parts * d + (part * parts.heads() + h) * 2;
            (wanted[stats], wanted[stats + 1]) = (highest, weights.iter().sum());
        }
    }
    let step = lab.step(Step::new(length - 1, 1));
    let (q, keys, values) = (lab.input(&q), lab.input_halves(&keys), lab.input_halves(&values));
    let out = lab.output(parts.len());
    let buffers = AttentionDecodeBuffers {
        step: &step,
        q: &q,
        keys: keys.as_entire_buffer_binding(),
        values: values.as_entire_buffer_binding(),
        parts: &out.buffer,
    };
    let subgroups = lab.gpu.has_subgroups();
    lab.run(&AttentionDecode { parts, subgroups }.dispatch(&buffers))?;
    lab.expect(&out, Wanted::Floats { values: wanted, tolerance: TOLERANCE });
    Ok(())
}

fn prefill(lab: &mut Lab<'_>, (past, tokens): (usize, usize), (d, head, _): (usize, usize, usize)) -> Result<()> {
    let q = lab.numbers(tokens * d, 3.0);
    let length = past + tokens;
    let (keys, values) = (lab.halves(length * d, 1.0), lab.halves(length * d, 1.0));
    let wanted = math::attention(&q, &keys, &values, (d, head), past);
    let step = lab.step(Step::new(past, tokens));
    let (q, keys, values) = (lab.input(&q), lab.input_halves(&keys), lab.input_halves(&values));
    let out = lab.output(tokens * d);
    let buffers = AttentionPrefillBuffers {
        step: &step,
        q: &q,
        keys: keys.as_entire_buffer_binding(),
        values: values.as_entire_buffer_binding(),
        out: &out.buffer,
    };
    lab.run(&AttentionPrefill { hidden: d, head }.dispatch(&buffers))?;
    lab.expect(&out, Wanted::Floats { values: wanted, tolerance: TOLERANCE });
    Ok(())
}
