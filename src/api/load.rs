//! Loading a model: files of a folder, from the network to the GPU.

use super::download::Download;
use super::js;
use crate::checkpoint::folder::{Shard, check_complete, header_len, quantization, shard_names};
use crate::checkpoint::layout::Quantization;
use crate::config::{ModelConfig, PartialConfig};
use crate::error::{Error, ErrorCode, Result};
use crate::generate::Model;
use crate::gpu::{Gpu, GpuOptions};
use crate::hub::Location;
use crate::hub::fetch::{Body, Client};
use crate::model::{GpuModel, Loading};
use crate::tokenizer::Tokenizer;
use js_sys::Function;
use serde::{Deserialize, Serialize};
use std::cell::Cell;
use std::rc::Rc;
use wasm_bindgen::prelude::*;
use web_sys::AbortSignal;
use web_time::Instant;

/// Largest `config.json` and `tokenizer.json` that are read, in bytes.
const CONFIG_LIMIT: usize = 1 << 20;
const TOKENIZER_LIMIT: usize = 64 << 20;
/// Least time between two progress reports of a download, in seconds.
const REPORT_EVERY: f64 = 0.05;
/// The weights of a model that is not sharded.
const SINGLE_FILE: &str = "model.safetensors";
/// Whose tokenizer the published models share.
const SHARED_TOKENIZER: &str = "EleutherAI/gpt-neox-20b";

/// What `www/lib/model.js` asks for; everything is checked there.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// What `info.id` shows.
    pub id: String,
    /// Branch, tag or commit.
    pub revision: String,
    /// URL of a model folder, with a slash at its end, …
    pub folder_url: Option<String>,
    /// … or a repository of the hub at this endpoint.
    pub repository: Option<String>,
    pub endpoint: String,
    pub token: Option<String>,
    pub quantization: Option<Quantization>,
    pub config: Option<PartialConfig>,
    pub context_length: Option<usize>,
    pub backend: Option<String>,
}

/// A loaded model and what is told about it.
pub struct Loaded {
    pub model: Model<GpuModel>,
    pub quantization: Quantization,
    pub notes: Vec<String>,
}

/// The contract's progress object.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Progress<'a> {
    phase: &'a str,
    loaded_bytes: u64,
    total_bytes: Option<u64>,
    file: Option<&'a str>,
    from_cache: bool,
    bytes_per_second: Option<f64>,
}

/// Calls the caller's `onProgress`.
struct Reporter<'a> {
    callback: &'a Function,
    loaded: Cell<u64>,
    total: Cell<Option<u64>>,
    started: Cell<Instant>,
    reported: Cell<f64>,
}

impl<'a> Reporter<'a> {
    fn new(callback: &'a Function) -> Self {
        let started = Cell::new(Instant::now());
        Self { callback, loaded: Cell::new(0), total: Cell::new(None), started, reported: Cell::new(-1.0) }
    }

    fn report(&self, phase: &str, file: Option<&str>) -> Result<()> {
        let seconds = self.started.get().elapsed().as_secs_f64();
        let progress = js::value(&Progress {
            phase,
            loaded_bytes: self.loaded.get(),
            total_bytes: self.total.get(),
            file,
            from_cache: false,
            bytes_per_second: (phase == "download" && seconds > 0.0).then(|| self.loaded.get() as f64 / seconds),
        })?;
        // A callback that throws is the caller's matter and must not break the load.
        let _ = self.callback.call1(&JsValue::NULL, &progress);
        Ok(())
    }

    /// Adds bytes of a download, and reports now and then.
    fn add(&self, file: &str, bytes: u64) -> Result<()> {
        self.loaded.set(self.loaded.get() + bytes);
        let now = self.started.get().elapsed().as_secs_f64();
        if now - self.reported.get() < REPORT_EVERY && self.total.get() != Some(self.loaded.get()) {
            return Ok(());
        }
        self.reported.set(now);
        self.report("download", Some(file))
    }
}

/// Loads the model that `request` names.
pub async fn load(request: &Request, on_progress: &Function, signal: Option<AbortSignal>) -> Result<Loaded> {
    if request.backend.as_deref() == Some("cpu") {
        return Err(Error::new(ErrorCode::WebgpuUnavailable, "This version has no CPU backend.")
            .hint("Leave backend out, and use a browser with WebGPU."));
    }
    let progress = Reporter::new(on_progress);
    progress.report("resolve", None)?;
    let location = match (&request.folder_url, &request.repository) {
        (Some(url), _) => Location::Folder { url: url.clone() },
        (None, Some(repository)) => Location::Repository {
            endpoint: request.endpoint.trim_end_matches('/').to_owned(),
            repository: repository.clone(),
            revision: request.revision.clone(),
        },
        (None, None) => return Err(Error::invalid_argument("Neither a folder nor a repository is named.")),
    };
    let client = Client::new(location, request.token.clone(), signal);
    let stored = match client.bytes("config.json", CONFIG_LIMIT).await {
        Ok(json) => PartialConfig::from_json(&json)?,
        Err(e) if e.code == ErrorCode::ModelNotFound && request.config.is_some() => PartialConfig::default(),
        Err(e) => return Err(e),
    };
    let config = request.config.clone().unwrap_or_default().or(stored).finish()?;
    let tokenizer = tokenizer(request, &client).await?;
    // The device is asked for before the large download: without one there is no use for it.
    let gpu = Rc::new(Gpu::open(&GpuOptions::default()).await?);
    let files = Files::open(&client, &config).await?;
    let quantization = quantization(&files.shards)?;
    if let Some(wanted) = request.quantization
        && wanted != quantization
    {
        let (is, wanted) = (quantization.as_str(), wanted.as_str());
        return Err(Error::invalid_argument(format!(
            "quantization is {wanted:?}, but this model is stored as {is:?}."
        ))
        .hint("Leave quantization out, or name a model of that precision."));
    }
    let loading = Loading::new(gpu, config, quantization, request.context_length).await?;
    files.download(&client, &loading, &progress).await?;
    progress.report("compile", None)?;
    let model = loading.finish().await?;
    client.check_abort()?;
    let model = Model::new(model, tokenizer)?;
    progress.report("ready", None)?;
    Ok(Loaded { model, quantization, notes: Vec::new() })
}

