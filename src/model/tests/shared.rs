//! What host and shaders have to agree on, read from the shaders themselves.

use super::*;
use crate::gpu::shader::ShaderSpec;
use crate::model::kernels::attention_parts::AttentionParts;
use crate::model::kernels::attention_prefill::TILES;
use crate::model::kernels::inspect::{Fired, NOT_ASKED, RequestHead, Which};
use crate::model::kernels::layers::{Abilities, Arithmetic, Layers, PlacedPacks, PlacedTable, STRETCH, Storage};
use crate::model::kernels::leaving;
use crate::model::kernels::matmul::{Shape, TILE_ROWS, TILE_TOKENS};
use crate::model::kernels::sampling::{BARRED, BREAKS, Sampling};
use crate::model::kernels::score::TargetScore;
use crate::model::kernels::{Batch, GemmShape, PackShape, SUMS, Step, TextStep, Update, gemm, matmul_transposed};
use crate::model::pack_tables::PackTables;
use crate::model::plan::{LayerStages, Parts, Plan};
use crate::model::weights::layer_shapes;
use crate::sampling::{END_OF_TEXT, SamplingOptions};
use std::collections::HashMap;
use std::mem::offset_of;
use wgpu::naga::proc::Layouter;
use wgpu::naga::valid::{Capabilities, ValidationFlags, Validator};
use wgpu::naga::{AddressSpace, Expression, Literal, Module, TypeInner, front::wgsl};

fn parsed(source: &str) -> Module {
    wgsl::parse_str(source).unwrap_or_else(|e| panic!("{}", e.emit_to_string(source)))
}

/// Bytes of the workgroup memory that the kernel uses, as WebGPU counts them.
fn workgroup_bytes(source: &str) -> usize {
    let module = parsed(source);
    let info = Validator::new(ValidationFlags::all(), Capabilities::all()).validate(&module).expect("valid");
    let mut layouter = Layouter::default();
    layouter.update(module.to_ctx()).expect("layouts");
    let main = info.get_entry_point(0);
    let used = module
        .global_variables
        .iter()
        .filter(|(handle, variable)| variable.space == AddressSpace::WorkGroup && !main[*handle].is_empty());
    used.map(|(_, variable)| (layouter[variable.ty].size as usize).next_multiple_of(16)).sum()
}

fn constant(module: &Module, name: &str) -> u32 {
    let (_, constant) =
        module.constants.iter().find(|(_, c)| c.name.as_deref() == Some(name)).unwrap_or_else(|| panic!("no {name}"));
    match module.global_expressions[constant.init] {
        Expression::Literal(Literal::U32(value)) => value,
        ref other => panic!("{name} is {other:?}"),
    }
}

/// Names and offsets of a struct's members.
fn members(module: &Module, name: &str) -> Vec<(String, usize)> {
    let (_, ty) =
        module.types.iter().find(|(_, t)| t.name.as_deref() == Some(name)).unwrap_or_else(|| panic!("no {name}"));
    let TypeInner::Struct { members, .. } = &ty.inner else { panic!("{name} is no struct") };
    members.iter().map(|m| (m.name.clone().unwrap_or_default(), m.offset as usize)).collect()
}

macro_rules! offsets {
    ($type:ty, $($field:ident),+) => { vec![$((stringify!($field).to_owned(), offset_of!($type, $field))),+] };
}

/// The layers' kernel of a published model for a team.
fn layers(name: &str, quantization: Quantization, team: Team) -> Option<Layers> {
    let config = ModelConfig::preset(name).expect("preset");
    let tables = layer_shapes(&config).map(|shape| PlacedTable { shape, elements: 0, scales: 0 });
    let format = quantization.tokens();
    let storage = Storage { format, tables, element_stride: 64, scale_stride: 64, cache_stride: 64 };
    Layers::new(&config, 2048, storage, team, Abilities { subgroups: true, f16: true })
}

