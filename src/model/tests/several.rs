//! Several texts at once.

use super::*;
use crate::generate::Model;
use crate::generate::tests::several::check_several;

fn check(gpu: &Rc<Gpu>, json: &str, quantization: Quantization) {
    let (model, _) = pollster::block_on(build(gpu, &config(json), quantization, 300));
    let mut model = Model::new(model, None).expect("model");
    check_several(&mut model, 3); // what a single text leaves for the next one is there then
    let before = gpu.memory.bytes();
    // Longer than the least room of a tail, so that it grows.
    check_several(&mut model, 80);
    assert_eq!(gpu.memory.bytes(), before, "what several texts took is free again");
}

#[test]
fn each_of_several_texts_is_what_it_is_alone() {
    let least = gpu(&GpuOptions { default_limits: true, ..Default::default() });
    check(&least, UNEVEN, Quantization::Q4);
    check(&gpu_that_is(true, &GpuOptions::default()), UNEVEN, Quantization::Q8);
    if let Some(gpu) = gpu_with_subgroups() {
        check(&gpu, UNEVEN, Quantization::F16);
    }
}
