//! What the self-test (`src/model/check.rs`) found out here before: a browser and a GPU that were right stay so.

use crate::checkpoint::layout::Quantization;
use crate::config::ModelConfig;
use crate::error::Result;
use crate::gpu::Gpu;
use crate::model::GpuModel;
use crate::store::indexed_db::IndexedDb;
use crate::store::remembered::{recall, remember};
use serde::{Deserialize, Serialize};

/// What is remembered of it.
#[derive(Serialize, Deserialize)]
struct Found {
    /// Kernels with subgroups are right; false if they are not to be used.
    subgroups: bool,
}

/// The self-test of a model on a GPU: what was found before, or what is yet to be found.
pub struct Verdict {
    store: Option<IndexedDb>,
    name: String,
    is_known: bool,
}

impl Verdict {
    /// Looks up what was found before; what was wrong then is not used now.
    pub async fn recall(
        store: Option<&IndexedDb>,
        gpu: &Gpu,
        config: &ModelConfig,
        quantization: Quantization,
    ) -> Self {
        let shape = serde_json::to_string(config).unwrap_or_default();
        let version = env!("CARGO_PKG_VERSION");
        let name = format!("check|{version}|{}|{}|{shape}", gpu.describe(), quantization.as_str());
        let found: Option<Found> = match store {
            Some(store) => recall(store, &name).await,
            None => None,
        };
        if found.as_ref().is_some_and(|found| !found.subgroups) {
            gpu.forgo_subgroups("failed when they were tried before");
        }
        Self { store: store.cloned(), name, is_known: found.is_some() }
    }

    /// Tests the model, if that was not done before, and keeps the outcome.
    ///
    /// # Errors
    /// `webgpu-unavailable` if the GPU computes wrong results whatever is tried, `device-lost`.
    pub async fn find(self, model: &mut GpuModel) -> Result<()> {
        if self.is_known {
            return Ok(());
        }
        if !model.verify().await? {
            return Ok(()); // this model does not tell: the next one of its shape may
        }
        if let Some(store) = &self.store {
            remember(store, &self.name, &Found { subgroups: model.gpu().forgone().is_none() }).await;
        }
        Ok(())
    }
}
