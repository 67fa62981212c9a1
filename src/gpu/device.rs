//! Opening a device, and what it can do.

use super::features;
use super::memory::Memory;
use crate::error::{Error, ErrorCode, Result};
use std::cell::Cell;
use std::rc::Rc;
use std::sync::{Arc, Mutex};

/// What the caller wants of the device.
#[derive(Clone, Debug, Default)]
pub struct GpuOptions {
    /// Ask for WebGPU's default limits only, whatever the adapter offers.
    pub default_limits: bool,
    /// Do without subgroups, even if the adapter has them.
    pub no_subgroups: bool,
    /// Do without f16 arithmetic, even if the adapter has it.
    pub no_f16: bool,
    /// Ask for timestamps, if the adapter has them.
    pub timestamps: bool,
    /// There is nothing else to run on: a browser that is slow to answer gets more time.
    pub insists: bool,
}

/// An open device with its queue.
pub struct Gpu {
    /// The device.
    pub device: wgpu::Device,
    /// Its queue.
    pub queue: wgpu::Queue,
    /// Bytes that this engine holds on the device.
    pub memory: Rc<Memory>,
    /// The "GPU" is a software one, on the CPU.
    pub is_software: bool,
    /// The adapter's vendor as the browser calls it; empty where it is unknown, and natively.
    pub vendor: String,
    /// Kernels may use subgroups, until a reason not to is set.
    has_subgroups: bool,
    forgone: Cell<Option<&'static str>>,
    is_faster_with_bytes: Cell<bool>,
    /// Kernels may compute with f16.
    pub has_f16: bool,
    /// Passes can be timed.
    pub has_timestamps: bool,
    /// Set once the device is lost: the browser's reason.
    lost: Arc<Mutex<Option<String>>>,
}

impl Gpu {
    /// Opens the fastest adapter.
    ///
    /// # Errors
    /// `webgpu-unavailable` without an adapter or if it refuses a device.
    pub async fn open(options: &GpuOptions) -> Result<Self> {
        let unavailable = |message: String| {
            Error::new(ErrorCode::WebgpuUnavailable, message)
                .hint("Use a recent Chrome, Edge, Safari or Firefox with WebGPU and hardware acceleration switched on.")
        };
        if !features::is_known() {
            return Err(unavailable("No WebGPU adapter was found.".into()));
        }
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
        let wanted = wgpu::RequestAdapterOptions {
            power_preference: wgpu::PowerPreference::HighPerformance,
            ..Default::default()
        };
        let longest = features::longest(options.insists);
        let silent = |what: &str| unavailable(format!("{what}: the browser gave no answer for {longest:?}."));
        let (adapter, raw) = features::request_adapter(&instance, &wanted, longest)
            .await
            .ok_or_else(|| silent("No WebGPU adapter was found"))?;
        let adapter =
            adapter.map_err(|e| unavailable("No WebGPU adapter was found.".into()).caused_by(e.to_string()))?;
        let offered = adapter.limits();
        let defaults = wgpu::Limits::default();
        // Everything works within the default limits. Larger bindings spare the embedding a split, and larger buffers
        // are needed as soon as a table is bigger than the default maximum. More workgroup memory holds a long row of
        // activations at once, and larger workgroups keep more of a row in flight.
        let required_limits = if options.default_limits {
            defaults
        } else {
            wgpu::Limits {
                max_storage_buffer_binding_size: offered.max_storage_buffer_binding_size,
                max_buffer_size: offered.max_buffer_size,
                max_compute_workgroup_storage_size: offered.max_compute_workgroup_storage_size,
                max_compute_invocations_per_workgroup: offered.max_compute_invocations_per_workgroup,
                max_compute_workgroup_size_x: offered.max_compute_workgroup_size_x,
                ..defaults
            }
        };
        let mut required_features = wgpu::Features::empty();
        let mut ask = |wanted, feature| {
            let has = wanted && adapter.features().contains(feature);
            required_features.set(feature, has);
            has
        };
        let has_timestamps = ask(options.timestamps, wgpu::Features::TIMESTAMP_QUERY);
        let has_f16 = ask(!options.no_f16, wgpu::Features::SHADER_F16);
        let label = Some("tokenformer-web");
        let descriptor = wgpu::DeviceDescriptor { label, required_features, required_limits, ..Default::default() };
        let opened = features::request_device(&adapter, raw, descriptor, !options.no_subgroups, longest).await;
        let (opened, has_subgroups) = opened.ok_or_else(|| silent("The WebGPU adapter opened no device"))?;
        let (device, queue) =
            opened.map_err(|e| unavailable("The WebGPU adapter refused a device.".into()).caused_by(e.to_string()))?;
        let lost = Arc::new(Mutex::new(None));
        watch(&device, lost.clone());
        let is_software = is_software(&adapter, &device);
        let vendor = vendor(&device);
        Ok(Self {
            device,
            queue,
            memory: Rc::default(),
            is_software,
            vendor,
            has_subgroups,
            forgone: Cell::new(None),
            is_faster_with_bytes: Cell::new(false),
            has_f16,
            has_timestamps,
            lost,
        })
    }

