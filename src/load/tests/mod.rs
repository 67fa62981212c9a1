//! Loading from a scripted server into this module's memory.

#[path = "../../../tests/common/big_checkpoint.rs"]
mod big_checkpoint;
mod faults;
mod handed_over;
mod kept;
mod places;
mod resumed;
#[path = "../../../tests/common/torch_zip.rs"]
#[allow(dead_code)] // other tests use more of it
mod torch_zip;
mod wrong_bytes;

use super::progress::{Progress, Reporter};
use super::request::{Request, Wanted};
use super::upload::Devices;
use super::{Load, Made};
use crate::checkpoint::files::PytorchFile;
use crate::checkpoint::layout::Quantization;
use crate::checkpoint::write::{SHARD_BYTES, write_folder};
use crate::config::{ModelConfig, PartialConfig};
use crate::cpu::{self, CpuModel, Reason};
use crate::engine::{Backend, Logits};
use crate::error::{Error, ErrorCode, Result};
use crate::hub::scripted::{HUB, Repository, ScriptedHub};
use crate::platform::abort::Signal;
use crate::platform::simulated::World;
use crate::store::Store;
use crate::store::memory::MemoryStore;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::rc::Rc;
use std::sync::OnceLock;

const SHAPE: &str = r#"{"num_layers":2,"hidden_size":128,"num_attention_heads":2,"qkv_slot_num":120,"proj_slot_num":128,
    "ffn_slot_num":256,"padded_vocab_size":16000,"max_position_embeddings":128}"#;
/// Cuts the model into three files.
const SHARD: u64 = 140_000;
const CHECKPOINT: &str = "pytorch_model.bin";
const WEIGHTS: &str = "model.safetensors";
/// What is sent besides the weights: directory, pickle and headers.
const SMALL: u64 = 300_000;

/// A model as it is published, and as `convert` writes it, in one file and in several.
struct Files {
    config: Vec<u8>,
    checkpoint: Vec<u8>,
    /// The same weights, but laid out as torch.save never does.
    unaligned: Vec<u8>,
    folder: BTreeMap<String, Vec<u8>>,
    sharded: BTreeMap<String, Vec<u8>>,
}

fn files() -> &'static Files {
    static FILES: OnceLock<Files> = OnceLock::new();
    FILES.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let config = ModelConfig::from_json(SHAPE.as_bytes()).expect("a shape");
        let at = |name: &str| folder.path().join(name);
        let checkpoint = |name: &str, alignment| {
            big_checkpoint::write(&at(name), &config, 2026, 0, alignment).expect("written");
            fs::read(at(name)).expect("read")
        };
        let (aligned, unaligned) = (checkpoint(CHECKPOINT, 64), checkpoint("unaligned.bin", 4));
        let declared = Some(PartialConfig::from_json(SHAPE.as_bytes()).expect("a shape"));
        let mut source = PytorchFile::open(&at(CHECKPOINT), declared).expect("opened");
        let mut quantized = |name: &str, shard| {
            fs::create_dir(at(name)).expect("made");
            write_folder(&mut source, Quantization::Q4, None, &at(name), shard, |_| {}).expect("converted");
            read_all(&at(name))
        };
        let (whole, sharded) = (quantized("folder", SHARD_BYTES), quantized("sharded", SHARD));
        let config = SHAPE.as_bytes().to_vec();
        Files { config, checkpoint: aligned, unaligned, folder: whole, sharded }
    })
}

fn read_all(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry"));
    entries.map(|e| (e.file_name().into_string().expect("a name"), fs::read(e.path()).expect("read"))).collect()
}

/// A repository of these files.
fn of(files: impl IntoIterator<Item = (&'static str, &'static [u8])>) -> Repository {
    let files = files.into_iter().map(|(path, bytes)| (path.to_owned(), bytes)).collect();
    Repository { files, ..Repository::default() }
}

fn published() -> Repository {
    let files = files();
    of([("README.md", b"x".as_slice()), ("config.json", &files.config), (CHECKPOINT, &files.checkpoint)])
}

fn unaligned() -> Repository {
    of([("config.json", files().config.as_slice()), (CHECKPOINT, &files().unaligned)])
}

fn folder() -> Repository {
    of(files().folder.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())))
}

fn sharded() -> Repository {
    of(files().sharded.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())))
}

/// The folder without its manifest, which has the hashes of chunks.
fn bare() -> Repository {
    let mut bare = folder();
    bare.files.remove("manifest.json");
    bare
}

