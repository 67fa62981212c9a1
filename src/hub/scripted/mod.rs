//! A hub for tests that answers as the real one did in 2026: the API, redirects of small files to a cache of its own
//! and of large ones to signed addresses on another origin, the headers that pages may see, a bare 401 for what it does
//! not have, an HTML page after too many requests; and faults on demand. Its twin for browsers is
//! `tests/browser/hub-simulator.mjs`.

mod body;
mod fault;
mod path;

pub use fault::{FOR_EVER, Fault, Kind, On};

use crate::hash::{git_blob_id, sha256};
use crate::platform::simulated::{Event, Script, Server, World};
use crate::platform::{HEADERS, Request, Response};
use futures_channel::oneshot;
use path::{Call, parts};
use serde_json::json;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::rc::Rc;

/// The hub's address, and that of its storage.
pub const HUB: &str = "https://hub.example";
pub const CDN: &str = "https://cdn.example";
/// Files of at least this many bytes are in the storage.
const LARGE: u64 = 1 << 20;
/// Headers that pages may see: of every answer, of the hub's, and of a static host's.
const ALWAYS: [&str; 2] = ["Content-Type", "Last-Modified"];
const OF_THE_HUB: [&str; 4] = ["X-Error-Code", "ETag", "Link", "Content-Range"];
const OF_A_HOST: [&str; 1] = ["ETag"];

/// What a server has of a model.
#[derive(Clone, Default)]
pub struct Repository {
    pub files: BTreeMap<String, &'static [u8]>,
    /// Who may read it.
    pub token: Option<&'static str>,
    /// It lists its files, but refuses to send them.
    pub gated: bool,
    /// Beside `main`.
    pub branches: Vec<&'static str>,
    /// What is claimed instead of the hash of a file, or of its size.
    pub hashes: BTreeMap<String, String>,
    pub sizes: BTreeMap<String, u64>,
}

/// How requests for missing files are answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Missing {
    Status(u16),
    /// By an answer that this origin may not see.
    Hidden,
}

/// An answer that was given.
#[derive(Clone, Debug)]
pub struct Logged {
    pub on: On,
    pub path: String,
    /// Only a part of the file was requested.
    pub is_range: bool,
    pub status: u16,
    /// Bytes of the body that were sent.
    pub bytes: u64,
}

/// The hub. Clones are the same.
#[derive(Clone, Default)]
pub struct ScriptedHub(Rc<State>);

#[derive(Default)]
pub struct State {
    pub repositories: RefCell<BTreeMap<String, Repository>>,
    pub faults: RefCell<Vec<Fault>>,
    pub requests: RefCell<Vec<Logged>>,
    /// What a real CDN or a careful reviewer would object to.
    pub violations: RefCell<Vec<String>>,
    /// It is a static host: a folder's address is all that it knows.
    pub plain: Cell<bool>,
    /// Pages may not see ranges and versions of what the storage sends.
    pub hides_ranges: Cell<bool>,
    pub exposes_retry_after: Cell<bool>,
    pub ignores_ranges: Cell<bool>,
    pub has_no_tree: Cell<bool>,
    pub missing: Cell<Option<Missing>>,
    /// Part of every ETag.
    pub version: Cell<u32>,
    /// Part of every signed address.
    pub signature: Cell<u32>,
    /// An expired address is answered with something that this origin may not see.
    pub hides_expiry: Cell<bool>,
    gate: RefCell<Option<Gate>>,
    hashes: RefCell<HashMap<(String, String), String>>,
}

/// Lets some bytes through and holds the rest back.
struct Gate {
    left: u64,
    reached: Option<oneshot::Sender<()>>,
    held: Vec<oneshot::Sender<()>>,
}

impl std::ops::Deref for ScriptedHub {
    type Target = State;

    fn deref(&self) -> &State {
        &self.0
    }
}

