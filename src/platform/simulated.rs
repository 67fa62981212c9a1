//! A platform for tests: a scripted network, and a clock that advances only when no task has anything to do, so that an
//! hour of waiting takes no time and every run is the same.

use super::{Body, Bytes, Clock, Fetch, Lock, Platform, Request, Response};
use crate::hash::sha256;
use futures_channel::oneshot;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Range;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

impl Bytes for Vec<u8> {
    fn zeroed(len: u32) -> Self {
        vec![0; len as usize]
    }

    fn of(bytes: &[u8]) -> Self {
        bytes.to_vec()
    }

    fn count(&self) -> u32 {
        self.len() as u32
    }

    fn part(&self, range: Range<u32>) -> Self {
        self[range.start as usize..range.end as usize].to_vec()
    }

    fn put(&mut self, at: u32, bytes: &Self) {
        self[at as usize..at as usize + bytes.len()].copy_from_slice(bytes);
    }

    fn read(&self, to: &mut [u8]) {
        to.copy_from_slice(self);
    }
}

/// Answers requests.
pub trait Server {
    /// The answer to a request, or why there is none; `None`: no answer ever comes.
    fn answer(&self, world: &World, request: &Request<'_>) -> Option<Result<Response<Script>, String>>;
}

/// What happens next in a body.
pub enum Event {
    /// Nothing, for this long.
    Wait(Duration),
    /// Nothing, until the sender sends or is dropped.
    Hold(oneshot::Receiver<()>),
    /// Nothing, forever.
    Stall,
    /// Bytes come.
    Piece(Vec<u8>),
    /// The connection breaks.
    Break,
    /// That is all.
    End,
}

/// A scripted body.
pub struct Script {
    world: World,
    next: Box<dyn FnMut() -> Event>,
}

impl Script {
    /// `next` says what happens, one event after the other.
    pub fn new(world: &World, next: impl FnMut() -> Event + 'static) -> Self {
        world.0.open.set(world.0.open.get() + 1);
        Self { world: world.clone(), next: Box::new(next) }
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        self.world.0.open.set(self.world.0.open.get() - 1);
    }
}

impl Body for Script {
    type Bytes = Vec<u8>;

    async fn next(&mut self) -> Result<Option<Vec<u8>>, String> {
        loop {
            match (self.next)() {
                Event::Wait(time) => self.world.sleep(time).await,
                Event::Hold(held) => drop(held.await),
                Event::Stall => std::future::pending().await,
                Event::Piece(bytes) => return Ok(Some(bytes)),
                Event::Break => return Err("network error".into()),
                Event::End => return Ok(None),
            }
        }
    }
}

/// One thread with its clock, its network and its locks. Clones are the same.
#[derive(Clone, Default)]
pub struct World(Rc<Inner>);

#[derive(Default)]
struct Inner {
    now: Cell<Duration>,
    /// How long the thread sleeps before the next timer.
    oversleep: Cell<Duration>,
    /// How long the work between two looks at the clock takes.
    pace: Cell<Duration>,
    /// How often a task yielded.
    ways: Cell<usize>,
    /// Tasks that wait for a time, by time and number.
    timers: RefCell<BTreeMap<(Duration, u64), Waker>>,
    numbers: Cell<u64>,
    /// Tasks that were started since the last look.
    new: RefCell<Vec<Task>>,
    server: RefCell<Option<Rc<dyn Server>>>,
    offline: Cell<bool>,
    /// Bodies that are still held.
    open: Cell<usize>,
    locks: RefCell<HashMap<String, Queue>>,
    random: Cell<u32>,
}

type Task = Pin<Box<dyn Future<Output = ()>>>;
/// Tasks that wait for a lock, by number; the first holds it.
type Queue = VecDeque<(u64, oneshot::Sender<()>)>;

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl World {
    /// Makes this server answer requests.
    pub fn serve(&self, server: Rc<dyn Server>) {
        self.0.server.replace(Some(server));
    }

    /// Sets whether there is a network from now on.
    pub fn set_offline(&self, offline: bool) {
        self.0.offline.set(offline);
    }

    /// Makes the thread sleep for this long before the next timer fires.
    pub fn oversleep(&self, time: Duration) {
        self.0.oversleep.set(time);
    }

    /// From now on, the work before a look at the clock takes this long.
    pub fn set_pace(&self, pace: Duration) {
        self.0.pace.set(pace);
    }

    /// How often a task yielded.
    pub fn ways_given(&self) -> usize {
        self.0.ways.get()
    }

    /// Bodies that are still being read.
    pub fn open_bodies(&self) -> usize {
        self.0.open.get()
    }

    /// Runs `main` to its end, with all tasks that it begins.
    pub fn run<T>(&self, main: impl AsyncFnOnce(&World) -> T) -> T {
        let result = Cell::new(None);
        let flag = || Arc::new(Flag(AtomicBool::new(true)));
        let mut tasks: Vec<(Arc<Flag>, Task)> = Vec::new();
        let mut main = pin!(async { result.set(Some(main(self).await)) });
        let main_flag = flag();
        loop {
            let mut is_idle = true;
            if main_flag.0.swap(false, Ordering::Relaxed) {
                is_idle = false;
                if main.as_mut().poll(&mut Context::from_waker(&main_flag.clone().into())).is_ready() {
                    return result.take().expect("main has ended");
                }
            }
            tasks.extend(self.0.new.take().into_iter().map(|task| (flag(), task)));
            tasks.retain_mut(|(flag, task)| {
                if !flag.0.swap(false, Ordering::Relaxed) {
                    return true;
                }
                is_idle = false;
                task.as_mut().poll(&mut Context::from_waker(&flag.clone().into())).is_pending()
            });
            if is_idle && self.0.new.borrow().is_empty() {
                self.advance();
            }
        }
    }

    /// Fires the next timer.
    fn advance(&self) {
        let next = self.0.timers.borrow_mut().pop_first();
        let ((time, _), waker) = next.expect("everybody waits for something that never happens");
        self.0.now.set(self.0.now.get().max(time) + self.0.oversleep.take());
        waker.wake();
    }

    fn number(&self) -> u64 {
        self.0.numbers.set(self.0.numbers.get() + 1);
        self.0.numbers.get()
    }
}

struct Sleep<'a> {
    world: &'a World,
    key: (Duration, u64),
}

