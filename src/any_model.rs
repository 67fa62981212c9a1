//! Either engine of a browser: the GPU's or the CPU's.

use crate::config::ModelConfig;
use crate::cpu::CpuModel;
use crate::engine::{
    AdamW, Backend, Chosen, FiredToken, InspectRequest, Logits, Resume, Row, RowInput, ScoredText, Text, TokenScore,
};
use crate::engine::{Train, TrainRoom, TrainState, TrainStep};
use crate::error::{Error, ErrorCode, Result};
use crate::model::{GpuModel, Team};
use crate::packs::{Ablation, ActivePack, PackTokens, ParameterToken};
use crate::sampling::SamplingOptions;

/// A model that can run.
pub enum AnyModel {
    /// On a GPU.
    Gpu(Box<GpuModel>),
    /// On the CPU.
    Cpu(Box<CpuModel>),
}

/// The same of either.
macro_rules! either {
    ($self:expr, $model:ident => $work:expr) => {
        match $self {
            AnyModel::Gpu($model) => $work,
            AnyModel::Cpu($model) => $work,
        }
    };
}

impl AnyModel {
    /// Its name in the public interface.
    pub fn backend(&self) -> &'static str {
        match self {
            Self::Gpu(_) => "webgpu",
            Self::Cpu(_) => "cpu",
        }
    }

    /// The model, if it is on a GPU.
    pub fn on_gpu(&self) -> Option<&GpuModel> {
        match self {
            Self::Gpu(model) => Some(model),
            Self::Cpu(_) => None,
        }
    }

    /// The model, if it is on a GPU.
    pub fn on_gpu_mut(&mut self) -> Option<&mut GpuModel> {
        match self {
            Self::Gpu(model) => Some(model),
            Self::Cpu(_) => None,
        }
    }

    /// Bytes of the weights.
    pub fn weight_bytes(&self) -> u64 {
        either!(self, m => m.weight_bytes())
    }

    /// Bytes of the KV cache.
    pub fn kv_bytes(&self) -> u64 {
        either!(self, m => m.kv_bytes())
    }

    /// What is not used because it does not work here: for `info`.
    pub fn notes(&self) -> Vec<String> {
        self.on_gpu().map(GpuModel::notes).unwrap_or_default()
    }

    /// # Errors
    /// `webgpu-unavailable` for an engine that does not train.
    pub fn check_training(&self) -> Result<()> {
        self.on_gpu().map(drop).ok_or_else(needs_gpu)
    }

    /// How steps are made: for `info`.
    pub fn variants(&self) -> Vec<String> {
        either!(self, m => m.variants())
    }
}

impl Backend for AnyModel {
    fn config(&self) -> &ModelConfig {
        either!(self, m => m.config())
    }

    fn context_length(&self) -> usize {
        either!(self, m => m.context_length())
    }

    fn max_chunk(&self) -> usize {
        either!(self, m => m.max_chunk())
    }

    fn len(&self) -> usize {
        either!(self, m => m.len())
    }

    fn truncate(&mut self, len: usize) {
        either!(self, m => m.truncate(len));
    }

    async fn forward(&mut self, ids: &[u32], logits: Logits) -> Result<Vec<f32>> {
        either!(self, m => m.forward(ids, logits).await)
    }

    async fn score(&mut self, ids: &[u32], targets: &[u32], real_ids: usize) -> Result<Vec<TokenScore>> {
        either!(self, m => m.score(ids, targets, real_ids).await)
    }

    fn most_together(&self) -> usize {
        either!(self, m => m.most_together())
    }