    /// Kernels may use subgroups.
    pub fn has_subgroups(&self) -> bool {
        self.has_subgroups && self.forgone.get().is_none()
    }

    /// From now on no new kernel uses subgroups, because `failed` happened to them; false if none did before.
    pub fn forgo_subgroups(&self, failed: &'static str) -> bool {
        let had = self.has_subgroups();
        if had {
            self.forgone.set(Some(failed));
        }
        had
    }

    /// True where products of bytes (`dot4I8Packed`) make prompts faster than single precision does: measured on
    /// NVIDIA's GPUs, or tried on this one. Where they are emulated they are slower.
    pub fn multiplies_bytes(&self) -> bool {
        (self.vendor == "nvidia" || self.is_faster_with_bytes.get()) && !self.is_software
    }

    /// True where that is yet to be tried.
    pub fn may_multiply_bytes(&self) -> bool {
        ["amd", "intel"].contains(&self.vendor.as_str()) && !self.multiplies_bytes() && !self.is_software
    }

    /// Products of bytes were faster here.
    pub fn multiply_bytes(&self) {
        self.is_faster_with_bytes.set(true);
    }

    /// What the device offers but is not used, and why: for `info`.
    pub fn forgone(&self) -> Option<String> {
        self.forgone.get().map(|failed| format!("Kernels with subgroups {failed} on this GPU, so they are not used."))
    }

    /// What the browser says of the adapter under `key`; wgpu keeps only a part of it.
    #[cfg(target_arch = "wasm32")]
    pub fn adapter_text(&self, key: &str) -> String {
        adapter_info(&self.device, key).as_string().unwrap_or_default()
    }

    /// Browser, adapter and its features: what is found out about one of them may not be true of another.
    #[cfg(target_arch = "wasm32")]
    pub fn describe(&self) -> String {
        use js_sys::Reflect;
        use wasm_bindgen::JsValue;
        let get = |object: &JsValue, key: &str| Reflect::get(object, &key.into()).unwrap_or(JsValue::UNDEFINED);
        let browser = get(&get(&js_sys::global(), "navigator"), "userAgent").as_string().unwrap_or_default();
        let adapter = ["vendor", "architecture", "device", "description"].map(|key| self.adapter_text(key));
        let limits = self.device.limits();
        let (memory, threads) =
            (limits.max_compute_workgroup_storage_size, limits.max_compute_invocations_per_workgroup);
        let (subgroups, f16) = (self.has_subgroups(), self.has_f16);
        format!("{browser}|{}|{subgroups} {f16} {memory} {threads}", adapter.join("|"))
    }