/// An answer, before the check whether the page may see it.
struct Answer {
    status: u16,
    url: String,
    redirected: bool,
    headers: Vec<(&'static str, String)>,
    body: Script,
}

impl ScriptedHub {
    /// A hub with these repositories, by "owner/name", for a world.
    pub fn new(world: &World, repositories: impl IntoIterator<Item = (&'static str, Repository)>) -> Self {
        let hub = Self::default();
        hub.repositories.replace(repositories.into_iter().map(|(name, r)| (name.to_owned(), r)).collect());
        world.serve(Rc::new(hub.clone()));
        hub
    }

    /// Adds something that goes wrong from now on.
    pub fn fail(&self, fault: Fault) {
        self.faults.borrow_mut().push(fault);
    }

    /// From now on nothing goes wrong; true if everything that was to go wrong has.
    pub fn mend(&self) -> bool {
        self.faults.take().iter().all(|fault| fault.times == 0 || fault.times == FOR_EVER)
    }

    /// Bytes that were sent of files whose path ends with this.
    pub fn sent(&self, suffix: &str) -> u64 {
        self.requests.borrow().iter().filter(|r| r.path.ends_with(suffix)).map(|r| r.bytes).sum()
    }

    /// How often something was requested.
    pub fn asked(&self, part: &str) -> usize {
        self.requests.borrow().iter().filter(|r| r.path.contains(part)).count()
    }

    /// The address of a repository's files, as those of a folder on a static host.
    pub fn folder(&self, name: &str) -> String {
        format!("{HUB}/{name}/resolve/main/")
    }

    /// Addresses that were signed so far stop working.
    pub fn expire(&self) {
        self.signature.set(self.signature.get() + 1);
    }

    /// Lets this many more bytes through; ends once the rest is held back.
    pub fn hold_after(&self, bytes: u64) -> oneshot::Receiver<()> {
        let (sender, reached) = oneshot::channel();
        self.gate.replace(Some(Gate { left: bytes, reached: Some(sender), held: Vec::new() }));
        reached
    }

    /// Sends what was held back.
    pub fn release(&self) {
        self.gate.take();
    }

    /// The commit of a repository.
    pub fn commit(&self, name: &str) -> String {
        git_blob_id(name.as_bytes())
    }

    fn file(&self, repository: &str, path: &str) -> Option<&'static [u8]> {
        self.repositories.borrow().get(repository)?.files.get(path).cloned()
    }

    /// Takes the first fault that affects this request.
    fn take(&self, on: On, path: &str, range: Option<&Range<u64>>, suits: impl Fn(&Fault) -> bool) -> Option<Kind> {
        let mut faults = self.faults.borrow_mut();
        let fault = faults.iter_mut().find(|f| f.meets(on, path, range) && suits(f))?;
        if fault.times != FOR_EVER {
            fault.times -= 1;
        }
        Some(fault.kind.clone())
    }

    fn log(&self, on: On, path: &str, is_range: bool) -> usize {
        let mut requests = self.requests.borrow_mut();
        requests.push(Logged { on, path: path.to_owned(), is_range, status: 0, bytes: 0 });
        requests.len() - 1
    }

    fn object(&self, what: String) {
        self.violations.borrow_mut().push(what);
    }

