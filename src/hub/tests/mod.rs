//! Requests, and files in ranges, from a scripted hub, by a clock that does not wait.

mod places;
mod requests;
mod streams;

use super::Location;
use super::client::Client;
use super::scripted::{HUB, Repository, ScriptedHub};
use crate::platform::abort::Signal;
use crate::platform::simulated::World;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// A large file, of 5 units and a bit, whose bytes show where they are, and a small one.
const LARGE: &str = "weights.bin";
const SMALL: &str = "config.json";
const LARGE_BYTES: u64 = (5 << 20) + 12_345;

fn large() -> &'static [u8] {
    use std::sync::OnceLock;
    static FILE: OnceLock<Vec<u8>> = OnceLock::new();
    FILE.get_or_init(|| (0..LARGE_BYTES as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect())
}

fn repository() -> Repository {
    let files = [(LARGE, large()), (SMALL, b"{\"small\":true}".as_slice())];
    Repository { files: files.map(|(path, bytes)| (path.to_owned(), bytes)).into(), ..Repository::default() }
}

/// What is being waited for, in words, and since when.
type Wait = (Duration, Option<String>);

/// A world with a hub, and a client of its repository "o/a".
struct Place {
    world: World,
    hub: ScriptedHub,
    signal: Signal,
    /// What the client has reported that it waits for, each with the time.
    waits: Rc<RefCell<Vec<Wait>>>,
}

impl Place {
    fn new() -> Self {
        let world = World::default();
        let hub = ScriptedHub::new(&world, [("o/a", repository())]);
        Self { world, hub, signal: Signal::default(), waits: Rc::default() }
    }

    fn client(&self) -> Rc<Client<World>> {
        self.client_with(None)
    }

    fn client_with(&self, token: Option<&str>) -> Rc<Client<World>> {
        let location = match self.hub.plain.get() {
            true => Location::Folder { url: self.hub.folder("o/a") },
            false => {
                let [endpoint, repository, revision] = [HUB, "o/a", "main"].map(str::to_owned);
                Location::Repository { endpoint, repository, revision }
            }
        };
        let client = Client::new(self.world.clone(), location, token.map(str::to_owned), self.signal.clone());
        let (waits, world) = (self.waits.clone(), self.world.clone());
        use crate::platform::Clock;
        Rc::new(client.telling(Rc::new(move |what| waits.borrow_mut().push((world.now(), what)))))
    }

    /// What was waited for, in words.
    fn words(&self) -> Vec<String> {
        self.waits.borrow().iter().filter_map(|(_, what)| what.clone()).collect()
    }
}
