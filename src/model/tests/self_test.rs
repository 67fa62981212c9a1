//! The self-test: it distinguishes a correct GPU from a faulty one, and blames no GPU for a model.

use super::*;
use crate::config::NormActivation;
use crate::error::Result;
use crate::model::Sample;
use crate::model::sample::Whole;

async fn sample(model: &GpuModel, quantization: Quantization, is_timed: bool) -> Result<Option<Sample>> {
    let GpuModel { gpu, config, weights, .. } = model;
    let whole = Whole { gpu, config, quantization, weights, context_length: model.scratch.context_length };
    Sample::of(&whole, is_timed).await
}

async fn verify(model: &mut GpuModel, quantization: Quantization) -> Result<bool> {
    let sample = sample(model, quantization, false).await?.expect("rows enough");
    model.verify(&sample).await
}

#[test]
fn the_self_test_tells_right_from_wrong() {
    let gpu = gpu(&GpuOptions::default());
    let mut wide = config(UNEVEN);
    (wide.num_layers, wide.hidden_size, wide.num_attention_heads) = (2, 192, 2);
    for (c, q, context) in [
        (config(UNEVEN), Quantization::F16, 40),
        (config(UNEVEN), Quantization::Q8, 1),
        (wide, Quantization::Q4, 22),
        (ModelConfig { norm_activation_type: NormActivation::Softmax, ..config(UNEVEN) }, Quantization::Q8, 64),
    ] {
        let (mut model, _) = pollster::block_on(build(&gpu, &c, q, context));
        assert!(pollster::block_on(verify(&mut model, q)).expect("a right GPU"), "and the model tells");
        assert_eq!((model.len(), model.notes()), (0, Vec::new()));
    }
    let (mut model, _) = pollster::block_on(build(&gpu, &config(UNEVEN), Quantization::Q8, 40));
    let angles = &model.scratch.angles.buffer;
    model.gpu.queue.write_buffer(angles, 0, &vec![0; angles.size() as usize]);
    let e = pollster::block_on(verify(&mut model, Quantization::Q8)).expect_err("queries and keys are zeros");
    assert_eq!(e.code, crate::error::ErrorCode::WebgpuUnavailable);
    assert_eq!(model.notes().len(), usize::from(gpu.forgone().is_some()));
}

#[test]
fn the_self_test_does_not_blame_the_gpu_for_a_model() {
    let gpu = gpu(&GpuOptions::default());
    let c = config(UNEVEN);
    // Zeros; scales and vectors of the final LayerNorm that are so large that results overflow.
    for (q, byte) in [(Quantization::Q4, 0), (Quantization::Q8, 0), (Quantization::F16, 0), (Quantization::F16, 0x7b)] {
        let loading = pollster::block_on(Loading::new(gpu.clone(), c.clone(), q, Some(30))).expect("room");
        for (id, region, bytes) in &RandomModel::new(&c, q, 7).regions {
            loading.weights.write(&gpu, *id, *region, 0, &vec![byte; bytes.len()]).expect("write");
        }
        let mut model = pollster::block_on(loading.finish()).expect("model");
        let tells = pollster::block_on(verify(&mut model, q)).expect("nothing is wrong with this GPU");
        assert!(!tells, "{q:?} of {byte:#x}");
        assert!(gpu.forgone().is_none(), "subgroups are not to blame either");
    }
}

#[test]
fn a_step_is_timed_here_and_on_the_cpu_and_leaves_nothing_behind() {
    let gpu = gpu(&GpuOptions::default());
    let c = config(UNEVEN);
    let (mut model, _) = pollster::block_on(build(&gpu, &c, Quantization::Q8, 40));
    let before = pollster::block_on(model.forward(&[3, 1, 4], Logits::Last)).expect("logits");
    let mut part = pollster::block_on(sample(&model, Quantization::Q8, true)).expect("a GPU").expect("a sample");
    let pace = pollster::block_on(model.pace(&mut part)).expect("a GPU").expect("a pace");
    assert!(pace.gpu > 0.0 && pace.cpu > 0.0, "{pace:?}");
    assert_eq!(pace.is_untuned, !gpu.is_software, "a program has no workgroups to tune: {pace:?}");
    assert_eq!((model.len(), model.notes()), (0, Vec::new()));
    let after = pollster::block_on(model.forward(&[3, 1, 4], Logits::Last)).expect("logits");
    assert_eq!(after, before);
    // Twelve steps do not fit into it.
    let (mut short, _) = pollster::block_on(build(&gpu, &c, Quantization::Q8, 8));
    let mut part = pollster::block_on(sample(&short, Quantization::Q8, false)).expect("a GPU").expect("a sample");
    assert_eq!(pollster::block_on(short.pace(&mut part)).expect("a GPU"), None);
}