#[test]
fn what_a_team_needs_is_what_the_shader_declares() {
    let some = PlacedPacks { tokens: [4, 8, 12], stride: 64, keys: [64; 3], values: [64; 3] };
    let mut compared = 0;
    let limits = wgpu::Limits { max_compute_workgroup_storage_size: 64 << 10, ..wgpu::Limits::default() };
    let limits = wgpu::Limits { max_compute_invocations_per_workgroup: 1024, ..limits };
    let limits = wgpu::Limits { max_compute_workgroup_size_x: 1024, ..limits };
    for (name, threads) in [("TokenFormer-150M", 128), ("TokenFormer-450M", 256), ("TokenFormer-1-5B", 512)] {
        for quantization in [Quantization::Q4, Quantization::F16] {
            for arithmetic in [Arithmetic::F32, Arithmetic::F16, Arithmetic::Int8] {
                for (subgroups, packs) in [(true, None), (false, None), (true, Some(some))] {
                    let team = Team { workgroups: 128, threads, spin_limit: 9, arithmetic, subgroups };
                    let Some(kernel) = layers(name, quantization, team) else { continue };
                    let mut kernels = vec![kernel.clone().with_packs(packs)];
                    if packs.is_none() {
                        kernels.extend([2, 8].into_iter().filter_map(|texts| kernel.for_texts(texts, &limits)));
                    }
                    for kernel in kernels {
                        let source = kernel.shader(2, kernel.failed_at(2)).source().expect("source");
                        let (texts, bytes) = (kernel.texts, kernel.workgroup_bytes());
                        assert_eq!(bytes, workgroup_bytes(&source), "{name} {quantization:?} {team:?} {texts}");
                        compared += 1;
                    }
                }
            }
        }
    }
    assert_eq!(compared, 118);
}

#[test]
fn a_tile_of_attention_needs_what_the_shader_declares() {
    for tile in TILES {
        for head in [8, 64, 80, 96, 112] {
            let source = tile.shader(4 * head, head).source().expect("source");
            assert_eq!(tile.bytes(head), workgroup_bytes(&source), "{tile:?}, {head}");
        }
    }
}

#[test]
fn texts_are_taken_as_many_at_a_time_as_workgroup_memory_holds() {
    let team = Team { workgroups: 128, threads: 256, spin_limit: 9, arithmetic: Arithmetic::Int8, subgroups: true };
    let single = layers("TokenFormer-450M", Quantization::Q4, team).expect("kernel");
    let limits = |bytes| wgpu::Limits { max_compute_workgroup_storage_size: bytes, ..wgpu::Limits::default() };
    // The product with the longest rows takes fewer texts at a time.
    for (bytes, texts, wanted) in [
        (48 << 10, 8, Some([4, 4, 4, 4, 4, 2])),
        (48 << 10, 2, Some([2; 6])),
        (32 << 10, 8, Some([2, 2, 2, 2, 2, 1])),
        (16 << 10, 8, None),
    ] {
        let kernel = single.for_texts(texts, &limits(bytes));
        let chunks = kernel.map(|kernel| kernel.products.map(|product| product.chunk));
        assert_eq!(chunks, wanted, "{texts} texts, {bytes} bytes");
    }
}

#[test]
fn every_other_kernel_fits_into_default_limits() {
    let gpu = gpu(&GpuOptions { default_limits: true, ..Default::default() });
    for name in crate::config::PUBLISHED {
        let mut config = ModelConfig::preset(name).expect("preset");
        config.num_layers = 1;
        for quantization in Quantization::ALL {
            let loading = Loading::new(gpu.clone(), config.clone(), quantization, None);
            let Loading { weights, scratch, .. } = pollster::block_on(loading).expect("room");
            let parts = Parts { gpu: &gpu, config: &config, weights: &weights, scratch: &scratch, packs: None };
            let packs = PackTables::new(&gpu, &config, (&weights, &scratch), vec![[16; 5]]).expect("room");
            let with_packs = Parts { packs: Some(&packs), ..parts };
            let with_packs = LayerStages::kernels(with_packs).expect("kernels");
            for kernel in Plan::kernels(parts).expect("kernels").into_iter().chain(with_packs) {
                let source = kernel.source().expect("source");
                let bytes = workgroup_bytes(&source);
                let bindings = source.matches("var<storage").count();
                assert!(bindings <= 8, "{bindings} storage buffers: {source:.300}");
                assert!(bytes <= 16 << 10, "{bytes} bytes of workgroup memory: {source:.300}");
            }
        }
    }
}

