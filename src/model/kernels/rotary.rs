//! Rotary position embedding (`shaders/rotary.wgsl`): its constants, and the table of angles.

use crate::config::ModelConfig;
use crate::gpu::shader::ShaderSpec;

/// Constants of the shared part of the shaders.
#[derive(Clone, Copy, Debug)]
pub struct Rotary {
    /// Dimensions of a head.
    pub head: usize,
    /// How many of these dimensions are rotated.
    pub dims: usize,
}

impl Rotary {
    /// The constants of a model.
    pub fn new(config: &ModelConfig) -> Self {
        Self { head: config.head_size(), dims: config.rotary_dims() }
    }

    /// Adds its constants.
    pub fn constants(self, spec: ShaderSpec) -> ShaderSpec {
        spec.with("HEAD", self.head).with("ROTARY", self.dims)
    }

    /// cos and sin of position · base^(−2i/r), computed in f64: [context, r/2, 2].
    pub fn angles(self, base: f64, context_length: usize) -> Vec<f32> {
        let r = self.dims;
        let frequencies: Vec<f64> = (0..r / 2).map(|i| base.powf(-2.0 * i as f64 / r as f64)).collect();
        let mut out = Vec::with_capacity(context_length * r);
        for position in 0..context_length {
            for f in &frequencies {
                let angle = position as f64 * f;
                out.extend([angle.cos() as f32, angle.sin() as f32]);
            }
        }
        out
    }
}
