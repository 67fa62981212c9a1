//! Several texts at once.

use super::*;
use crate::engine::{Row, Text};
use crate::generate::Model;
use crate::generate::tests::several::check_several;
use crate::model::kernels::layers::Arithmetic;
use crate::model::tails::LEAST;
use crate::sampling::{Dry, SamplingOptions};

fn check(gpu: &Rc<Gpu>, json: &str, quantization: Quantization, tokens: usize) {
    let (model, _) = pollster::block_on(build(gpu, &config(json), quantization, 300));
    let mut model = Model::new(model, None).expect("model");
    check_several(&mut model, 3); // what a single text leaves for the next one is there then
    let before = gpu.memory.bytes();
    check_several(&mut model, tokens);
    assert_eq!(gpu.memory.bytes(), before, "what several texts took is free again");
}

#[test]
fn each_of_several_texts_is_what_it_is_alone() {
    let least = gpu(&GpuOptions { default_limits: true, ..Default::default() });
    // Longer than the smallest capacity of a tail, so that it grows.
    check(&least, UNEVEN, Quantization::Q4, LEAST + 12);
    if let Some(gpu) = gpu_with_subgroups() {
        check(&gpu, UNEVEN, Quantization::F16, if is_full() { 30 } else { 12 });
    }
    // A browser's tests write several on a software GPU in the short tier, too.
    if is_full() {
        check(&gpu_that_is(true, &GpuOptions::default()), UNEVEN, Quantization::Q8, 30);
    }
}

#[test]
fn each_of_several_texts_has_options_of_its_own() {
    const STEPS: usize = 24;
    let gpu = gpu(&GpuOptions { default_limits: true, ..Default::default() });
    let mut c = config(UNEVEN);
    (c.num_layers, c.padded_vocab_size) = (1, 277);
    let (mut engine, _) = pollster::block_on(build(&gpu, &c, Quantization::Q8, 100));
    let prompt = ids(20, 277);
    let base =
        SamplingOptions { temperature: 1.0, top_p: 1.0, seed: 7, logit_bias: vec![(0, -1e4)], ..Default::default() };
    let dry = Dry { multiplier: 2.0, allowed_length: 1, ..Dry::default() };
    let all = [
        SamplingOptions { temperature: 0.0, ..base.clone() },
        SamplingOptions { temperature: 0.0, dry: dry.clone(), ..base.clone() },
        SamplingOptions { top_k: 7, seed: 8, penalty_range: 3, repetition_penalty: 1.5, ..base.clone() },
        SamplingOptions { top_p: 0.6, dry, first: Some((0..277).map(|id| id % 9 == 1).collect()), ..base.clone() },
        SamplingOptions { temperature: 0.0, logit_bias: vec![(12, 30.0)], frequency_penalty: 9.0, ..base },
    ];
    pollster::block_on(async {
        let mut wanted = Vec::new();
        for options in &all {
            engine.truncate(0);
            engine.begin_choosing(options, Text::after(&prompt), 277, false);
            engine.choose_after(&prompt).await.expect("a step");
            let mut tokens = vec![engine.chosen().await.expect("a token").id];
            while tokens.len() < STEPS {
                engine.choose_next().await.expect("a step");
                tokens.push(engine.chosen().await.expect("a token").id);
            }
            engine.stop_choosing();
            wanted.push(tokens);
        }
        engine.truncate(prompt.len() - 1);
        assert_eq!(write(&mut engine, &prompt, &all, &[STEPS / 3, STEPS]).await, wanted);
    });
}