#[test]
fn constants_and_structs_are_the_same_on_both_sides() {
    let source = |spec: ShaderSpec| parsed(&spec.source().expect("source"));
    let matmul = source(ShaderSpec::new("matmul").flag("Q4").with("GROUPS", 1));
    assert_eq!(constant(&matmul, "TILE_T") as usize, TILE_TOKENS);
    assert_eq!(constant(&matmul, "TILE_N") as usize, TILE_ROWS);
    let shape = offsets!(Shape, groups, segments, segment_rows, y_stride, y_start, parts);
    assert_eq!(members(&matmul, "Shape"), shape);
    let step = offsets!(Step, past, count, row, first_row, index, real_ids, leaving, xtc, in_common, tail);
    assert_eq!(members(&matmul, "Step"), step);
    let join = AttentionParts { max_parts: 3, hidden: 64, head: 32 };
    let join = source(join.layout(
        ShaderSpec::new("attention_join").with("WG", 64).flag("COMBINE").flag("SEVERAL").with("MOST_TEXTS", 8),
    ));
    assert_eq!(members(&join, "Step"), step);
    let size = |name: &str| {
        join.types
            .iter()
            .find(|(_, t)| t.name.as_deref() == Some(name))
            .map(|(_, t)| t.inner.size(join.to_ctx()) as usize)
    };
    assert_eq!(size("TextStep"), Some(size_of::<TextStep>()));
    let adjust = source(ShaderSpec::new("sample_adjust").with("WG", 128).with("V", 9));
    for (name, value) in [
        ("BARRED", BARRED),
        ("BREAKS", BREAKS),
        ("LEFT_OUTPUT", leaving::OUTPUT),
        ("LEFT_CHOSEN", leaving::CHOSEN),
        ("LEFT_NONE", leaving::NONE),
        ("END_OF_TEXT", END_OF_TEXT),
    ] {
        assert_eq!(constant(&adjust, name), value, "{name}");
    }
    let options = SamplingOptions { temperature: 0.5, min_p: 0.25, seed: (3 << 32) + 2, ..Default::default() };
    let sampling = Sampling::new(&options, 99, 13, 5);
    let sampling: &[u32] = bytemuck::cast_slice(bytemuck::bytes_of(&sampling));
    let found: HashMap<_, _> = members(&adjust, "Sampling").into_iter().map(|(n, at)| (n, sampling[at / 4])).collect();
    let float = f32::to_bits;
    for (name, word) in [
        ("temperature", float(0.5)),
        ("min_p", float(0.25)),
        ("real_ids", 99),
        ("prompt", 13),
        ("begin", 5),
        ("keeps_all", 0),
        ("seed", 2),
    ] {
        assert_eq!(found.get(name), Some(&word), "{name}");
    }
    let score = source(ShaderSpec::new("score").with("WG", 128).with("V", 9));
    assert_eq!(members(&score, "Score"), offsets!(TargetScore, logprob, is_best));
    let spec = ShaderSpec::new("inspect").with("WG", 128).with("SEGMENTS", 1).with("COLS", 32).with("SLOTS", 9);
    let inspect = source(spec.flag("L2_NORM_GELU"));
    assert_eq!(members(&inspect, "Fired"), offsets!(Fired, number, score, activation, contribution));
    let [tokens_0, tokens_1, tokens_2] = [0, 1, 2].map(|i| (format!("tokens_{i}"), offset_of!(Which, tokens) + 4 * i));
    let which = [offsets!(Which, place), vec![tokens_0, tokens_1, tokens_2]].concat();
    assert_eq!(members(&inspect, "Which"), which);
    let mut request = members(&inspect, "Request");
    assert_eq!(request.pop(), Some(("words".to_owned(), size_of::<RequestHead>())));
    assert_eq!(request, offsets!(RequestHead, top, count, sources, rows_at));
    assert_eq!(constant(&inspect, "NONE"), NOT_ASKED);
    let transposed = source(ShaderSpec::new("matmul_transposed").flag("Q4"));
    assert_eq!(constant(&transposed, "TILE_T") as usize, matmul_transposed::TILE_TOKENS);
    assert_eq!(constant(&transposed, "TILE_N") as usize, matmul_transposed::TILE_COLS);
    let gemm = source(ShaderSpec::new("gemm"));
    assert_eq!(constant(&gemm, "TILE") as usize, gemm::TILE);
    assert_eq!(members(&gemm, "GemmShape"), offsets!(GemmShape, m, n, k, inner, parts, part_stride, scale, a, b, c));
    let theta = ShaderSpec::new("theta_forward").with("WG", 128).with("SEGMENTS", 1).with("COLS", 32).with("SLOTS", 9);
    let theta = source(theta.flag("L2_NORM_GELU").flag("PACKS"));
    assert_eq!(members(&theta, "PackShape"), offsets!(PackShape, starts, tokens, parts));
    let losses = source(ShaderSpec::new("sum_losses").with("WG", 128));
    assert_eq!(members(&losses, "Batch"), offsets!(Batch, length, is_first, step, share));
    let adamw = source(ShaderSpec::new("adamw_step").with("WG", 128).with("LAYERS", 2));
    assert_eq!(constant(&adamw, "SUMS") as usize, SUMS);
    let update = offsets!(Update, rate, beta1, beta2, epsilon, weight_decay, clip_norm, correction1, correction2);
    assert_eq!(members(&adamw, "Update"), update);
    let team = Team { workgroups: 4, threads: 128, spin_limit: 9, arithmetic: Arithmetic::F32, subgroups: false };
    let kernel = layers("TokenFormer-150M", Quantization::Q4, team).expect("kernel");
    assert_eq!(constant(&source(kernel.shader(2, kernel.failed_at(2))), "STRETCH") as usize, STRETCH);
}
