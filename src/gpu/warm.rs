//! Compiles a pipeline without holding up what runs: a browser can, but wgpu does not ask it to. The pipeline that is
//! made here is thrown away; while it is alive, creating the same pipeline again is instant.

use super::binding::Access;
use super::device::Gpu;
use super::shader::ShaderSpec;
use crate::error::Result;

/// A pipeline that is to be compiled, or already is.
pub struct Warm {
    spec: ShaderSpec,
    accesses: Vec<(u32, Access)>,
    /// The pipeline, once it was begun. Its failure is handled even while nothing awaits it.
    #[cfg(target_arch = "wasm32")]
    promised: Option<wasm_bindgen_futures::JsFuture>,
    #[cfg(target_arch = "wasm32")]
    _pipeline: Option<wasm_bindgen::JsValue>,
}

impl Warm {
    /// Kernel `spec` with bindings of these kinds.
    pub fn new(spec: ShaderSpec, accesses: Vec<(u32, Access)>) -> Self {
        Self {
            spec,
            accesses,
            #[cfg(target_arch = "wasm32")]
            promised: None,
            #[cfg(target_arch = "wasm32")]
            _pipeline: None,
        }
    }

    /// True for the same kernel with the same kinds of bindings.
    pub fn is_same(&self, other: &Self) -> bool {
        self.spec == other.spec && self.accesses == other.accesses
    }

    /// Its WGSL text.
    ///
    /// # Errors
    /// If the shader's files contradict each other.
    pub fn source(&self) -> Result<String> {
        self.spec.source()
    }

    /// What [`is_compiled`](Self::is_compiled) will say, if it would not wait.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn is_compiled_by_now(&mut self) -> Option<bool> {
        Some(self.spec.source().is_ok() && !self.accesses.is_empty())
    }

    /// What [`is_compiled`](Self::is_compiled) will say, if it would not wait.
    #[cfg(target_arch = "wasm32")]
    pub fn is_compiled_by_now(&mut self) -> Option<bool> {
        use std::task::{Context, Poll, Waker};
        if let Some(promised) = &mut self.promised {
            match std::pin::Pin::new(promised).poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Pending => return None,
                Poll::Ready(made) => (self.promised, self._pipeline) = (None, made.ok()),
            }
        }
        Some(self._pipeline.is_some())
    }

    /// Natively there is nobody to hold up: the kernel is compiled when it is made.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn begin(&mut self, _gpu: &Gpu) {}

    /// Begins to compile, unless that was begun before. A browser compiles several at a time.
    #[cfg(target_arch = "wasm32")]
    pub fn begin(&mut self, gpu: &Gpu) {
        if self.promised.is_none() && self._pipeline.is_none() {
            self.promised = self.ask(gpu).ok().map(Into::into);
        }
    }

    /// True where there is something to compile.
    #[cfg(not(target_arch = "wasm32"))]
    pub async fn is_compiled(&mut self) -> bool {
        self.spec.source().is_ok() && !self.accesses.is_empty()
    }

    /// True once what was begun is compiled; false if it cannot be.
    #[cfg(target_arch = "wasm32")]
    pub async fn is_compiled(&mut self) -> bool {
        if let Some(promised) = self.promised.take() {
            self._pipeline = promised.await.ok();
        }
        self._pipeline.is_some()
    }

    #[cfg(target_arch = "wasm32")]
    fn ask(&self, gpu: &Gpu) -> std::result::Result<js_sys::Promise, wasm_bindgen::JsValue> {
        use js_sys::{Array, Function, Object, Reflect};
        use wasm_bindgen::{JsCast, JsValue};
        let object = |fields: &[(&str, JsValue)]| -> std::result::Result<JsValue, JsValue> {
            let object = Object::new();
            for (name, value) in fields {
                Reflect::set(&object, &JsValue::from(*name), value)?;
            }
            Ok(object.into())
        };
        let device = gpu.device.as_webgpu().ok_or(JsValue::UNDEFINED)?;
        let device: &JsValue = device.as_ref();
        let call = |method: &str, argument: JsValue| -> std::result::Result<JsValue, JsValue> {
            Reflect::get(device, &method.into())?.dyn_into::<Function>()?.call1(device, &argument)
        };
        let source = self.spec.source().map_err(|e| JsValue::from(e.to_string()))?;
        let module = call("createShaderModule", object(&[("code", source.into())])?)?;
        let entries = Array::new();
        for (index, access) in &self.accesses {
            let kind = match access {
                Access::Uniform => "uniform",
                Access::Read => "read-only-storage",
                Access::Write => "storage",
            };
            let buffer = object(&[("type", kind.into())])?;
            const COMPUTE: u32 = 4; // GPUShaderStage.COMPUTE
            entries.push(&object(&[("binding", (*index).into()), ("visibility", COMPUTE.into()), ("buffer", buffer)])?);
        }
        let group = call("createBindGroupLayout", object(&[("entries", entries.into())])?)?;
        let layout = call("createPipelineLayout", object(&[("bindGroupLayouts", Array::of1(&group).into())])?)?;
        let compute = object(&[("module", module), ("entryPoint", "main".into())])?;
        let label = self.spec.label().into();
        let pipeline = object(&[("label", label), ("layout", layout), ("compute", compute)])?;
        call("createComputePipelineAsync", pipeline)?.dyn_into()
    }
}