/// Tokens of texts that continue from the last token of `prompt`, the rest of which is in the engine's cache, each with
/// its own options. At each number in `stops` they are restarted in another order.
async fn write(engine: &mut GpuModel, prompt: &[u32], all: &[SamplingOptions], stops: &[usize]) -> Vec<Vec<u32>> {
    let row = |(place, options): (usize, &SamplingOptions)| Row {
        place,
        tail: prompt[prompt.len() - 1..].to_vec(),
        options: options.clone(),
        prompt: prompt.to_vec(),
        ..Row::default()
    };
    let mut rows: Vec<Row> = all.iter().enumerate().map(row).collect();
    let mut tokens = vec![Vec::new(); rows.len()];
    let mut taken = 0;
    for &until in stops {
        engine.begin_rows(&rows, engine.config().padded_vocab_size, false).await.expect("room");
        let mut made = taken;
        let start = tokens[0].len();
        while taken < until {
            while made < until && made - taken < engine.rows_ahead() {
                engine.step_rows().await.expect("a step");
                made += 1;
            }
            let chosen = engine.chosen_rows().await.expect("tokens");
            rows.iter().zip(chosen).for_each(|(row, chosen)| tokens[row.place].push(chosen.id));
            taken += 1;
        }
        engine.stop_rows();
        rows = rows.iter().rev().map(|row| row.after(&tokens[row.place][start..])).collect();
    }
    tokens
}

/// Where workgroups run one after the other, only a single workgroup can work with values of its own dispatch.
const ALONE: Team =
    Team { workgroups: 1, threads: 128, spin_limit: 1 << 10, arithmetic: Arithmetic::F32, subgroups: true };

#[test]
fn persistent_workgroups_write_each_text_as_it_is_alone() {
    if !is_full() {
        return; // software GPUs take minutes to compile these
    }
    let least = Some(gpu(&GpuOptions::default()));
    let subgroups = gpu_with_subgroups();
    let packed = Team { arithmetic: Arithmetic::Int8, ..ALONE };
    let cases = [
        (&subgroups, Quantization::Q4, packed),
        (&least, Quantization::Q8, ALONE),
        (&least, Quantization::Q4, packed),
        (&subgroups, Quantization::F16, Team { threads: 256, ..ALONE }),
    ];
    for (gpu, quantization, team) in cases {
        let Some(gpu) = gpu else { continue };
        let (mut model, _) = pollster::block_on(build(gpu, &config(UNEVEN), quantization, 300));
        assert!(pollster::block_on(model.employ(team)).expect("kernel"));
        model.trust_several_team(8);
        let mut model = Model::new(model, None).expect("model");
        check_several(&mut model, 20);
        assert!(model.backend_mut().several_teams.trusts(team, 8), "{team:?} timed out");
    }
}

#[test]
fn workgroups_of_several_texts_write_the_same_and_leave_no_trace_when_they_time_out() {
    const STEPS: usize = 12;
    let gpu = gpu(&GpuOptions::default());
    let mut c = config(UNEVEN);
    c.num_layers = 1;
    let (mut engine, _) = pollster::block_on(build(&gpu, &c, Quantization::Q4, 100));
    let prompt = ids(20, 333);
    let base = SamplingOptions { logit_bias: vec![(0, -1e4)], frequency_penalty: 0.5, ..Default::default() };
    let all = [5, 6].map(|seed| SamplingOptions { seed, ..base.clone() });
    pollster::block_on(async {
        engine.forward(&prompt[..19], Logits::None).await.expect("a prompt");
        let wanted = write(&mut engine, &prompt, &all, &[STEPS]).await;
        // One workgroup, which waits for no other, and three that wait for each other but run one after the other.
        let alone = Team { subgroups: false, ..ALONE };
        for (team, works) in [(alone, true), (Team { workgroups: 3, spin_limit: 4, ..alone }, false)] {
            assert!(engine.employ(team).await.expect("kernel"));
            engine.trust_several_team(2);
            assert_eq!(write(&mut engine, &prompt, &all, &[STEPS / 2, STEPS]).await, wanted, "{team:?}");
            assert_eq!(engine.several_teams.trusts(team, 2), works);
        }
        if is_full() {
            // A trial that times out leaves no trace either, and they are not used afterwards.
            engine.several_teams = Default::default();
            assert_eq!(write(&mut engine, &prompt, &all, &[STEPS / 2, STEPS]).await, wanted);
            assert!(engine.several.persistent.is_none() && engine.team().is_some());
        }
    });
}
