//! What is asked for.

use crate::checkpoint::layout::Quantization;
use crate::config::PartialConfig;
use crate::hub::listing::is_commit;
use crate::store::serve::{self, Version};
use serde::Deserialize;

/// What the caller wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wanted {
    /// The GPU if there is one, else the CPU.
    #[default]
    Auto,
    /// The GPU or nothing.
    Webgpu,
    /// The CPU.
    Cpu,
}

/// What `www/lib/api/model.js` asks for; everything is checked there.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// What `info.id` shows.
    pub id: String,
    /// Branch, tag or commit.
    pub revision: String,
    /// URL of a model folder, with a slash at its end, …
    pub folder_url: Option<String>,
    /// … or a repository of the hub …
    pub repository: Option<String>,
    /// … at this address.
    pub endpoint: String,
    /// An access token for it.
    pub token: Option<String>,
    /// Precision; if not given, that of the folder, or q4.
    pub quantization: Option<Quantization>,
    /// What the caller says of the model's shape.
    pub config: Option<PartialConfig>,
    /// Tokens; if not given, as many as the model is made for, up to 2,048.
    pub context_length: Option<usize>,
    /// What is downloaded is kept.
    pub cache: bool,
    /// Where the model is to run.
    #[serde(default)]
    pub backend: Wanted,
    /// With `auto`, a software GPU is as good as any: for tests.
    #[serde(default)]
    pub takes_software_gpu: bool,
}

impl Request {
    /// A request that only names a model.
    pub fn named(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            revision: String::new(),
            folder_url: None,
            repository: None,
            endpoint: String::new(),
            token: None,
            quantization: None,
            config: None,
            context_length: None,
            cache: false,
            backend: Wanted::Auto,
            takes_software_gpu: false,
        }
    }

    /// Only a GPU will do, even a software one.
    pub fn insists_on_gpu(&self) -> bool {
        self.backend != Wanted::Auto || self.takes_software_gpu
    }

    /// The hub's address; empty for a folder.
    pub fn endpoint(&self) -> &str {
        match self.repository {
            Some(_) => self.endpoint.trim_end_matches('/'),
            None => "",
        }
    }

    /// The commit that is asked for, which never changes. A folder has no revisions.
    pub fn commit(&self) -> Option<&str> {
        let is_pinned = self.repository.is_some() && is_commit(&self.revision);
        is_pinned.then_some(self.revision.as_str())
    }

    /// The branch or tag that is asked for.
    pub fn name(&self) -> Option<&str> {
        let is_named = self.repository.is_some() && !is_commit(&self.revision);
        is_named.then_some(self.revision.as_str())
    }

    /// Which stored version serves this request where the source cannot be reached.
    pub fn version(&self) -> Version<'_> {
        match &self.repository {
            Some(_) => Version::Name(&self.revision),
            None => Version::Newest,
        }
    }

    /// What it asks the store for.
    pub fn wanted(&self) -> serve::Wanted<'_> {
        serve::Wanted {
            endpoint: self.endpoint(),
            id: &self.id,
            quantization: self.quantization,
            config: self.config.as_ref(),
        }
    }
}
