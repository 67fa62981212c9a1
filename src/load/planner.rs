//! Finds out what there is at a place, and plans to load it.

use super::plan::Plan;
use super::request::Request;
use super::source::Source;
use super::{published, quantized};
use crate::error::Result;
use crate::hash::sha256;
use crate::platform::Platform;

/// Plans to load what is at a source. `exact`: read where the checkpoint's entries begin instead of guessing.
///
/// # Errors
/// `model-not-found` without weights, those of the network, and those of what is there.
pub async fn plan<P: Platform>(source: &Source<P>, request: &Request, exact: bool) -> Result<Plan> {
    let config_json = source.config.as_deref();
    let mut identity = config_json.unwrap_or_default().to_vec();
    let plan = match quantized::plan(source, request, config_json, &mut identity).await? {
        Some(plan) => Some(plan),
        None => published::plan(source, request, config_json, exact, &mut identity).await?,
    };
    let Some(mut plan) = plan else {
        return Err(source.nothing_here());
    };
    if let Some(other) = source.of_another_kind.take() {
        source.notes.borrow_mut().push(format!("{} So its pytorch_model.bin was loaded.", other.message));
    }
    plan.identity = sha256(&identity)[..40].to_owned();
    Ok(plan)
}