impl Future for Sleep<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.world.0.now.get() >= self.key.0 {
            return Poll::Ready(());
        }
        self.world.0.timers.borrow_mut().insert(self.key, context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep<'_> {
    fn drop(&mut self) {
        self.world.0.timers.borrow_mut().remove(&self.key);
    }
}

impl Clock for World {
    fn now(&self) -> Duration {
        self.0.now.set(self.0.now.get() + self.0.pace.get());
        self.0.now.get()
    }

    fn date(&self) -> f64 {
        1e12 + self.now().as_secs_f64() * 1e3
    }

    async fn sleep(&self, time: Duration) {
        Sleep { world: self, key: (self.0.now.get() + time, self.number()) }.await;
    }

    async fn give_way(&self) {
        self.0.ways.set(self.0.ways.get() + 1);
        self.sleep(Duration::from_nanos(1)).await;
    }
}

impl Fetch for World {
    type Bytes = Vec<u8>;
    type Body = Script;

    async fn fetch(&self, request: Request<'_>) -> Result<Response<Script>, String> {
        self.sleep(Duration::from_millis(5)).await;
        if self.is_offline() {
            return Err("Failed to fetch".into());
        }
        let server = self.0.server.borrow().clone().expect("a server");
        match server.answer(self, &request) {
            Some(answer) => answer,
            None => std::future::pending().await,
        }
    }

    fn is_offline(&self) -> bool {
        self.0.offline.get()
    }

    fn origin(&self) -> String {
        "https://site.example".into()
    }
}

/// A place in the queue for a lock.
pub struct Turn {
    world: World,
    name: String,
    number: u64,
    granted: oneshot::Receiver<()>,
}

impl Lock for Turn {
    async fn is_granted(&mut self) -> bool {
        (&mut self.granted).await.is_ok()
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut locks = self.world.0.locks.borrow_mut();
        let Some(queue) = locks.get_mut(&self.name) else { return };
        queue.retain(|(number, _)| *number != self.number);
        grant(queue);
    }
}

/// Notifies the first in the queue.
fn grant(queue: &mut Queue) {
    if let Some((_, first)) = queue.front_mut() {
        let (spent, _) = oneshot::channel();
        let _ = std::mem::replace(first, spent).send(()); // it may have been told before
    }
}

impl Platform for World {
    type Lock = Turn;

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.0.new.borrow_mut().push(Box::pin(task));
    }

    fn random(&self) -> f64 {
        let next = self.0.random.get().wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        self.0.random.set(next);
        f64::from(next) / 2f64.powi(32)
    }

    async fn sha256(&self, bytes: &Vec<u8>) -> String {
        sha256(bytes)
    }

    fn lock(&self, name: &str) -> Option<Turn> {
        let (sender, granted) = oneshot::channel();
        let number = self.number();
        let mut locks = self.0.locks.borrow_mut();
        let queue = locks.entry(name.to_owned()).or_default();
        queue.push_back((number, sender));
        if queue.len() == 1 {
            grant(queue);
        }
        Some(Turn { world: self.clone(), name: name.to_owned(), number, granted })
    }
}
