//! `data.pkl` alone: the unpickler, and the shape of the model that is read off its tensors.
use tokenformer_web::checkpoint::names::{Names, resolve_config};
use tokenformer_web::checkpoint::pickle::parse_state_dict;

/// What no input may bring to panic, to hang, or to take too much memory.
pub fn run(data: &[u8]) {
    if let Ok(state) = parse_state_dict(data)
        && let Ok(names) = Names::resolve(&state)
    {
        let _ = resolve_config(&names.shapes, Some("TokenFormer-150M"), None, None);
    }
}
