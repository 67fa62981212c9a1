//! Dispatches that can be recorded: pipelines and bind groups, made once.

use super::group::Group;
use super::kernels::{Dispatch, Grid};
use crate::error::Result;
use crate::gpu::{Gpu, Kernel, Kernels, Warm};
use std::ops::Range;

/// One dispatch of a plan.
pub struct Stage {
    kernel: Kernel,
    grid: Grid,
}

impl Stage {
    /// Kernel, flags and constants.
    pub fn label(&self) -> &str {
        self.kernel.label()
    }

    /// Workgroups for a step of `count` tokens after `past`.
    pub fn grid(&self, past: usize, count: usize) -> [u32; 3] {
        self.grid.of(past, count)
    }

    /// Records it for a step of `count` tokens after `past`.
    pub fn record(&self, pass: &mut wgpu::ComputePass<'_>, past: usize, count: usize) {
        self.kernel.dispatch(pass, self.grid.of(past, count));
    }
}

/// Dispatches in order.
#[derive(Default)]
pub struct Stages(Vec<Stage>, Vec<(usize, Mark)>);

/// A point between dispatches where scores of a Pattention can be inspected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The layer.
    pub layer: usize,
    /// Which Pattentions.
    pub group: Group,
    /// The scores are those of packs' tokens: the base's are weights by now.
    pub of_packs: bool,
}

impl Stages {
    /// Records all dispatches for a step of `count` tokens after `past`.
    pub fn record(&self, pass: &mut wgpu::ComputePass<'_>, past: usize, count: usize) {
        for stage in &self.0 {
            stage.record(pass, past, count);
        }
    }

    /// Marks that scores can be inspected between the dispatches so far and those that follow.
    pub fn mark(&mut self, mark: Mark) {
        self.1.push((self.0.len(), mark));
    }

    /// Records all dispatches, and lets `look` record something at each mark.
    pub fn record_looking(
        &self,
        pass: &mut wgpu::ComputePass<'_>,
        (past, count): (usize, usize),
        mut look: impl FnMut(&mut wgpu::ComputePass<'_>, Mark),
    ) {
        let mut done = 0;
        for (at, mark) in &self.1 {
            self.0[done..*at].iter().for_each(|stage| stage.record(pass, past, count));
            done = *at;
            look(pass, *mark);
        }
        self.0[done..].iter().for_each(|stage| stage.record(pass, past, count));
    }

    /// Records the dispatches of some of `of` layers, which are all alike.
    pub fn record_layers(
        &self,
        pass: &mut wgpu::ComputePass<'_>,
        (past, count): (usize, usize),
        (layers, of): (Range<usize>, usize),
    ) {
        let at = |layer: usize| self.0.len() * layer / of;
        for stage in &self.0[at(layers.start)..at(layers.end)] {
            stage.record(pass, past, count);
        }
    }

    /// All of them.
    pub fn stages(&self) -> &[Stage] {
        &self.0
    }

    /// Number of dispatches.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

/// Makes dispatches, or collects what they need compiled.
pub struct Stager<'a> {
    gpu: &'a Gpu,
    kernels: Kernels,
}

impl<'a> Stager<'a> {
    /// Makes them on `gpu`.
    pub fn new(gpu: &'a Gpu) -> Self {
        Self { gpu, kernels: Kernels::default() }
    }

    /// Makes nothing, and collects what to compile.
    pub fn noting(gpu: &'a Gpu) -> Self {
        Self { gpu, kernels: Kernels::noting() }
    }

    /// What was collected.
    pub fn into_notes(self) -> Vec<Warm> {
        self.kernels.into_notes()
    }

    /// Makes a dispatch; `None` if it is only collected.
    ///
    /// # Errors
    /// If the shader's files contradict each other.
    pub fn stage(&mut self, dispatch: &Dispatch<'_>) -> Result<Option<Stage>> {
        let kernel = self.kernels.kernel(self.gpu, &dispatch.shader, &dispatch.bindings)?;
        Ok(kernel.map(|kernel| Stage { kernel, grid: dispatch.grid }))
    }

    /// Makes a dispatch that comes after those of `stages`.
    ///
    /// # Errors
    /// If the shader's files contradict each other.
    pub fn push(&mut self, stages: &mut Stages, dispatch: &Dispatch<'_>) -> Result<()> {
        stages.0.extend(self.stage(dispatch)?);
        Ok(())
    }
}
