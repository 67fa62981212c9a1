//! Several texts at once.

use super::*;
use crate::generate::Model;
use crate::generate::tests::several::check_several;
use crate::model::several::LEAST;

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
