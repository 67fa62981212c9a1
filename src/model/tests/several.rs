//! Several texts at once.

use super::*;
use crate::engine::{Row, Text};
use crate::generate::Model;
use crate::generate::tests::several::check_several;
use crate::model::several::LEAST;
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
    // Longer than the least room of a tail, so that it grows.
    check(&least, UNEVEN, Quantization::Q4, LEAST + 12);
    check(&gpu_that_is(true, &GpuOptions::default()), UNEVEN, Quantization::Q8, 30);
    if let Some(gpu) = gpu_with_subgroups() {
        check(&gpu, UNEVEN, Quantization::F16, 30);
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
        let row = |(place, options): (usize, &SamplingOptions)| Row {
            place,
            tail: prompt[19..].to_vec(),
            options: options.clone(),
            prompt: prompt.clone(),
            ..Row::default()
        };
        let mut rows: Vec<Row> = all.iter().enumerate().map(row).collect();
        let mut tokens = vec![Vec::new(); rows.len()];
        // In two goes, of which the second has the texts in another order.
        let mut taken = 0;
        for until in [STEPS / 3, STEPS] {
            engine.begin_rows(&rows, 277, false).await.expect("room");
            let mut made = taken;
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
            rows = rows.iter().rev().map(|row| row.after(&tokens[row.place])).collect();
        }
        assert_eq!(tokens, wanted);
    });
}