/// All of them.
fn repositories() -> [(&'static str, Repository); 5] {
    [
        ("o/published", published()),
        ("o/unaligned", unaligned()),
        ("o/folder", folder()),
        ("o/sharded", sharded()),
        ("o/bare", bare()),
    ]
}

/// A bytes literal that lives as long as the tests.
fn lasting(bytes: impl Into<Vec<u8>>) -> &'static [u8] {
    Box::leak(bytes.into().into_boxed_slice())
}

/// The CPU, whatever was asked for.
struct Cpu;

impl Devices<Vec<u8>> for Cpu {
    type Room = cpu::Loading;
    type Model = CpuModel;

    async fn find(&mut self, likely: Option<&ModelConfig>) -> Result<()> {
        likely.map_or(Ok(()), |config| cpu::check_parameters(config, &Reason::Asked))
    }

    async fn room(&mut self, config: &ModelConfig, quantization: Quantization) -> Result<cpu::Loading> {
        cpu::Loading::new(config.clone(), quantization, None, &Reason::Asked)
    }

    async fn finish(&mut self, room: cpu::Loading, _: &ModelConfig, _: &mut Vec<String>) -> Result<CpuModel> {
        Ok(room.finish())
    }
}

/// One report of progress.
#[derive(Clone, Debug)]
struct Report {
    phase: String,
    loaded: u64,
    total: Option<u64>,
    from_cache: bool,
    waiting_for: Option<String>,
}

/// A load that has ended.
struct Seen {
    result: Result<Made<CpuModel>>,
    progress: Vec<Report>,
}

impl Seen {
    /// "loaded", or the code of the error.
    fn outcome(&self) -> &'static str {
        self.result.as_ref().map_or_else(|e| e.code.as_str(), |_| "loaded")
    }

    /// The error's sentences, or the notes.
    fn words(&self) -> String {
        self.result.as_ref().map_or_else(Error::to_string, |made| made.notes.join(" "))
    }

    #[track_caller]
    fn expect(self, outcome: &str, what: impl std::fmt::Debug) -> Self {
        assert_eq!(self.outcome(), outcome, "{what:?}: {}", self.words());
        self
    }

    /// Checks that it was loaded, and that what was reported of it is true.
    #[track_caller]
    fn loaded(self, what: impl std::fmt::Debug) -> Self {
        let seen = self.expect("loaded", &what);
        seen.assert_honest();
        seen
    }

    #[track_caller]
    fn assert_honest(&self) {
        let mut last = 0;
        let reports: Vec<&Report> =
            self.progress.iter().filter(|t| ["download", "cache"].contains(&&*t.phase)).collect();
        for t in &reports {
            assert!(t.loaded >= last, "progress never goes back");
            assert!(t.total.is_some_and(|total| t.loaded <= total), "nor passes the total");
            assert_eq!(t.from_cache, t.phase == "cache");
            last = t.loaded;
        }
        assert_eq!(reports.last().and_then(|t| t.total), Some(last), "and ends at it");
    }

    /// The model's logits after some tokens: the same for the same weights.
    fn logits(self) -> Vec<f32> {
        let mut made = self.result.expect("loaded");
        pollster::block_on(made.model.forward(&[5, 17, 300, 2, 1999], Logits::Last)).expect("logits")
    }
}

/// A visitor's browser: a world with a hub in it, and a store.
struct Visit {
    world: World,
    hub: ScriptedHub,
    store: MemoryStore,
}

impl Visit {
    fn new() -> Self {
        Self::to(repositories())
    }

    fn to(repositories: impl IntoIterator<Item = (&'static str, Repository)>) -> Self {
        let world = World::default();
        let hub = ScriptedHub::new(&world, repositories);
        Self { world, hub, store: MemoryStore::default() }
    }

    /// To a static host.
    fn to_a_host() -> Self {
        let visit = Self::new();
        visit.hub.plain.set(true);
        visit
    }

    /// A request for a repository, or for what is at an address.
    fn request(&self, name: &str) -> Request {
        let is_address = name.contains("://");
        Request {
            revision: "main".into(),
            folder_url: is_address.then(|| name.to_owned()),
            repository: (!is_address).then(|| name.to_owned()),
            endpoint: HUB.into(),
            cache: true,
            backend: Wanted::Cpu,
            ..Request::named(name)
        }
    }

    /// Loads a model; to be called inside `world.run`.
    async fn load_with(&self, request: &Request, signal: &Signal) -> Seen {
        let reports: Rc<RefCell<Vec<Report>>> = Rc::default();
        let listener = reports.clone();
        let on_progress = move |p: &Progress<'_>| {
            listener.borrow_mut().push(Report {
                phase: p.phase.to_owned(),
                loaded: p.loaded_bytes,
                total: p.total_bytes,
                from_cache: p.from_cache,
                waiting_for: p.waiting_for.map(str::to_owned),
            });
        };
        let progress = Rc::new(Reporter::new(self.world.clone(), Some(Box::new(on_progress))));
        let store = request.cache.then(|| self.store.clone());
        let mut load = Load::new(self.world.clone(), request, signal.clone(), &progress, store, Cpu);
        let result = load.run().await;
        drop(load);
        Seen { result, progress: reports.take() }
    }

