//! When a failed load is retried, and on what: on another device if one was lost, on the CPU if there is no usable GPU.
//! What was stored by then need not be loaded again.

use super::request::Wanted;
use crate::cpu::Reason;
use crate::engine::MOST_LOSSES;
use crate::error::{ErrorCode, ErrorKind, Result};

/// What came of one attempt.
pub struct Attempt<T> {
    /// What it made.
    pub result: Result<T>,
    /// The model was known to go to the CPU.
    pub is_on_cpu: bool,
}

/// Makes attempts with `load` until one succeeds or nothing is left to try. `load` gets the reason if the model is to
/// go to the CPU.
///
/// # Errors
/// Those of the last attempt.
pub async fn attempts<T>(wanted: Wanted, mut load: impl AsyncFnMut(Option<Reason>) -> Attempt<T>) -> Result<T> {
    let mut losses = 0;
    let mut on_cpu = (wanted == Wanted::Cpu).then_some(Reason::Asked);
    loop {
        let Attempt { result, is_on_cpu } = load(on_cpu.clone()).await;
        match result {
            Err(e) if e.code == ErrorCode::DeviceLost && losses + 1 < MOST_LOSSES => losses += 1,
            Err(e) if e.code == ErrorCode::WebgpuUnavailable && wanted == Wanted::Auto && !is_on_cpu => {
                on_cpu = Some(match e.kind {
                    ErrorKind::SlowGpu => Reason::SlowGpu,
                    _ => Reason::NoGpu(e.message),
                });
            }
            result => return result,
        }
    }
}
