//! For benchmarks: models with random weights, which need no download, and what a step consists of.

use super::engine::Engine;
use super::js;
use super::loading::{Loaded, LoadedModel};
use crate::any_model::AnyModel;
use crate::checkpoint::layout::{Quantization, tensors};
use crate::checkpoint::regions::{Region, regions};
use crate::config::PartialConfig;
use crate::engine::Recovering;
use crate::error::{Error, Result};
use crate::generate::Model;
use crate::gpu::{Gpu, GpuOptions};
use crate::load::reload::Reload;
use crate::load::request::Request;
use crate::model::{Arithmetic, Loading, Team};
use serde::{Deserialize, Serialize};
use std::rc::Rc;
use wasm_bindgen::prelude::*;

/// What to make.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RandomRequest {
    /// Name of a published model, whose shape it has.
    id: String,
    quantization: Quantization,
    context_length: Option<usize>,
    /// Kernels may use subgroups, and f16, where available.
    subgroups: bool,
    f16: bool,
    /// Workgroups that share the layers, threads of each, and what products are computed with; 0 for a dispatch per
    /// product. If not given, they are tuned.
    workgroups: Option<usize>,
    threads: Option<usize>,
    arithmetic: Option<Arithmetic>,
}

/// What a decode step consists of.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StepInfo {
    dispatches_per_token: usize,
    bytes_per_token: u64,
}

#[wasm_bindgen]
impl Engine {
    /// A model of a published shape with random weights: as fast as the real one, but it writes nonsense.
    pub async fn random(request: JsValue) -> std::result::Result<Engine, JsValue> {
        let make = async {
            let request: RandomRequest = js::parse(request)?;
            let model = random(&request).await?;
            let (id, quantization) = (request.id, request.quantization);
            let loaded = Loaded { model, quantization, revision: "random".into(), notes: Vec::new() };
            Ok(Engine::new(Request::named(&id), loaded, request.workgroups.is_none()).await)
        };
        make.await.map_err(|e: Error| js::error(&e))
    }

    /// The time that each kernel of a step takes on the GPU: `[{ kernel, dispatches, microseconds }]`, or null without
    /// timestamps, which only models of `random` request. `timed`: `"decode"`, `{ prefill: tokens }` or `{ several:
    /// texts }`. Forgets the context.
    #[wasm_bindgen(js_name = kernelTimes)]
    pub async fn kernel_times(&self, timed: JsValue) -> std::result::Result<JsValue, JsValue> {
        let timed = js::parse(timed).map_err(|e| js::error(&e))?;
        let mut model = self.take_model()?;
        model.reset();
        let times = match model.backend_mut().engine_mut().on_gpu_mut() {
            Some(model) => model.kernel_times(timed).await,
            None => Ok(None),
        };
        self.put_model_back(model);
        times.and_then(|t| js::value(&t)).map_err(|e| js::error(&e))
    }

    /// `{ dispatchesPerToken, bytesPerToken }`; there are no dispatches on the CPU.
    #[wasm_bindgen(js_name = stepInfo)]
    pub fn step_info(&self) -> std::result::Result<JsValue, JsValue> {
        let info = self.with_model(|model| {
            let backend = model.backend().engine();
            Ok(StepInfo {
                dispatches_per_token: backend.on_gpu().map_or(0, |model| model.dispatches_per_token()),
                bytes_per_token: backend.weight_bytes(),
            })
        })?;
        js::value(&info).map_err(|e| js::error(&e))
    }
}

async fn random(request: &RandomRequest) -> Result<Model<LoadedModel>> {
    let unknown = || Error::invalid_argument(format!("{} is none of the published models.", request.id));
    let config = PartialConfig::preset(&request.id).ok_or_else(unknown)?.finish()?;
    let gpu = Rc::new(
        Gpu::open(&GpuOptions {
            no_subgroups: !request.subgroups,
            no_f16: !request.f16,
            timestamps: true,
            insists: true,
            ..Default::default()
        })
        .await?,
    );
    let loading = Loading::new(gpu.clone(), config.clone(), request.quantization, request.context_length).await?;
    let mut state = 0x2026_1124u32;
    let noise: Vec<u8> = (0..1 << 20)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            (state >> 11) as u8
        })
        .collect();
    // Small weights of either sign in every format: f16 elements and scales of about ±0.01 (0x2000 and up).
    let halves: Vec<u8> = noise.chunks_exact(2).flat_map(|b| [b[0], 0x20 | (b[1] & 0x80)]).collect();
    let scales: Vec<u8> = noise.chunks_exact(2).flat_map(|b| [b[0], 0x14]).collect();
    let ones: Vec<u8> = 1f32.to_le_bytes().repeat(config.hidden_size);
    for id in tensors(&config) {
        for (region, bytes) in regions(id, &config, request.quantization) {
            let source = match (id.format(request.quantization), region) {
                (None, _) => &ones,
                (Some(_), Region::Scales) => &scales,
                (Some(f), _) if f.is_quantized() => &noise,
                _ => &halves,
            };
            let mut at = 0;
            while at < bytes {
                let len = source.len().min((bytes - at) as usize);
                loading.weights.write(&gpu, id, region, at as usize, &source[..len])?;
                at += len as u64;
            }
        }
    }
    let mut model = loading.finish().await?;
    if let Some(workgroups) = request.workgroups.filter(|n| *n > 0) {
        let team = Team {
            workgroups,
            threads: request.threads.unwrap_or(256),
            spin_limit: 50_000,
            arithmetic: request.arithmetic.unwrap_or(Arithmetic::Int8),
            subgroups: true,
        };
        if !model.employ(team).await? {
            return Err(Error::invalid_argument(format!("{team:?} does not fit.")));
        }
    }
    let model = AnyModel::Gpu(Box::new(model));
    Model::new(Recovering::new(model, Rc::new(Reload::never())), None)
}
