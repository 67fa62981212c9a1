//! When decode steps are tuned (`src/model/tune.rs`), and what is remembered of it between visits.

use crate::checkpoint::layout::Quantization;
use crate::engine::{AbortFlag, Backend};
use crate::error::Result;
use crate::load::request::Request;
use crate::load::tuned::{Trials, name};
use crate::model::{Choice, GpuModel, Prepared, TEAM_ROUNDS, goes_on};
use crate::platform::browser::Browser;
use crate::platform::wait::within;
use crate::store::indexed_db::IndexedDb;
use crate::store::remembered::{recall, remember};
use futures_channel::oneshot;
use std::cell::RefCell;
use std::time::Duration;

/// How long compiling waits for the end of a text: the browser's GPU process reads the kernels' sources first, which
/// holds up what is submitted, by a tenth of a second for three of them.
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// How long a load waits for the kernel that was the fastest on an earlier visit, and is compiled beside it.
const REMEMBERED: Duration = Duration::from_millis(300);

/// Kernels that are being compiled for a model, then waiting to be tried.
pub struct Tuning {
    /// Name under which the outcome is stored; `None` if nothing is to be stored in this browser.
    name: Option<String>,
    state: RefCell<State>,
}

struct State {
    trials: Trials,
    /// Which round of persistent-workgroup variants is being compiled.
    round: usize,
    compiling: Option<oneshot::Receiver<Prepared>>,
    ready: Option<Prepared>,
    /// Compiling begins once this is dropped.
    hold: Option<oneshot::Sender<()>>,
}

impl Tuning {
    /// Begins to compile for a model that `request` made. The outcome may be stored, and perhaps already was, if the
    /// model is.
    pub async fn begin(model: &GpuModel, quantization: Quantization, request: &Request) -> Self {
        let name = request.cache.then(|| name(model.gpu(), model.config(), quantization, request.context_length));
        let mut trials = Trials::default();
        if let Some(name) = &name
            && let Ok(store) = IndexedDb::open().await
        {
            trials = recall(&store, name).await.unwrap_or_default();
        }
        let mut state = State { trials, round: 0, compiling: None, ready: None, hold: None };
        if trials.may_go_on() {
            match trials.choice {
                // It began to be compiled while the model was loaded.
                Some(choice) => state.compile(model, Some(choice)),
                None => state.compile_after_text(model),
            };
        }
        Self { name, state: RefCell::new(state) }
    }

    /// A text is there: compiling no longer waits.
    pub fn go(&self) {
        drop(self.state.borrow_mut().hold.take());
    }

    /// Waits a little for the kernel that was the fastest on an earlier visit, if there is one.
    pub async fn recalled(&self) {
        if self.state.borrow().trials.choice.is_none() {
            return;
        }
        let Some(mut compiling) = self.state.borrow_mut().compiling.take() else { return };
        let compiled = within(&Browser, REMEMBERED, &mut compiling).await;
        let mut state = self.state.borrow_mut();
        match compiled {
            Some(prepared) => state.ready = prepared.ok(),
            None => state.compiling = Some(compiling),
        }
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
            // The device that it was compiled for is lost, and the model that is there now has no team yet.
            let mut state = self.state.borrow_mut();
            state.round = 0;
            state.compile(model, before.choice);
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
                // What was remembered and is still right stays, whether or not there is time for the rest.
                let stays = prepared.is_remembered() && choice.is_some_and(|c| c.team.is_some());
                let choice = choice.filter(|_| stays || !goes_on);
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

    /// Begins to compile what the round wants once there is a text, or after a while; false if that is nothing.
    fn compile_after_text(&mut self, model: &GpuModel) -> bool {
        let (hold, held) = oneshot::channel();
        self.hold = Some(hold);
        self.compile_after(Some(held), model, None)
    }

    fn compile_after(&mut self, held: Option<oneshot::Receiver<()>>, model: &GpuModel, choice: Option<Choice>) -> bool {
        let Some(preparation) = model.prepare(choice, self.round) else { return false };
        let (sender, receiver) = oneshot::channel();
        wasm_bindgen_futures::spawn_local(async move {
            if let Some(held) = held {
                within(&Browser, LONGEST_WAIT, held).await;
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

    /// Begins to compile what is to be tried next, if `choice` is the fastest so far; true if there is something.
    fn next_round(&mut self, model: &GpuModel, choice: Option<Choice>, tried: &Prepared) -> bool {
        // A remembered choice is tried before all rounds, and comes before products of bytes.
        if tried.is_remembered() {
            let is_useless = choice.is_none_or(|c| c.team.is_none());
            self.round = if is_useless { 0 } else { TEAM_ROUNDS };
            return (is_useless || model.has_bytes_to_try()) && self.compile_after_text(model);
        }
        while goes_on(self.round, choice) {
            self.round += 1;
            if self.compile_after_text(model) {
                return true;
            }
        }
        false
    }
}
