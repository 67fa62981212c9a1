//! Asking for subgroups, which wgpu knows natively but does not ask a browser for.

use std::time::Duration;
use wgpu::{
    Adapter, Device, DeviceDescriptor, Instance, Queue, RequestAdapterError, RequestAdapterOptions, RequestDeviceError,
};

/// How long a browser may take to find an adapter, and to open a device: some never answer, and a busy one is slow.
/// Where there is nothing else to run on, it gets more time.
pub const fn longest(insists: bool) -> Duration {
    Duration::from_secs(if insists { 60 } else { 20 })
}

type Opened = Result<(Device, Queue), RequestDeviceError>;

#[cfg(not(target_arch = "wasm32"))]
pub use native::{is_known, request_adapter, request_device};
#[cfg(target_arch = "wasm32")]
pub use web::{is_known, request_adapter, request_device};

#[cfg(not(target_arch = "wasm32"))]
mod native {
    use super::*;

    /// A system may always have a GPU.
    pub fn is_known() -> bool {
        true
    }

    /// The adapter; nothing more is known of it here.
    pub async fn request_adapter(
        instance: &Instance,
        wanted: &RequestAdapterOptions<'_, '_>,
        _longest: Duration,
    ) -> Option<(Result<Adapter, RequestAdapterError>, ())> {
        Some((instance.request_adapter(wanted).await, ()))
    }

    /// A device, with subgroups if they are wanted and available; true if it has them.
    pub async fn request_device(
        adapter: &Adapter,
        _raw: (),
        descriptor: DeviceDescriptor<'_>,
        subgroups: bool,
        _longest: Duration,
    ) -> Option<(Opened, bool)> {
        let features = wgpu::Features::SUBGROUP;
        let has = subgroups && adapter.features().contains(features);
        let required_features = descriptor.required_features | if has { features } else { wgpu::Features::empty() };
        Some((adapter.request_device(&DeviceDescriptor { required_features, ..descriptor }).await, has))
    }
}

#[cfg(target_arch = "wasm32")]
mod web {
    use super::*;
    use crate::platform::browser::Browser;
    use crate::platform::wait::within;
    use js_sys::{Array, Function, Object, Promise, Reflect};
    use std::cell::RefCell;
    use std::rc::Rc;
    use wasm_bindgen::prelude::*;
    use wasm_bindgen_futures::JsFuture;

    const FEATURE: &str = "subgroups";

    /// Overrides a method of one object while this lives. The prototype, which the page shares, stays as it is.
    struct Shadow<'a> {
        object: &'a Object,
        name: &'a str,
        /// What the page itself had put there; usually undefined.
        before: JsValue,
        _closure: Closure<dyn FnMut(JsValue) -> JsValue>,
    }

    impl<'a> Shadow<'a> {
        /// `work` gets the argument and the object's own method, bound to it.
        fn new(
            object: &'a Object,
            name: &'a str,
            mut work: impl FnMut(&Function, JsValue) -> Result<JsValue, JsValue> + 'static,
        ) -> Option<Self> {
            let method: Function = Reflect::get(object, &name.into()).ok()?.dyn_into().ok()?;
            let method = method.bind0(object);
            let closure =
                Closure::new(move |argument| work(&method, argument).unwrap_or_else(|e| Promise::reject(&e).into()));
            let before = Reflect::get_own_property_descriptor(object, &name.into()).ok()?;
            Reflect::set(object, &name.into(), closure.as_ref()).ok()?;
            Some(Self { object, name, before, _closure: closure })
        }
    }

    impl Drop for Shadow<'_> {
        fn drop(&mut self) {
            // An own property that was just set can be deleted, or restored.
            let _ = match self.before.dyn_ref::<Object>() {
                Some(before) => Reflect::define_property(self.object, &self.name.into(), before),
                None => Reflect::delete_property(self.object, &self.name.into()),
            };
        }
    }

    /// `navigator.gpu`.
    fn gpu() -> Option<Object> {
        let navigator = Reflect::get(&js_sys::global(), &"navigator".into()).ok()?;
        Reflect::get(&navigator, &"gpu".into()).ok()?.dyn_into().ok()
    }

    /// True if there is WebGPU. Where there is none, as outside a browser, wgpu must not be asked.
    pub fn is_known() -> bool {
        gpu().is_some()
    }

    /// The adapter, and the browser's object for it; `None` if the browser does not answer.
    pub async fn request_adapter(
        instance: &Instance,
        wanted: &RequestAdapterOptions<'_, '_>,
        longest: Duration,
    ) -> Option<(Result<Adapter, RequestAdapterError>, Option<Object>)> {
        let gpu = gpu();
        let promised: Rc<RefCell<Option<JsValue>>> = Rc::default();
        let noted = promised.clone();
        let request = {
            let _shadow = gpu.as_ref().and_then(|gpu| {
                Shadow::new(gpu, "requestAdapter", move |method, options| {
                    let promise = method.call1(&JsValue::UNDEFINED, &options)?;
                    noted.replace(Some(promise.clone()));
                    Ok(promise)
                })
            });
            instance.request_adapter(wanted) // asks at once, and waits later
        };
        let adapter = within(&Browser, longest, request).await?;
        let promise = promised.take().and_then(|p| p.dyn_into::<Promise>().ok());
        let raw = match promise {
            Some(promise) => JsFuture::from(promise).await.ok().and_then(|a| a.dyn_into::<Object>().ok()),
            None => None,
        };
        Some((adapter, raw))
    }

    /// A device, with subgroups if they are wanted and available; true if it has them. `None` if the browser does not
    /// answer.
    pub async fn request_device(
        adapter: &Adapter,
        raw: Option<Object>,
        descriptor: DeviceDescriptor<'_>,
        subgroups: bool,
        longest: Duration,
    ) -> Option<(Opened, bool)> {
        let offers = |raw: &Object| {
            let features = Reflect::get(raw, &"features".into())?;
            let has: Function = Reflect::get(&features, &"has".into())?.dyn_into()?;
            has.call1(&features, &FEATURE.into())
        };
        let request = {
            let raw = raw.as_ref().filter(|raw| subgroups && offers(raw).is_ok_and(|yes| yes.is_truthy()));
            let _shadow = raw.and_then(|raw| {
                Shadow::new(raw, "requestDevice", |method, descriptor| {
                    let features = Array::from(&Reflect::get(&descriptor, &"requiredFeatures".into())?);
                    features.push(&FEATURE.into());
                    Reflect::set(&descriptor, &"requiredFeatures".into(), &features)?;
                    method.call1(&JsValue::UNDEFINED, &descriptor)
                })
            });
            adapter.request_device(&descriptor)
        };
        let opened = within(&Browser, longest, request).await?;
        let has = opened.as_ref().is_ok_and(|(device, _)| {
            device.as_webgpu().is_some_and(|d| {
                let d: &JsValue = d.as_ref();
                d.dyn_ref::<Object>().is_some_and(|d| offers(d).is_ok_and(|yes| yes.is_truthy()))
            })
        });
        Some((opened, has))
    }
}
