//! Pipelines, made once for each [`ShaderSpec`], and dispatches with their bind groups made ahead.

use super::binding::{Access, Binding};
use super::device::Gpu;
use super::shader::ShaderSpec;
use super::warm::Warm;
use crate::error::Result;
use std::collections::HashMap;
use std::rc::Rc;

/// A compiled pipeline with one set of buffers.
#[derive(Clone)]
pub struct Kernel {
    label: Rc<str>,
    pipeline: Rc<wgpu::ComputePipeline>,
    bind_group: wgpu::BindGroup,
}

impl Kernel {
    /// Kernel, flags and constants.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Records a dispatch of `grid` workgroups.
    pub fn dispatch(&self, pass: &mut wgpu::ComputePass<'_>, grid: [u32; 3]) {
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(0, &self.bind_group, &[]);
        pass.dispatch_workgroups(grid[0], grid[1], grid[2]);
    }
}

/// Makes pipelines, each once.
#[derive(Default)]
pub struct Kernels {
    made: HashMap<String, (Rc<wgpu::ComputePipeline>, wgpu::BindGroupLayout)>,
    /// If set, nothing is made: what would be is recorded here.
    notes: Option<Vec<(String, Warm)>>,
}

impl Kernels {
    /// Makes nothing, and records what is to be compiled.
    pub fn noting() -> Self {
        Self { notes: Some(Vec::new()), ..Self::default() }
    }

    /// What was recorded.
    pub fn into_notes(self) -> Vec<Warm> {
        self.notes.unwrap_or_default().into_iter().map(|(_, kernel)| kernel).collect()
    }

    /// The kernel `spec` with `bindings`; `None` where it is only recorded. Validation errors go to the caller's error
    /// scope.
    ///
    /// # Errors
    /// If the shader's files contradict each other.
    pub fn kernel(&mut self, gpu: &Gpu, spec: &ShaderSpec, bindings: &[Binding<'_>]) -> Result<Option<Kernel>> {
        let label = spec.label();
        if let Some(notes) = &mut self.notes {
            if notes.iter().all(|(noted, _)| *noted != label) {
                let accesses = bindings.iter().map(|b| (b.index, b.access)).collect();
                notes.push((label, Warm::new(spec.clone(), accesses)));
            }
            return Ok(None);
        }
        if !self.made.contains_key(&label) {
            let made = compile(gpu, spec, &label, bindings)?;
            self.made.insert(label.clone(), made);
        }
        let (pipeline, layout) = &self.made[&label];
        let bind_group = gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(&label),
            layout,
            entries: &bindings
                .iter()
                .map(|b| wgpu::BindGroupEntry {
                    binding: b.index,
                    resource: wgpu::BindingResource::Buffer(b.range.clone()),
                })
                .collect::<Vec<_>>(),
        });
        Ok(Some(Kernel { label: label.into(), pipeline: pipeline.clone(), bind_group }))
    }
}

fn compile(
    gpu: &Gpu,
    spec: &ShaderSpec,
    label: &str,
    bindings: &[Binding<'_>],
) -> Result<(Rc<wgpu::ComputePipeline>, wgpu::BindGroupLayout)> {
    let label = Some(label);
    let module = gpu.device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label,
        source: wgpu::ShaderSource::Wgsl(spec.source()?.into()),
    });
    let entries: Vec<_> = bindings
        .iter()
        .map(|b| wgpu::BindGroupLayoutEntry {
            binding: b.index,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer {
                ty: match b.access {
                    Access::Uniform => wgpu::BufferBindingType::Uniform,
                    Access::Read => wgpu::BufferBindingType::Storage { read_only: true },
                    Access::Write => wgpu::BufferBindingType::Storage { read_only: false },
                },
                has_dynamic_offset: false,
                min_binding_size: None,
            },
            count: None,
        })
        .collect();
    let layout = gpu.device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label, entries: &entries });
    let pipeline_layout = gpu.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label,
        bind_group_layouts: &[Some(&layout)],
        immediate_size: 0,
    });
    let pipeline = gpu.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label,
        layout: Some(&pipeline_layout),
        module: &module,
        entry_point: Some("main"),
        // Every kernel writes its workgroup memory before it reads it.
        compilation_options: wgpu::PipelineCompilationOptions {
            zero_initialize_workgroup_memory: false,
            ..Default::default()
        },
        cache: None,
    });
    Ok((Rc::new(pipeline), layout))
}
