//! What the self-test (`src/model/check.rs`) and a comparison with the CPU (`src/model/pace.rs`) found on this device before:
//! a browser and a GPU that were right stay so, and which is faster is measured again from time to time.

use crate::checkpoint::layout::Quantization;
use crate::config::ModelConfig;
use crate::error::{Error, ErrorCode, ErrorKind, Result};
use crate::gpu::Gpu;
use crate::model::{GpuModel, Loading, Sample};
use crate::store::indexed_db::IndexedDb;
use crate::store::remembered::{recall, remember};
use js_sys::Date;
use serde::{Deserialize, Serialize};

/// So long a GPU counts as slower, in milliseconds: it may have been busy, and drivers change.
const SLOW_FOR: f64 = 7.0 * 86_400e3;

/// What is remembered of it.
#[derive(Clone, Serialize, Deserialize)]
struct Found {
    /// Kernels with subgroups are right; false if they are not to be used.
    subgroups: bool,
    /// Whether the CPU is faster; `None` where that was not asked.
    #[serde(default)]
    pace: Option<FoundPace>,
}

/// Which of the two is faster.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct FoundPace {
    is_slow: bool,
    /// When that was found, in milliseconds since 1970.
    since: f64,
}

impl FoundPace {
    fn counts(&self) -> bool {
        !self.is_slow || (0.0..SLOW_FOR).contains(&(Date::now() - self.since))
    }
}

/// The tests of a model on a GPU: what was found before, or what is yet to be found.
pub struct Verdict {
    store: Option<IndexedDb>,
    name: String,
    /// What the self-test found.
    found: Option<Found>,
    /// The CPU could have the model instead, and from the store.
    may_give_way: bool,
}

impl Verdict {
    /// Looks up what was found before; what was wrong then is not used now. `may_give_way`: the CPU could have the model.
    pub async fn recall(
        store: Option<&IndexedDb>,
        gpu: &Gpu,
        config: &ModelConfig,
        quantization: Quantization,
        may_give_way: bool,
    ) -> Self {
        let shape = serde_json::to_string(config).unwrap_or_default();
        let version = env!("CARGO_PKG_VERSION");
        let products = if gpu.multiplies_bytes() { "bytes" } else { "f32" };
        let name = format!("check|{version}|{}|{products}|{}|{shape}", gpu.describe(), quantization.as_str());
        let mut found: Option<Found> = match store {
            Some(store) => recall(store, &name).await,
            None => None,
        };
        if let Some(found) = &mut found {
            found.pace = found.pace.filter(FoundPace::counts);
            if !found.subgroups {
                gpu.forgo_subgroups("failed when they were tried before");
            }
        }
        // Without a store the model would be downloaded twice.
        Self { store: store.cloned(), name, found, may_give_way: may_give_way && store.is_some() }
    }

    /// True if the CPU was faster before, and may have the model.
    pub fn says_slow(&self) -> bool {
        let pace = self.found.as_ref().and_then(|found| found.pace);
        self.may_give_way && pace.is_some_and(|pace| pace.is_slow)
    }

    /// What a test needs of the model while it is being loaded, unless nothing is to be tested.
    ///
    /// # Errors
    /// `device-lost`.
    pub async fn sample(&self, loading: &Loading) -> Result<Option<Sample>> {
        let is_timed = self.may_give_way && self.found.as_ref().is_none_or(|found| found.pace.is_none());
        if self.found.is_some() && !is_timed {
            return Ok(None);
        }
        loading.sample(is_timed).await
    }

    /// Tests the model, if that was not done before, and keeps the outcome.
    ///
    /// # Errors
    /// `webgpu-unavailable` if the GPU computes wrong results whatever is tried, and, of the kind `SlowGpu`, if the CPU is
    /// faster and may have the model; `device-lost`.
    pub async fn find(mut self, model: &mut GpuModel, sample: Option<Sample>) -> Result<()> {
        let Some(mut sample) = sample else { return Ok(()) };
        let (mut found, mut is_new) = match self.found.take() {
            Some(found) => (found, false),
            None if model.verify(&sample).await? => {
                (Found { subgroups: model.gpu().forgone().is_none(), pace: None }, true)
            }
            None => return Ok(()), // this model does not tell: the next one of its shape may
        };
        if self.may_give_way && found.pace.is_none() {
            let since = Date::now();
            found.pace =
                model.pace(&mut sample).await?.map(|pace| FoundPace { is_slow: pace.is_slower_than_cpu(), since });
            is_new = true;
        }
        if let (Some(store), true) = (&self.store, is_new) {
            remember(store, &self.name, &found).await;
        }
        match found.pace {
            Some(FoundPace { is_slow: true, .. }) if self.may_give_way => {
                Err(Error::new(ErrorCode::WebgpuUnavailable, "This model is slower on this GPU than on the CPU.")
                    .of_kind(ErrorKind::SlowGpu))
            }
            _ => Ok(()),
        }
    }
}