async fn tokenizer(request: &Request, client: &Client) -> Result<Option<Tokenizer>> {
    let json = match client.bytes("tokenizer.json", TOKENIZER_LIMIT).await {
        Ok(json) => json,
        Err(e) if e.code == ErrorCode::ModelNotFound => {
            let published = request.repository.as_deref().is_some_and(|r| ModelConfig::preset(r).is_some());
            if !published {
                return Ok(None);
            }
            client.elsewhere(SHARED_TOKENIZER, "main").bytes("tokenizer.json", TOKENIZER_LIMIT).await?
        }
        Err(e) => return Err(e),
    };
    Tokenizer::from_json(&json).map(Some)
}

/// The safetensors files of a folder, with their headers read.
struct Files {
    names: Vec<String>,
    shards: Vec<Shard>,
    config: ModelConfig,
    /// The only file, still open, if the model is not sharded.
    open: Option<OpenFile>,
}

/// A file whose header was read, and the bytes that came with it.
struct OpenFile {
    body: Body,
    shard: Shard,
    /// Position of the first byte of `rest`.
    data_start: u64,
    rest: Vec<u8>,
}

impl Files {
    async fn open(client: &Client, config: &ModelConfig) -> Result<Self> {
        let config = config.clone();
        match OpenFile::open(client, SINGLE_FILE, &config).await {
            Ok(mut open) => {
                let shards = vec![std::mem::take(&mut open.shard)];
                return Self { names: vec![SINGLE_FILE.to_owned()], shards, config, open: Some(open) }.checked();
            }
            Err(e) if e.code == ErrorCode::ModelNotFound => {}
            Err(e) => return Err(e),
        }
        let json = client.bytes("model.safetensors.index.json", TOKENIZER_LIMIT).await.map_err(|e| match e.code {
            ErrorCode::ModelNotFound => Error::new(e.code, "The folder has neither model.safetensors nor its index.")
                .hint("Check the address; a pytorch_model.bin must be converted first (see the README)."),
            _ => e,
        })?;
        // All headers first: the precision and the size of the whole must be known before the download.
        let names = shard_names(&json)?;
        let mut shards = Vec::with_capacity(names.len());
        for name in &names {
            shards.push(OpenFile::open(client, name, &config).await?.shard);
        }
        Self { names, shards, config, open: None }.checked()
    }

    fn checked(self) -> Result<Self> {
        check_complete(&self.shards, &self.config)?;
        Ok(self)
    }

    async fn download(mut self, client: &Client, loading: &Loading, progress: &Reporter<'_>) -> Result<()> {
        progress.total.set(Some(self.shards.iter().map(|s| s.file_bytes).sum()));
        progress.started.set(Instant::now());
        for (name, shard) in self.names.iter().zip(&self.shards) {
            let mut open = match self.open.take() {
                Some(open) => open,
                None => OpenFile::open(client, name, &self.config).await?,
            };
            progress.add(name, open.data_start)?;
            Download::new(&loading.gpu, &loading.weights, open.data_start)?
                .run(&mut open.body, &open.rest, &shard.sections, shard.file_bytes, |n| {
                    client.check_abort()?;
                    progress.add(name, n)
                })
                .await?;
        }
        Ok(())
    }
}

impl OpenFile {
    async fn open(client: &Client, name: &str, config: &ModelConfig) -> Result<Self> {
        let mut body = client.open(name).await?;
        let mut start = Vec::new();
        let mut need = 8;
        loop {
            if start.len() >= need {
                if need > 8 {
                    break;
                }
                let first: [u8; 8] = std::array::from_fn(|i| start[i]);
                need = 8 + header_len(first)?;
                continue;
            }
            let piece = body.next().await?.ok_or_else(|| {
                Error::new(ErrorCode::Integrity, format!("{name} ends inside its header.")).hint("Try again.")
            })?;
            start.extend(piece.to_vec());
        }
        let rest = start.split_off(need);
        let shard = Shard::parse(&start[8..], config)?;
        Ok(Self { body, shard, data_start: need as u64, rest })
    }
}
