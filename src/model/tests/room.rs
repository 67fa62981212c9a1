//! GPU memory: what is freed, what fits into the default limits, what is refused.

use super::*;
use crate::error::ErrorCode;
use crate::model::Ahead;
use crate::model::plan::{Parts, Plan};

#[test]
fn memory_is_returned() {
    let gpu = gpu(&GpuOptions::default());
    let (model, _) = pollster::block_on(build(&gpu, &config(UNEVEN), Quantization::Q8, 32));
    assert!(gpu.memory.bytes() > model.weight_bytes());
    drop(model);
    assert_eq!(gpu.memory.bytes(), 0);
}

#[test]
fn what_is_compiled_ahead_of_a_model_is_what_it_needs() {
    for gpu in [gpu(&GpuOptions::default()), gpu_with_bytes(&GpuOptions::default())] {
        let config = config(UNEVEN);
        let loading = pollster::block_on(Loading::new(gpu.clone(), config.clone(), Quantization::Q4, Some(32)));
        let Loading { weights, scratch, .. } = &loading.expect("room");
        let mut kernels = Plan::kernels(Parts { gpu: &gpu, config: &config, weights, scratch, packs: None });
        // Their bindings as well, or they would be compiled twice.
        assert!(Ahead::begin(&gpu, Some(&config)).give(kernels.as_mut().expect("kernels")));
    }
}

#[test]
fn tables_that_no_binding_holds_are_refused() {
    let gpu = gpu(&GpuOptions { default_limits: true, ..Default::default() });
    let mut c = config(UNEVEN);
    (c.num_layers, c.hidden_size, c.num_attention_heads) = (1, 4096, 64);
    for (qkv, ffn) in [(64, 65_536), (32_768, 64)] {
        (c.qkv_slot_num, c.ffn_slot_num) = (qkv, ffn);
        let refused = pollster::block_on(Loading::new(gpu.clone(), c.clone(), Quantization::Q8, None));
        assert_eq!(refused.err().map(|e| e.code), Some(ErrorCode::OutOfMemory));
        assert_eq!(gpu.memory.bytes(), 0);
    }
}

#[test]
fn default_limits_suffice_for_the_published_models() {
    // Exactly WebGPU's: bindings of 128 MiB, 8 storage buffers, 16 KiB of workgroup memory, 256 invocations.
    let gpu = gpu(&GpuOptions { default_limits: true, ..Default::default() });
    let limits = gpu.device.limits();
    assert_eq!((limits.max_storage_buffer_binding_size, limits.max_storage_buffers_per_shader_stage), (128 << 20, 8));
    let group = (limits.max_compute_workgroup_storage_size, limits.max_compute_invocations_per_workgroup);
    assert_eq!(group, (16 << 10, 256));
    for name in crate::config::PUBLISHED {
        let config = ModelConfig::preset(name).expect("preset");
        let made = async { Loading::new(gpu.clone(), config, Quantization::Q4, None).await?.finish().await };
        let model = pollster::block_on(made).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(model.context_length(), 2048);
    }
    assert_eq!(gpu.memory.bytes(), 0);
}

#[test]
fn too_little_room_for_a_context_says_what_fits() {
    let gpu = gpu(&GpuOptions { default_limits: true, ..Default::default() });
    // Keys of a layer are 16 KiB per token: bindings hold 8,192 tokens.
    let mut c = config(UNEVEN);
    (c.num_layers, c.hidden_size, c.num_attention_heads) = (1, 8192, 128);
    c.max_position_embeddings = 20_000;
    (c.qkv_slot_num, c.proj_slot_num, c.ffn_slot_num) = (32, 32, 32);
    let new = |length| pollster::block_on(Loading::new(gpu.clone(), c.clone(), Quantization::Q4, Some(length)));
    let refused = new(16_000).err().expect("refused");
    assert_eq!(refused.code, ErrorCode::OutOfMemory);
    assert!(refused.hint.contains("contextLength 8000"), "{}", refused.hint);
    assert_eq!(new(8000).map(|loading| loading.context_length()).ok(), Some(8000));
    assert_eq!(gpu.memory.bytes(), 0);
}
