//! The model that comes with the build: named in www/lib/embedded.js, and nowhere else.

use serde::Deserialize;
use std::path::{Path, PathBuf};
use tokenformer_web::error::{Error, Result};

/// The part of embedded.js that is needed here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Embedded {
    /// The name of the model and of its folder.
    pub name: String,
    /// Perplexity of the shipped model, on the text of golden.json.
    pub perplexity: f64,
    /// How much higher than float32's it may be, as a fraction of it.
    pub perplexity_limit: f64,
}

impl Embedded {
    /// Reads www/lib/embedded.js.
    pub fn read() -> Result<Self> {
        let bytes = tokenformer_web::checkpoint::files::read(&root().join("www/lib/embedded.js"))?;
        let text = String::from_utf8_lossy(&bytes);
        let object = text.find("({").zip(text.rfind("})")).and_then(|(from, to)| text.get(from + 1..=to));
        let object = object.ok_or_else(|| Error::invalid_config("www/lib/embedded.js holds no object."))?;
        serde_json::from_str(object).map_err(|e| Error::invalid_config(format!("www/lib/embedded.js: {e}.")))
    }

    /// The model's folder.
    pub fn folder(&self) -> PathBuf {
        root().join("www/models").join(&self.name)
    }
}

/// The results of float32 PyTorch for it.
pub fn golden() -> PathBuf {
    root().join("tests/fixtures/embedded/golden.json")
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