    /// Fails once the device is lost.
    ///
    /// # Errors
    /// `device-lost`.
    pub fn check(&self) -> Result<()> {
        match self.lost.lock().ok().and_then(|lost| lost.clone()) {
            None => Ok(()),
            Some(reason) => Err(Error::new(ErrorCode::DeviceLost, "The GPU device was lost.")
                .hint("Load the model again; if it happens again, close other tabs that use the GPU.")
                .caused_by(reason)),
        }
    }

    /// Runs `work` inside error scopes for validation, the driver's own errors and memory, and waits for their verdict.
    ///
    /// # Errors
    /// `work`'s own, `out-of-memory`, or `webgpu-unavailable` with the validation message.
    pub async fn scoped<T>(&self, what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let memory = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        // What a driver cannot compile is an internal error.
        let internal = self.device.push_error_scope(wgpu::ErrorFilter::Internal);
        let validation = self.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let result = work();
        let (validation, internal, memory) = (validation.pop(), internal.pop(), memory.pop());
        let (validation, internal, memory) = (validation.await, internal.await, memory.await);
        // Errors of a device that is being lost say nothing about the work itself.
        self.check()?;
        if let Some(e) = validation.or(internal) {
            return Err(Error::new(ErrorCode::WebgpuUnavailable, format!("{what} failed on this GPU: {e}."))
                .hint("Please report this with the browser's and the GPU's name."));
        }
        if let Some(e) = memory {
            return Err(Error::new(ErrorCode::OutOfMemory, format!("{what} does not fit into the GPU's memory."))
                .hint("Use a smaller model, a smaller contextLength or quantization \"q4\".")
                .caused_by(e.to_string()));
        }
        result
    }

    /// Reads `bytes` bytes of a buffer with `MAP_READ`, once all submitted work is done.
    ///
    /// # Errors
    /// `device-lost` if mapping fails.
    pub async fn read<T: bytemuck::AnyBitPattern + bytemuck::NoUninit>(
        &self,
        staging: &wgpu::Buffer,
        bytes: u64,
    ) -> Result<Vec<T>> {
        let pending = self.start_read(staging, bytes);
        self.finish_read(staging, pending).await
    }

    /// Begins to read; what is submitted from now on is not waited for.
    pub fn start_read(&self, staging: &wgpu::Buffer, bytes: u64) -> PendingRead {
        let (sender, receiver) = futures_channel::oneshot::channel();
        staging.map_async(wgpu::MapMode::Read, 0..bytes, move |result| {
            let _ = sender.send(result); // the receiver is only gone if the caller no longer waits
        });
        PendingRead { receiver, bytes }
    }

    /// Waits for a read that was begun.
    ///
    /// # Errors
    /// `device-lost` if mapping fails.
    pub async fn finish_read<T: bytemuck::AnyBitPattern + bytemuck::NoUninit>(
        &self,
        staging: &wgpu::Buffer,
        PendingRead { receiver, bytes }: PendingRead,
    ) -> Result<Vec<T>> {
        let lost = |e: String| {
            Error::new(ErrorCode::DeviceLost, "The GPU did not return its result.")
                .hint("Load the model again.")
                .caused_by(e)
        };
        // On the web the browser polls; natively nothing else does.
        #[cfg(not(target_arch = "wasm32"))]
        self.device.poll(wgpu::PollType::wait_indefinitely()).map_err(|e| lost(e.to_string()))?;
        receiver.await.map_err(|e| lost(e.to_string()))?.map_err(|e| lost(e.to_string()))?;
        let values = {
            let view = staging.get_mapped_range(0..bytes).map_err(|e| lost(e.to_string()))?;
            bytemuck::pod_collect_to_vec(&view)
        };
        staging.unmap();
        self.check()?;
        Ok(values)
    }
}

/// Records in `slot` why the device is lost, once it is.
#[cfg(not(target_arch = "wasm32"))]
fn watch(device: &wgpu::Device, slot: Arc<Mutex<Option<String>>>) {
    device.set_device_lost_callback(move |reason, message| {
        if let Ok(mut slot) = slot.lock() {
            *slot = Some(format!("{reason:?}: {message}"));
        }
    });
}

