//! Θ of Pattention (`shaders/theta.wgsl`).

use crate::config::NormActivation;

/// The flag of an activation.
pub fn flag(activation: NormActivation) -> &'static str {
    match activation {
        NormActivation::L2NormGelu => "L2_NORM_GELU",
        NormActivation::GeluL2Norm => "GELU_L2_NORM",
        NormActivation::Softmax => "SOFTMAX",
    }
}
