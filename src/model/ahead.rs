//! Two of the kernels that take longest to compile, of which little or nothing must be known of the model: they begin to
//! be compiled as soon as there is a device, while the rest is still to be found out. The first kernel also makes the
//! driver load its compiler, which takes a tenth of a second on some machines.

use super::kernels::{Matmul, MatmulBytes, SamplePick};
use crate::checkpoint::layout::TableFormat;
use crate::config::ModelConfig;
use crate::gpu::{Gpu, Warm};

/// Kernels that are being compiled before a model's shape is known.
#[derive(Default)]
pub struct Ahead(Vec<Warm>);

impl Ahead {
    /// Begins to compile the choice of a token, if the model's vocabulary is known, and the products of a prompt with
    /// tables of q4.
    pub fn begin(gpu: &Gpu, likely: Option<&ModelConfig>) -> Self {
        let pick = likely.map(|config| SamplePick::new(gpu, config.padded_vocab_size).ahead());
        let product = match gpu.multiplies_bytes() {
            true => MatmulBytes::ahead(TableFormat::Q4),
            false => Matmul::ahead(TableFormat::Q4),
        };
        let mut kernels: Vec<_> = pick.into_iter().chain([product]).collect();
        kernels.iter_mut().for_each(|kernel| kernel.begin(gpu));
        Self(kernels)
    }

    /// Puts what was begun in place of the same among `kernels`; true if all of it is among them.
    pub(super) fn give(self, kernels: &mut [Warm]) -> bool {
        self.0.into_iter().fold(true, |all, begun| match kernels.iter_mut().find(|kernel| kernel.is_same(&begun)) {
            Some(kernel) => {
                *kernel = begun;
                all
            }
            None => false,
        })
    }
}