/// wgpu frees its callback with the device, but the callback is for the device's end: so the promise itself is awaited.
#[cfg(target_arch = "wasm32")]
fn watch(device: &wgpu::Device, slot: Arc<Mutex<Option<String>>>) {
    use wasm_bindgen::JsCast;
    let Some(device) = device.as_webgpu() else { return };
    let Ok(lost) = js_sys::Reflect::get(device.as_ref(), &"lost".into()) else { return };
    let Ok(lost) = lost.dyn_into::<js_sys::Promise>() else { return };
    wasm_bindgen_futures::spawn_local(async move {
        let Ok(info) = wasm_bindgen_futures::JsFuture::from(lost).await else { return };
        let text = |key: &str| js_sys::Reflect::get(&info, &key.into()).ok().and_then(|v| v.as_string());
        if let Ok(mut slot) = slot.lock() {
            *slot = Some(format!("{}: {}", text("reason").unwrap_or_default(), text("message").unwrap_or_default()));
        }
    });
}

#[cfg(not(target_arch = "wasm32"))]
fn is_software(adapter: &wgpu::Adapter, _device: &wgpu::Device) -> bool {
    adapter.get_info().device_type == wgpu::DeviceType::Cpu
}

/// wgpu does not say so on the web; the browser's own description does.
#[cfg(target_arch = "wasm32")]
fn is_software(_adapter: &wgpu::Adapter, device: &wgpu::Device) -> bool {
    let text = |key| adapter_info(device, key).as_string().unwrap_or_default();
    adapter_info(device, "isFallbackAdapter").is_truthy()
        || ["architecture", "device", "description"].into_iter().any(|key| names_software(&text(key)))
}

/// True for the name of one of the software GPUs that browsers and systems have.
#[cfg(any(test, target_arch = "wasm32"))]
fn names_software(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    ["swiftshader", "llvmpipe", "lavapipe", "basic render", "warp"].iter().any(|name| text.contains(name))
}

#[cfg(not(target_arch = "wasm32"))]
fn vendor(_device: &wgpu::Device) -> String {
    String::new()
}

#[cfg(target_arch = "wasm32")]
fn vendor(device: &wgpu::Device) -> String {
    adapter_info(device, "vendor").as_string().unwrap_or_default()
}

/// A field of the browser's description of the adapter; undefined if it has none.
#[cfg(target_arch = "wasm32")]
fn adapter_info(device: &wgpu::Device, key: &str) -> wasm_bindgen::JsValue {
    use js_sys::Reflect;
    use wasm_bindgen::JsValue;
    let Some(device) = device.as_webgpu() else { return JsValue::UNDEFINED };
    let get = |object: &JsValue, key: &str| Reflect::get(object, &key.into()).unwrap_or(JsValue::UNDEFINED);
    let info = get(device.as_ref(), "adapterInfo");
    if info.is_undefined() { info } else { get(&info, key) }
}

impl Drop for Gpu {
    /// Dropping a device frees nothing on the web until the garbage collector finds it.
    fn drop(&mut self) {
        self.device.destroy();
    }
}

/// A read that was begun.
#[derive(Debug)]
pub struct PendingRead {
    receiver: futures_channel::oneshot::Receiver<std::result::Result<(), wgpu::BufferAsyncError>>,
    bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn software_is_known_by_its_name() {
        for name in [
            "swiftshader",
            "SwiftShader Device (Subzero)",
            "llvmpipe (LLVM 19.1, 256 bits)",
            "Microsoft Basic Render Driver",
            "warp",
        ] {
            assert!(names_software(name), "{name}");
        }
        for name in ["", "hopper", "NVIDIA GeForce RTX 4090", "Apple M3", "gen-12lp"] {
            assert!(!names_software(name), "{name}");
        }
    }
}