    /// An answer with a text as its body.
    fn text(&self, world: &World, url: &str, status: u16, headers: Vec<(&'static str, String)>, text: &str) -> Answer {
        let mut pieces = [Event::Piece(text.as_bytes().to_vec()), Event::End].into_iter();
        let body = Script::new(world, move || pieces.next().unwrap_or(Event::End));
        Answer { status, url: url.to_owned(), redirected: false, headers, body }
    }

    fn refuse(&self, world: &World, url: &str, log: usize, status: u16, code: Option<&str>) -> Answer {
        self.requests.borrow_mut()[log].status = status;
        let mut headers = vec![("Content-Type", "application/json; charset=utf-8".to_owned())];
        headers.extend(code.map(|code| ("X-Error-Code", code.to_owned())));
        self.text(world, url, status, headers, "{\"error\":\"\"}")
    }

    /// A status on demand.
    fn fault_status(&self, world: &World, url: &str, on: On, kind: &Kind) -> Option<Answer> {
        let Kind::Status { status, code, retry_after } = kind else { return None };
        let mut headers = Vec::new();
        headers.extend(code.map(|code| ("X-Error-Code", code.to_owned())));
        headers.extend(retry_after.map(|seconds| ("Retry-After", seconds.to_string())));
        if *status == 429 {
            headers.push(("Content-Type", "text/html; charset=utf-8".into()));
            if on == On::Hub {
                headers.push(("RateLimit", "\"resolvers\";r=0;t=300".into())); // which no page may see
            }
        }
        Some(self.text(world, url, *status, headers, "fault"))
    }

    fn answer_hub(&self, world: &World, request: &Request<'_>, path: &str) -> Option<Answer> {
        let (call, name, revision, file) = parts(path);
        let is_cached = call == Call::Cached;
        let (range, plain) = (request.range, self.plain.get());
        if plain && request.token.is_some() {
            self.object("token sent to a static host".into());
        }
        let log = self.log(On::Hub, path, range.is_some());
        let is_sent_here = plain || is_cached;
        let fault = self.take(On::Hub, path, range, |f| !f.kind.spoils_bodies() || is_sent_here);
        match &fault {
            Some(Kind::Silent) => return None,
            Some(kind) => {
                if let Some(answer) = self.fault_status(world, request.url, On::Hub, kind) {
                    self.requests.borrow_mut()[log].status = answer.status;
                    return Some(answer);
                }
            }
            None => {}
        }
        let refuse = |status, code| Some(self.refuse(world, request.url, log, status, code));
        if call == Call::Unknown || (plain && call != Call::Resolve) {
            return refuse(404, None);
        }
        let repositories = self.repositories.borrow();
        if !plain && request.token.is_some_and(|t| !repositories.values().any(|r| r.token == Some(t))) {
            return refuse(401, None);
        }
        let nothing = Repository::default();
        let known = repositories.get(name).or(plain.then_some(&nothing));
        let may_read = |r: &&Repository| r.token.is_none() || r.gated || r.token == request.token;
        let Some(repository) = known.filter(may_read) else {
            return match request.token {
                Some(_) => refuse(404, Some("RepoNotFound")),
                None => refuse(401, None),
            };
        };
        if repository.gated && matches!(call, Call::Resolve | Call::Cached) && request.token != repository.token {
            return refuse(if request.token.is_some() { 403 } else { 401 }, Some("GatedRepo"));
        }
        let commit = self.commit(name);
        if revision != commit && revision != "main" && !repository.branches.contains(&revision) {
            return refuse(404, Some("RevisionNotFound"));
        }
        let json = |headers, json: serde_json::Value| {
            self.requests.borrow_mut()[log].status = 200;
            Some(self.text(world, request.url, 200, headers, &json.to_string()))
        };
        match call {
            Call::Tree if self.has_no_tree.get() => return refuse(404, None),
            Call::Revision => return json(Vec::new(), json!({ "id": name, "sha": commit })),
            Call::Tree => {
                let from = file.split_once("cursor=").and_then(|(_, n)| n.parse().ok()).unwrap_or(0);
                let more = from + 3 < repository.files.len();
                let address = request.url.split('?').next().unwrap_or_default();
                let next = format!("<{address}?recursive=true&cursor={}>; rel=\"next\"", from + 3);
                let headers = if more { vec![("Link", next)] } else { Vec::new() };
                return json(headers, self.tree(name, repository, from));
            }
            _ => {}
        }
        let Some(bytes) = repository.files.get(file).cloned() else {
            return match self.missing.get() {
                Some(Missing::Hidden) => Some(Answer { status: 0, ..self.refuse(world, request.url, log, 404, None) }),
                Some(Missing::Status(status)) => refuse(status, None),
                None => refuse(404, (!plain).then_some("EntryNotFound")),
            };
        };
        drop(repositories);
        if is_sent_here {
            return Some(self.body(world, request, log, bytes, fault));
        }
        let is_large = bytes.len() as u64 >= LARGE;
        self.requests.borrow_mut()[log].status = if is_large { 302 } else { 307 };
        let url = match is_large {
            true => format!("{CDN}/{name}/{file}?signature={}", self.signature.get()),
            false => format!("{HUB}/api/resolve-cache/models/{name}/{commit}/{file}"),
        };
        // A request that follows a redirect to another origin does not carry the token.
        let token = request.token.filter(|_| !is_large);
        let answer = self.send(world, &Request { url: &url, token, ..*request })?;
        Some(Answer { redirected: true, ..answer })
    }

    fn answer_cdn(&self, world: &World, request: &Request<'_>, path: &str) -> Option<Answer> {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let log = self.log(On::Cdn, path, request.range.is_some());
        if request.token.is_some() {
            self.object("token sent to the CDN".into());
        }
        let fault = self.take(On::Cdn, path, request.range, |_| true);
        match &fault {
            Some(Kind::Silent) => return None,
            Some(kind) => {
                if let Some(answer) = self.fault_status(world, request.url, On::Cdn, kind) {
                    self.requests.borrow_mut()[log].status = answer.status;
                    return Some(answer);
                }
            }
            None => {}
        }
        if query != format!("signature={}", self.signature.get()) {
            let answer = self.refuse(world, request.url, log, 403, None);
            return Some(if self.hides_expiry.get() { Answer { status: 0, ..answer } } else { answer });
        }
        let (owner, rest) = path.split_once('/')?;
        let (name, file) = rest.split_once('/')?;
        let bytes = self.file(&format!("{owner}/{name}"), file)?;
        Some(self.body(world, request, log, bytes, fault))
    }

    fn send(&self, world: &World, request: &Request<'_>) -> Option<Answer> {
        for token in self.repositories.borrow().values().filter_map(|r| r.token) {
            if request.url.contains(token) {
                self.object(format!("token in {}", request.url));
            }
        }
        match request.url.strip_prefix(HUB).map(|path| &path[1..]) {
            Some(path) => self.answer_hub(world, request, path),
            None => self.answer_cdn(world, request, request.url.strip_prefix(CDN)?.strip_prefix('/')?),
        }
    }

    /// A page of three entries, so that every repository has more than one.
    fn tree(&self, name: &str, repository: &Repository, from: usize) -> serde_json::Value {
        let entry = |(path, bytes): (&String, &&'static [u8])| {
            let size = repository.sizes.get(path).copied().unwrap_or(bytes.len() as u64);
            let claimed = repository.hashes.get(path).cloned();
            if size >= LARGE {
                let oid = claimed.unwrap_or_else(|| self.sha256(name, path, bytes));
                return json!({ "type": "file", "path": path, "size": size, "oid": git_blob_id(path.as_bytes()),
                    "lfs": { "oid": oid, "size": size, "pointerSize": 134 } });
            }
            json!({ "type": "file", "path": path, "size": size, "oid": claimed.unwrap_or_else(|| git_blob_id(bytes)) })
        };
        repository.files.iter().skip(from).take(3).map(entry).collect()
    }

    /// Hashing takes as long as loading: once is enough.
    fn sha256(&self, name: &str, path: &str, bytes: &[u8]) -> String {
        let key = (name.to_owned(), path.to_owned());
        self.hashes.borrow_mut().entry(key).or_insert_with(|| sha256(bytes)).clone()
    }
}

impl Server for ScriptedHub {
    fn answer(&self, world: &World, request: &Request<'_>) -> Option<Result<Response<Script>, String>> {
        if !request.url.starts_with(HUB) && !request.url.starts_with(CDN) {
            return Some(Err("Failed to fetch".into()));
        }
        let Answer { status, url, redirected, headers, body } = self.send(world, request)?;
        if status == 0 {
            return Some(Err("Failed to fetch".into()));
        }
        let may_see = |name: &str| {
            ALWAYS.contains(&name)
                || match (url.starts_with(CDN), self.plain.get()) {
                    (true, _) => !self.hides_ranges.get(),
                    (_, true) => OF_A_HOST.contains(&name),
                    _ => OF_THE_HUB.contains(&name) || (name == "Retry-After" && self.exposes_retry_after.get()),
                }
        };
        assert!(headers.iter().all(|(name, _)| HEADERS.contains(name)));
        let headers = headers.into_iter().filter(|(name, _)| may_see(name)).collect();
        Some(Ok(Response { status, url, redirected, headers, body }))
    }
}
