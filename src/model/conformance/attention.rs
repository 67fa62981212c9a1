//! Cases of the kernels of the attention: `append`, `attention_decode`, `attention_join`, `attention_prefill`.

use super::case::{Cases, DependsOn, SIZES};
use super::lab::{DIRT, Lab, Wanted};
use crate::engine::MOST_ROWS;
use crate::error::Result;
use crate::model::kernels::attention_parts::{AttentionParts, PART};
use crate::model::kernels::{
    Append, AppendBuffers, AttentionDecode, AttentionDecodeBuffers, AttentionJoin, AttentionJoinBuffers,
    AttentionPrefill, AttentionPrefillBuffers, Rotary, Step, TailRanges, TextStep,
};
use crate::reference::math;

/// Exponentials of a GPU, and sums in another order.
const TOLERANCE: f64 = 2e-4;
/// Columns, dimensions of a head, and how many of these are rotated: heads of the published shapes and the smallest.
const HEADS: [(usize, usize, usize); 4] = [(128, 64, 16), (160, 80, 20), (192, 96, 24), (32, 8, 2)];

pub fn add(cases: &mut Cases) {
    for (i, tokens) in SIZES.into_iter().enumerate() {
        for (j, shape) in HEADS.into_iter().enumerate() {
            if !cases.is_full() && (i + j) % 4 > 1 {
                continue;
            }
            let (d, head, _) = shape;
            let size = format!("{tokens} × {d}, heads of {head}");
            cases.add(("append", size.clone(), None), "", DependsOn::Nothing, move |lab| {
                append(lab, (5, tokens), None, shape)
            });
            for past in [0, 17] {
                let variant = format!("after {past}");
                cases.add(("attention_prefill", size.clone(), None), &variant, DependsOn::Memory, move |lab| {
                    prefill(lab, (past, tokens), None, shape)
                });
            }
            let length = format!("{tokens} × {d}, heads of {head}");
            cases.add(("attention_decode", length, None), "", DependsOn::Subgroups, move |lab| {
                decode(lab, tokens, shape)
            });
        }
    }
    for (i, texts) in [&[1, 30, 64, 2][..], &[33, 100], &[70, 1, 1, 31]].into_iter().enumerate() {
        let shape @ (d, head, _) = HEADS[i];
        let size = format!("{texts:?} × {d}, heads of {head}");
        cases.add(("append", size.clone(), None), "texts together", DependsOn::Nothing, move |lab| {
            append(lab, (0, texts.iter().sum()), Some(texts), shape)
        });
        cases.add(("attention_prefill", size, None), "texts together", DependsOn::Memory, move |lab| {
            prefill(lab, (0, texts.iter().sum()), Some(texts), shape)
        });
    }
    // Tokens that the texts share, and tokens of each text, including the step's.
    let texts: [(usize, &[usize]); 4] =
        [(0, &[1, 3]), (1, &[31, 1, 2]), (PART - 1, &[1, 2, 3, 33]), (150, &[7; MOST_ROWS])];
    for (i, (common, tails)) in texts.into_iter().enumerate() {
        let shape @ (d, head, _) = HEADS[i];
        let size = format!("{common} + {tails:?} × {d}, heads of {head}");
        cases.add(("append", size.clone(), None), "several texts", DependsOn::Nothing, move |lab| {
            append_several(lab, (common, tails), shape)
        });
        cases.add(("attention_decode", size.clone(), None), "several texts", DependsOn::Subgroups, move |lab| {
            decode_several(lab, (common, tails), (d, head))
        });
        cases.add(("attention_join", size, None), "", DependsOn::Nothing, move |lab| {
            join(lab, (common, tails), (d, head))
        });
    }
    for length in [PART, PART + 1, 2048] {
        let size = format!("{length} × 1024, heads of 64");
        cases.add(("attention_decode", size, None), "", DependsOn::Subgroups, move |lab| {
            decode(lab, length, (1024, 64, 16))
        });
    }
}

/// For texts of these lengths one after another, for each token the number of its text's first one.
fn starts_of(texts: &[usize]) -> Vec<u32> {
    let mut starts = Vec::new();
    texts.iter().for_each(|tokens| starts.resize(starts.len() + tokens, starts.len() as u32));
    starts
}

