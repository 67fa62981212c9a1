//! When decode steps are tuned (`src/model/tune.rs`), and what is remembered of it between visits.

use crate::checkpoint::layout::Quantization;
use crate::engine::{AbortFlag, Backend};
use crate::error::Result;
use crate::load::tuned::{Trials, name};
use crate::model::{Choice, GpuModel, Prepared};
use crate::platform::browser::Browser;
use crate::platform::wait::within;
use crate::store::indexed_db::IndexedDb;
use crate::store::remembered::{recall, remember};
use futures_channel::oneshot;
use std::cell::{Cell, RefCell};
use std::time::Duration;

/// How long compiling waits for the first token of a text that is begun at once: it would keep the browser's GPU process
/// busy, which held that token up by a tenth of a second.
const FIRST_TOKEN: Duration = Duration::from_millis(400);

/// Kernels that are being compiled for a model, then waiting to be tried.
pub struct Tuning {
    /// Name under which the outcome is stored; `None` if nothing is to be stored in this browser.
    name: Option<String>,
    state: RefCell<State>,
    /// Compiling begins once this is dropped.
    hold: Cell<Option<oneshot::Sender<()>>>,
}

struct State {
    trials: Trials,
    /// Which round of persistent-workgroup variants is being compiled.
    round: usize,
    compiling: Option<oneshot::Receiver<Prepared>>,
    ready: Option<Prepared>,
}

impl Tuning {
    /// Begins to compile for a model. `keeps`: the outcome may be stored, and perhaps already was.
    pub async fn begin(model: &GpuModel, quantization: Quantization, keeps: bool) -> Self {
        let name = keeps.then(|| name(model.gpu(), model.config(), quantization, model.context_length()));
        let mut trials = Trials::default();
        if let Some(name) = &name
            && let Ok(store) = IndexedDb::open().await
        {
            trials = recall(&store, name).await.unwrap_or_default();
        }
        let mut state = State { trials, round: 0, compiling: None, ready: None };
        let (hold, held) = oneshot::channel();
        if trials.may_go_on() {
            // One that is remembered was compiled while the model was loaded.
            let held = trials.choice.is_none().then_some(held);
            state.compile_after(held, model, trials.choice);
        }
        Self { name, state: RefCell::new(state), hold: Cell::new(Some(hold)) }
    }

    /// The first token is there: compiling no longer waits.
    pub fn go(&self) {
        drop(self.hold.take());
    }

    /// Tries what was compiled, if it is ready; stops early if `abort` is set meanwhile.
    ///
    /// # Errors
    /// `device-lost`.
    pub async fn when_ready(&self, model: &mut GpuModel, abort: &AbortFlag) -> Result<()> {
        if !model.can_tune() {
            return Ok(());
        }
        let Some(prepared) = self.state.borrow_mut().take_ready() else { return Ok(()) };
        let before = self.state.borrow().trials;
        if !model.is_for_this(&prepared) {
            // The device that it was compiled for is lost.
            self.state.borrow_mut().compile(model, before.choice);
            return Ok(());
        }
        // If the trial loses the device, or the page closes, this is what the next visit finds.
        self.remember(before.one_more()).await;
        match model.tune(&prepared, abort).await? {
            None => {
                self.state.borrow_mut().ready = Some(prepared); // another time
                self.remember(before).await;
            }
            choice => {
                let goes_on = self.state.borrow_mut().next_round(model, choice, &prepared);
                let choice = choice.filter(|_| !goes_on);
                self.remember(Trials { choice, ..Trials::default() }).await;
            }
        }
        Ok(())
    }

    /// Waits until all is compiled.
    pub async fn compiled(&self) {
        self.go();
        let compiling = self.state.borrow_mut().compiling.take();
        if let Some(compiling) = compiling
            && let Ok(prepared) = compiling.await
        {
            self.state.borrow_mut().ready = Some(prepared);
        }
    }

    /// True while there is something to try.
    pub fn is_pending(&self) -> bool {
        self.is_compiling() || self.state.borrow().ready.is_some()
    }

    /// True while kernels are being compiled, or are compiled but not looked at yet.
    pub fn is_compiling(&self) -> bool {
        self.state.borrow().compiling.is_some()
    }

    async fn remember(&self, trials: Trials) {
        self.state.borrow_mut().trials = trials;
        let Some(name) = &self.name else { return };
        if let Ok(store) = IndexedDb::open().await {
            remember(&store, name, &trials).await;
        }
    }
}

impl State {
    /// Begins to compile what `choice` or the round wants; false if that is nothing.
    fn compile(&mut self, model: &GpuModel, choice: Option<Choice>) -> bool {
        self.compile_after(None, model, choice)
    }

    /// The same after `held` has resolved, or a while.
    fn compile_after(&mut self, held: Option<oneshot::Receiver<()>>, model: &GpuModel, choice: Option<Choice>) -> bool {
        let Some(preparation) = model.prepare(choice, self.round) else { return false };
        let (sender, receiver) = oneshot::channel();
        wasm_bindgen_futures::spawn_local(async move {
            if let Some(held) = held {
                within(&Browser, FIRST_TOKEN, held).await;
            }
            // The receiver may be gone.
            let _ = sender.send(preparation.run().await);
        });
        self.compiling = Some(receiver);
        true
    }

    fn take_ready(&mut self) -> Option<Prepared> {
        if let Some(prepared) = self.compiling.as_mut().and_then(|c| c.try_recv().ok().flatten()) {
            self.compiling = None;
            self.ready = Some(prepared);
        }
        self.ready.take()
    }

    /// If nothing that was tried is faster, begins to compile the next variants; true if there are any.
    fn next_round(&mut self, model: &GpuModel, choice: Option<Choice>, tried: &Prepared) -> bool {
        if choice.is_some_and(|c| c.team.is_some()) {
            return false;
        }
        // A remembered choice is tried before all rounds.
        self.round += usize::from(!tried.is_remembered());
        self.compile(model, None)
    }
}