    async fn score_together(&mut self, texts: &[ScoredText<'_>], real_ids: usize) -> Result<Vec<Vec<TokenScore>>> {
        either!(self, m => m.score_together(texts, real_ids).await)
    }

    fn begin_choosing(&mut self, options: &SamplingOptions, text: Text<'_>, real_ids: usize, wants_logits: bool) {
        either!(self, m => m.begin_choosing(options, text, real_ids, wants_logits));
    }

    async fn choose_after(&mut self, ids: &[u32]) -> Result<()> {
        either!(self, m => m.choose_after(ids).await)
    }

    async fn choose_next(&mut self) -> Result<()> {
        either!(self, m => m.choose_next().await)
    }

    async fn chosen(&mut self) -> Result<Chosen> {
        either!(self, m => m.chosen().await)
    }

    fn steps_ahead(&self) -> usize {
        either!(self, m => m.steps_ahead())
    }

    fn stop_choosing(&mut self) {
        either!(self, m => m.stop_choosing());
    }

    async fn begin_rows(&mut self, rows: &[Row], real_ids: usize, wants_logits: bool) -> Result<()> {
        either!(self, m => m.begin_rows(rows, real_ids, wants_logits).await)
    }

    async fn step_rows(&mut self) -> Result<()> {
        either!(self, m => m.step_rows().await)
    }

    async fn reserve_tails(&mut self, rows: &[Row]) -> Result<()> {
        either!(self, m => m.reserve_tails(rows).await)
    }

    async fn feed_rows(&mut self, inputs: &[RowInput]) -> Result<()> {
        either!(self, m => m.feed_rows(inputs).await)
    }

    async fn chosen_rows(&mut self) -> Result<Vec<Chosen>> {
        either!(self, m => m.chosen_rows().await)
    }

    fn rows_ahead(&self) -> usize {
        either!(self, m => m.rows_ahead())
    }

    fn tail_capacity(&self) -> usize {
        either!(self, m => Backend::tail_capacity(m.as_ref()))
    }

    fn stop_rows(&mut self) {
        either!(self, m => m.stop_rows());
    }

    fn drop_tails(&mut self) {
        either!(self, m => Backend::drop_tails(m.as_mut()));
    }

    async fn set_packs(&mut self, packs: &[ActivePack]) -> Result<()> {
        either!(self, m => Backend::set_packs(m.as_mut(), packs).await)
    }

    async fn ablate(&mut self, ablations: &[Ablation]) -> Result<()> {
        either!(self, m => m.ablate(ablations).await)
    }

    async fn base_tokens(&mut self, tokens: &[ParameterToken]) -> Result<Vec<PackTokens>> {
        either!(self, m => m.base_tokens(tokens).await)
    }

    async fn inspect(&mut self, ids: &[u32], request: &InspectRequest) -> Result<Vec<Vec<FiredToken>>> {
        either!(self, m => Backend::inspect(m.as_mut(), ids, request).await)
    }

    async fn pushes(&mut self, value: &[f32]) -> Result<Vec<f32>> {
        either!(self, m => Backend::pushes(m.as_mut(), value).await)
    }
}

impl Resume for AnyModel {
    type Way = Option<Team>;

    fn way(&self) -> Option<Team> {
        self.on_gpu().and_then(GpuModel::team)
    }

    async fn go(&mut self, way: &Option<Team>) -> Result<()> {
        match self.on_gpu_mut() {
            Some(model) => model.go(way).await,
            None => Ok(()),
        }
    }

    fn resume_choosing(&mut self, emitted: &[u32]) {
        either!(self, m => m.resume_choosing(emitted));
    }
}

impl AnyModel {
    /// # Errors
    /// `webgpu-unavailable` for a model on the CPU, where training would take longer than anyone would wait.
    fn trainer(&mut self) -> Result<&mut GpuModel> {
        self.on_gpu_mut().ok_or_else(needs_gpu)
    }
}

fn needs_gpu() -> Error {
    let message = "Training a token pack needs WebGPU, and this model runs on the CPU.";
    Error::new(ErrorCode::WebgpuUnavailable, message)
        .hint("Use a browser with WebGPU and hardware acceleration. The pack it makes can be used on the CPU.")
}

impl Train for AnyModel {
    async fn begin_training(&mut self, state: &TrainState, adamw: &AdamW, room: TrainRoom) -> Result<()> {
        self.trainer()?.begin_training(state, adamw, room).await
    }

    async fn train(&mut self, steps: &[TrainStep]) -> Result<Vec<f32>> {
        self.trainer()?.train(steps).await
    }

    async fn loss(&mut self, sequences: &[Vec<u32>]) -> Result<f64> {
        self.trainer()?.loss(sequences).await
    }

    async fn learnt(&mut self) -> Result<TrainState> {
        self.trainer()?.learnt().await
    }

    fn end_training(&mut self) {
        if let Some(model) = self.on_gpu_mut() {
            model.end_training();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::layout::Quantization;
    use crate::cpu::Loading;
    use crate::packs::Pack;
    use crate::pattention::Pattention;
    use pollster::block_on;

    #[test]
    fn a_model_on_the_cpu_says_that_it_cannot_be_trained() {
        let json = r#"{"num_layers":1,"hidden_size":32,"num_attention_heads":1,"qkv_slot_num":32,"proj_slot_num":32,
            "ffn_slot_num":32,"padded_vocab_size":32}"#;
        let config = ModelConfig::from_json(json.as_bytes()).expect("config");
        let state = TrainState::new(Pack::fresh(&config, &Pattention::ALL, 2, 0));
        let loading = Loading::of_any_size(config, Quantization::Q4, 32).expect("room");
        let mut model = AnyModel::Cpu(Box::new(loading.finish()));
        let adamw = AdamW { betas: [0.9, 0.95], epsilon: 1e-8, weight_decay: 0.0, clip_norm: 1.0 };
        let begun = block_on(model.begin_training(&state, &adamw, TrainRoom { length: 8, batch: 1 }));
        let errors = [begun.err(), block_on(model.train(&[])).err(), block_on(model.learnt()).err()];
        for e in errors.map(|e| e.expect("no training")) {
            assert_eq!(e.code, ErrorCode::WebgpuUnavailable);
            assert!(e.hint.contains("WebGPU"), "{e}");
        }
        model.end_training();
    }
}