    /// Loads a model.
    fn fill(&self, name: &str) -> Seen {
        self.fill_with(&self.request(name))
    }

    fn fill_with(&self, request: &Request) -> Seen {
        self.world.run(async |_| self.load_with(request, &Signal::default()).await)
    }

    /// Forgets all that is stored.
    fn forget(&self) {
        pollster::block_on(async {
            for model in self.store.models().await.expect("models") {
                self.store.delete(&model.key).await.expect("deleted");
            }
        });
    }

    /// What is stored of models: name and whether it is complete.
    fn models(&self) -> Vec<(String, bool)> {
        let models = pollster::block_on(self.store.models()).expect("models");
        models.into_iter().map(|m| (m.key.id, m.complete)).collect()
    }

    /// The hashes of the stored units of a model.
    fn hashes(&self, name: &str) -> Vec<(usize, String)> {
        self.units(name).into_iter().map(|(unit, record)| (unit, record.sha256)).collect()
    }

    fn units(&self, name: &str) -> Vec<(usize, crate::store::UnitRecord)> {
        pollster::block_on(async {
            let models = self.store.models().await.expect("models");
            match models.iter().find(|m| m.key.id == name) {
                Some(model) => self.store.units(&model.key).await.expect("units"),
                None => Vec::new(),
            }
        })
    }

    /// Bytes of the file that need not be downloaded again.
    fn stored_of(&self, name: &str) -> u64 {
        self.units(name).iter().map(|(_, unit)| unit.source_bytes).sum()
    }
}

#[test]
fn the_same_weights_whatever_they_come_from() {
    let visit = Visit::new();
    let first = visit.fill("o/published").loaded("first");
    let download: Vec<_> = first.progress.iter().filter(|t| t.phase == "download").collect();
    assert_eq!(download.last().expect("a download").total, Some(files().checkpoint.len() as u64));
    let logits = first.logits();
    assert!(logits.iter().any(|l| *l != 0.0));
    // The same numbers as the folder that `convert` wrote from the same file.
    for name in ["o/folder", "o/sharded", "o/bare", "o/unaligned"] {
        assert!(visit.fill(name).loaded(name).logits() == logits, "{name}");
    }
    // And the same again from what was stored of each.
    visit.hub.requests.take();
    for (name, _) in repositories() {
        assert!(visit.fill(name).loaded(name).logits() == logits, "{name} from the store");
    }
    assert!(visit.hub.sent("") < 5 * SMALL, "only lists are asked for again");
    assert!(visit.hub.violations.borrow().is_empty());
    assert!(visit.models().iter().all(|(_, complete)| *complete));
    assert_eq!(visit.world.open_bodies(), 0);
}

#[test]
fn without_a_store_nothing_is_kept() {
    let visit = Visit::new();
    let request = Request { cache: false, ..visit.request("o/published") };
    visit.fill_with(&request).loaded("the first time");
    visit.hub.requests.take();
    visit.fill_with(&request).loaded("the second");
    assert!(visit.hub.sent(CHECKPOINT) >= files().checkpoint.len() as u64);
    assert!(visit.models().is_empty());
}

#[test]
fn what_does_not_run_here_is_not_downloaded() {
    let large =
        br#"{"num_layers":24,"hidden_size":1536,"num_attention_heads":24,"qkv_slot_num":2048,"proj_slot_num":2048,
        "ffn_slot_num":8192,"padded_vocab_size":50432,"max_position_embeddings":2048}"#;
    let visit = Visit::to([("o/large", of([("config.json", large.as_slice()), (CHECKPOINT, &files().checkpoint)]))]);
    let seen = visit.fill("o/large").expect("webgpu-unavailable", "too large for the CPU");
    assert!(seen.words().contains("million parameters"), "{}", seen.words());
    assert_eq!(visit.hub.asked(CHECKPOINT), 0);
    assert_eq!(seen.result.err().map(|e| e.code), Some(ErrorCode::WebgpuUnavailable));
}
