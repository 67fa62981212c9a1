//! What was found about decode steps on this device before (`src/model/tune.rs`), so that the kernel of the fastest way
//! can be compiled while the model comes from the store.

use crate::checkpoint::layout::Quantization;
use crate::config::ModelConfig;
use crate::gpu::Gpu;
use crate::model::Choice;
use js_sys::Date;
use serde::{Deserialize, Serialize};

/// Unfinished trials after which nothing is tried for a day: with some drivers, trials may lose the device.
const MOST_UNFINISHED: u32 = 2;
const DAY: f64 = 86_400e3;

/// What is remembered.
#[derive(Clone, Copy, Default, Serialize, Deserialize)]
pub struct Trials {
    /// What was found; `None` if nothing was yet.
    pub choice: Option<Choice>,
    /// Trials that were started since and did not end.
    pub unfinished: u32,
    /// When the last of them was started, in milliseconds since 1970.
    pub begun: f64,
}

impl Trials {
    /// True if another trial may start.
    pub fn may_go_on(&self) -> bool {
        self.unfinished < MOST_UNFINISHED || Date::now() - self.begun > DAY
    }

    /// A trial that starts now.
    pub fn one_more(self) -> Self {
        Self { unfinished: self.unfinished + 1, begun: Date::now(), ..self }
    }
}

/// The name under which it is remembered. It depends on kernels, browser, adapter and its features, and on the model's
/// shape, precision and the context that was asked for.
pub fn name(gpu: &Gpu, config: &ModelConfig, quantization: Quantization, context_length: Option<usize>) -> String {
    let context = context_length.unwrap_or_else(|| config.default_context_length());
    let shape = serde_json::to_string(config).unwrap_or_default();
    let (version, precision) = (env!("CARGO_PKG_VERSION"), quantization.as_str());
    format!("tuning|{version}|{}|{precision}|{context}|{shape}", gpu.describe())
}