/// Appends one text, or with `together` texts of these lengths.
fn append(
    lab: &mut Lab<'_>,
    (past, tokens): (usize, usize),
    together: Option<&[usize]>,
    (d, head, dims): (usize, usize, usize),
) -> Result<()> {
    let (context, base, rotary) = (past + tokens + 2, 10_000.0, Rotary { head, dims });
    let starts = together.map_or(vec![0; tokens], starts_of);
    let qkv = lab.numbers(tokens * 3 * d, 1.0);
    let row = |t: usize, which: usize| qkv[(t * 3 + which) * d..][..d].to_vec();
    let turned = |which: usize| -> Vec<f32> {
        let turn = |(t, start): (usize, &u32)| {
            let mut x = row(t, which);
            math::rotate(&mut x, d, (head, dims), base, past + t - *start as usize);
            math::paired(&x, (head, dims))
        };
        starts.iter().enumerate().flat_map(turn).collect()
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
    let (kernel, firsts) = (Append { hidden: d, rotary }, lab.input(&starts));
    let dispatch = match together {
        None => kernel.dispatch(&buffers),
        Some(_) => kernel.dispatch_together(&buffers, &firsts),
    };
    lab.run(&dispatch)?;
    lab.expect(&q, Wanted::Floats { values: turned(0), tolerance: 1e-5 });
    lab.expect_rows(&keys, (past, d), turned(1));
    lab.expect_rows(&values, (past, d), (0..tokens).flat_map(|t| row(t, 2)).collect());
    Ok(())
}

fn decode(lab: &mut Lab<'_>, length: usize, (d, head, _): (usize, usize, usize)) -> Result<()> {
    let parts = AttentionParts { max_parts: length.div_ceil(PART) + 1, hidden: d, head };
    let q = lab.numbers(d, 3.0);
    let (keys, values) = (lab.halves(length * d, 1.0), lab.halves(length * d, 1.0));
    let wanted = parts_of(&q, (&keys, &values), parts);
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

/// The output of `attention_decode`. Parts of a longer context stay untouched.
fn parts_of(q: &[f32], (keys, values): (&[f32], &[f32]), parts: AttentionParts) -> Vec<f32> {
    let (d, head, length) = (parts.hidden, parts.head, keys.len() / parts.hidden);
    let mut wanted = vec![f32::from_bits(DIRT); parts.len()];
    for part in 0..length.div_ceil(PART) {
        let rows = part * PART * d..((part + 1) * PART).min(length) * d;
        for h in 0..parts.heads() {
            let dims = h * head..(h + 1) * head;
            let scores = math::scores(q, &keys[rows.clone()], d, dims.clone());
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
    wanted
}

/// Texts with a shared prefix of `common` tokens and tails of these lengths, and where the tails are: not in the texts'
/// order.
fn text_steps(lab: &mut Lab<'_>, common: usize, tails: &[usize]) -> (wgpu::Buffer, Vec<usize>) {
    let longest = tails.iter().copied().max().unwrap_or(0) + 1;
    let starts: Vec<usize> = (0..tails.len()).map(|text| (tails.len() - 1 - text) * longest).collect();
    let step = |(tail, start): (&usize, &usize)| {
        let (in_common, tail, past) = (common as u32, *start as u32, common + tail - 1);
        TextStep::from(Step { in_common, tail, ..Step::new(past, 1) })
    };
    let mut steps: Vec<TextStep> = tails.iter().zip(&starts).map(step).collect();
    steps.resize(MOST_ROWS, TextStep::from(Step::default()));
    let steps: [TextStep; MOST_ROWS] = std::array::from_fn(|i| steps[i]);
    (lab.uniform(&steps), starts)
}

fn append_several(
    lab: &mut Lab<'_>,
    (common, tails): (usize, &[usize]),
    (d, head, dims): (usize, usize, usize),
) -> Result<()> {
    let (base, rotary, tokens) = (10_000.0, Rotary { head, dims }, tails.len());
    let qkv = lab.numbers(tokens * 3 * d, 1.0);
    let (steps, starts) = text_steps(lab, common, tails);
    let turned = |text: usize, which: usize| {
        let mut x = qkv[(text * 3 + which) * d..][..d].to_vec();
        math::rotate(&mut x, d, (head, dims), base, common + tails[text] - 1);
        math::paired(&x, (head, dims))
    };
    let (step, input) = (lab.step(Step::new(0, tokens)), lab.input(&qkv));
    let context = common + tails.iter().max().unwrap_or(&0);
    let angles = lab.input(&rotary.angles(base, context));
    let words = (starts[0] + tails.iter().max().unwrap_or(&0) + 1) * d / 2;
    let (q, keys, values) = (lab.output(tokens * d), lab.output(words), lab.output(words));
    let unused = lab.input(&[0u32]);
    let buffers = AppendBuffers {
        step: &step,
        qkv: &input,
        q: &q.buffer,
        keys: unused.as_entire_buffer_binding(),
        values: unused.as_entire_buffer_binding(),
        angles: &angles,
    };
    let places = TailRanges {
        steps: &steps,
        keys: keys.buffer.as_entire_buffer_binding(),
        values: values.buffer.as_entire_buffer_binding(),
    };
    lab.run(&Append { hidden: d, rotary }.dispatch_several(buffers, &places))?;
    let queries = (0..tokens).flat_map(|text| turned(text, 0)).collect();
    lab.expect(&q, Wanted::Floats { values: queries, tolerance: 1e-5 });
    let rows = |of: &dyn Fn(usize) -> Vec<f32>| -> Vec<(usize, Vec<f32>)> {
        (0..tokens).map(|text| ((starts[text] + tails[text] - 1) * d / 2, of(text))).collect()
    };
    lab.expect_halves(&keys, vec![DIRT; words], rows(&|text| turned(text, 1)));
    lab.expect_halves(&values, vec![DIRT; words], rows(&|text| qkv[(text * 3 + 2) * d..][..d].to_vec()));
    Ok(())
}

fn decode_several(lab: &mut Lab<'_>, (common, tails): (usize, &[usize]), (d, head): (usize, usize)) -> Result<()> {
    let longest = common + tails.iter().max().unwrap_or(&0);
    let parts = AttentionParts { max_parts: longest.div_ceil(PART) + 1, hidden: d, head };
    let (steps, starts) = text_steps(lab, common, tails);
    let tail_rows = starts[0] + tails.iter().max().unwrap_or(&0) + 1;
    let q = lab.numbers(tails.len() * d, 3.0);
    let [keys, values] = [0; 2].map(|_| lab.halves((common + 1) * d, 1.0));
    let [tail_keys, tail_values] = [0; 2].map(|_| lab.halves(tail_rows * d, 1.0));
    let mut wanted = Vec::new();
    for (text, (tail, start)) in tails.iter().zip(&starts).enumerate() {
        let own = |shared: &[f32], own: &[f32]| [&shared[..common * d], &own[start * d..(start + tail) * d]].concat();
        let (keys, values) = (own(&keys, &tail_keys), own(&values, &tail_values));
        wanted.extend(parts_of(&q[text * d..][..d], (&keys, &values), parts));
        wanted.resize((text + 1) * parts.stride(), f32::from_bits(DIRT));
    }
    let out = lab.output(wanted.len());
    let (step, q) = (lab.step(Step::new(longest - 1, tails.len())), lab.input(&q));
    let [keys, values, tail_keys, tail_values] = [keys, values, tail_keys, tail_values].map(|x| lab.input_halves(&x));
    let buffers = AttentionDecodeBuffers {
        step: &step,
        q: &q,
        keys: keys.as_entire_buffer_binding(),
        values: values.as_entire_buffer_binding(),
        parts: &out.buffer,
    };
    let places = TailRanges {
        steps: &steps,
        keys: tail_keys.as_entire_buffer_binding(),
        values: tail_values.as_entire_buffer_binding(),
    };
    let kernel = AttentionDecode { parts, subgroups: lab.gpu.has_subgroups() };
    lab.run(&kernel.dispatch_several(&buffers, &places))?;
    lab.expect(&out, Wanted::Floats { values: wanted, tolerance: TOLERANCE });
    Ok(())
}

fn join(lab: &mut Lab<'_>, (common, tails): (usize, &[usize]), (d, head): (usize, usize)) -> Result<()> {
    let longest = common + tails.iter().max().unwrap_or(&0);
    let parts = AttentionParts { max_parts: longest.div_ceil(PART) + 1, hidden: d, head };
    let (steps, _) = text_steps(lab, common, tails);
    let mut left = lab.numbers(tails.len() * parts.stride(), 1.0);
    let mut wanted = Vec::new();
    for (left, tail) in left.chunks_exact_mut(parts.stride()).zip(tails) {
        let (sums, stats) = left.split_at_mut(parts.max_parts * d);
        stats.chunks_exact_mut(2).for_each(|s| s[1] += 2.0);
        let used = (common + tail).div_ceil(PART);
        let stats: Vec<_> = stats.chunks_exact(2).map(|s| (s[0], s[1])).collect();
        wanted.extend(math::joined(&sums[..used * d], &stats[..used * parts.heads()], (d, head)));
    }
    lab.step(Step::new(longest - 1, tails.len()));
    let (left, u) = (lab.input(&left), lab.output(wanted.len()));
    let buffers = AttentionJoinBuffers { steps: &steps, parts: &left, u: &u.buffer };
    lab.run(&AttentionJoin { parts }.dispatch(&buffers))?;
    lab.expect(&u, Wanted::Floats { values: wanted, tolerance: TOLERANCE });
    Ok(())
}

/// Attention of one text, or with `together` of texts of these lengths, after nothing.
fn prefill(
    lab: &mut Lab<'_>,
    (past, tokens): (usize, usize),
    together: Option<&[usize]>,
    (d, head, _): (usize, usize, usize),
) -> Result<()> {
    let q = lab.numbers(tokens * d, 3.0);
    let length = past + tokens;
    let (keys, values) = (lab.halves(length * d, 1.0), lab.halves(length * d, 1.0));
    let mut wanted = Vec::new();
    match together {
        None => wanted = math::attention(&q, &keys, &values, (d, head), past),
        Some(texts) => texts.iter().for_each(|count| {
            let own = wanted.len()..wanted.len() + count * d;
            wanted.extend(math::attention(&q[own.clone()], &keys[own.clone()], &values[own], (d, head), 0));
        }),
    }
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
    let kernel = AttentionPrefill::new(lab.gpu, d, head);
    let firsts = lab.input(&together.map(starts_of).unwrap_or_default());
    let dispatch = match together {
        None => kernel.dispatch(&buffers),
        Some(_) => kernel.dispatch_together(&buffers, &firsts),
    };
    lab.run(&dispatch)?;
    lab.expect(&out, Wanted::Floats { values: wanted, tolerance: TOLERANCE });
    Ok(())
}
