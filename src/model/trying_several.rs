//! Using persistent workgroups for the layers of steps of several texts: their kernels are compiled during steps of
//! many dispatches once several texts are first generated, then tried: the logits of the texts' first step are
//! compared, and steps are timed.

use super::gpu_model::GpuModel;
use super::kernels::Step;
use super::kernels::layers::{Arithmetic, Team};
use super::persistent::{self, Persistent};
use super::plan::several::logits_stride;
use super::several::{Several, Text, record_layers};
use super::several_teams::State;
use super::tune::{TOLERANCE, difference};
use crate::error::{ErrorCode, Result};
use std::cell::Cell;
use web_time::Instant;

/// Steps that are timed together, and how often.
const STEPS: usize = 4;
const ROUNDS: usize = 3;

thread_local! {
    /// A trial has started and not ended: if it loses the device, later sessions do not try again.
    static IS_TRIED: Cell<bool> = const { Cell::new(false) };
}

impl GpuModel {
    /// Makes the team of single steps run the steps of up to `texts` texts that were started, if that works; otherwise
    /// they take many dispatches.
    ///
    /// # Errors
    /// `device-lost`.
    pub(super) async fn choose_several_team(&mut self, texts: usize) -> Result<()> {
        // Sums in f16 of several texts have up to 3.4 times the error permitted for a kernel, though the logits are
        // close enough.
        let is_exact = |team: &Team| team.arithmetic != Arithmetic::F16;
        let team = self.team().filter(|team| self.packs.is_none() && is_exact(team));
        if self.several.persistent.as_ref().is_some_and(|persistent| Some(persistent.team) == team) {
            return Ok(());
        }
        self.several.persistent = None;
        let Some(team) = team else { return Ok(()) };
        if self.several_teams.find(team, texts).is_none() {
            let state = match persistent::warm_for_texts(self.parts(), team, texts) {
                Some(mut warm) => {
                    warm.begin(&self.gpu);
                    State::Compiling(warm)
                }
                None => State::Fails,
            };
            self.several_teams.add(team, texts, state);
        }
        let Some(known) = self.several_teams.find(team, texts) else { return Ok(()) };
        let is_tried = match &mut known.state {
            State::Compiling(warm) => match warm.is_compiled_by_now() {
                None => return Ok(()),
                Some(true) => false,
                Some(false) => {
                    known.state = State::Fails;
                    return Ok(());
                }
            },
            State::Works { .. } => true,
            State::Fails => return Ok(()),
        };
        if !is_tried && IS_TRIED.replace(true) {
            return Ok(());
        }
        let made = self.several_persistent(team).await?;
        let works = match &made {
            Some(_) if is_tried => true,
            Some(persistent) => match self.is_worth_it(persistent).await {
                Err(e) if e.code == ErrorCode::DeviceLost => return Err(e),
                is_worth_it => is_worth_it.unwrap_or(false),
            },
            None => false,
        };
        IS_TRIED.set(false);
        let Some(known) = self.several_teams.find(team, texts) else { return Ok(()) };
        known.state = match std::mem::replace(&mut known.state, State::Fails) {
            State::Compiling(compiled) if works => State::Works { _compiled: compiled },
            state if works => state,
            _ => State::Fails,
        };
        self.several.persistent = made.filter(|_| works);
        Ok(())
    }

    /// Waits until [`choose_several_team`](Self::choose_several_team) has finished compiling.
    pub(super) async fn compiled_several_teams(&mut self) {
        for known in self.several_teams.all() {
            if let State::Compiling(warm) = &mut known.state {
                warm.is_compiled().await;
            }
        }
    }

    /// The dispatches for the texts that were started; `None` if that is not possible.
    async fn several_persistent(&mut self, team: Team) -> Result<Option<Persistent>> {
        let several = std::mem::take(&mut self.several);
        let make = || several.persistent_of(self.parts(), team);
        let made = self.gpu.scoped("Compiling the layers' kernel for several texts", make).await;
        self.several = several;
        match made {
            Err(e) if e.code == ErrorCode::DeviceLost => Err(e),
            made => Ok(made.ok().flatten()), // another way works
        }
    }

    /// Makes the first step both ways; the only traces are those that the texts' first step overwrites.
    async fn is_worth_it(&mut self, persistent: &Persistent) -> Result<bool> {
        let places: Vec<_> = self.several.texts.iter().map(|text| (text.place, Step::new(text.past, 1))).collect();
        let longest = self.write_places(&places)?;
        let (stride, vocab) = (logits_stride(self.config.padded_vocab_size), self.config.padded_vocab_size);
        let ways = [None, Some(persistent)];
        let mut logits = [Vec::new(), Vec::new()];
        for (way, logits) in ways.into_iter().zip(&mut logits) {
            self.submit_several(way, longest, true);
            if !self.read(self.logits_bytes(), logits).await? {
                return Ok(false);
            }
        }
        let [wanted, got] = logits.each_ref().map(|rows| rows.chunks_exact(stride).map(|row| &row[..vocab]));
        if got.zip(wanted).any(|(got, wanted)| difference(got, wanted) > TOLERANCE) {
            let (products, sums) = self.ways_of(persistent.team);
            let note = format!(
                "Steps of several texts by persistent workgroups with {products} and {sums} gave wrong results and are not used."
            );
            if !self.dropped.contains(&note) {
                self.dropped.push(note);
            }
            return Ok(false);
        }
        let mut seconds = [f64::INFINITY; 2];
        for _ in 0..ROUNDS {
            for (way, seconds) in ways.into_iter().zip(&mut seconds) {
                let begin = Instant::now();
                (1..=STEPS).for_each(|step| self.submit_several(way, longest, step == STEPS));
                if !self.read(self.logits_bytes(), &mut Vec::new()).await? {
                    return Ok(false);
                }
                *seconds = seconds.min(begin.elapsed().as_secs_f64());
            }
        }
        Ok(seconds[1] < seconds[0])
    }

    fn logits_bytes(&self) -> u64 {
        (self.several.texts.len() * logits_stride(self.config.padded_vocab_size) * 4) as u64
    }

    /// A step of the texts that were started, without choosing tokens; with `copies` their logits are copied out.
    fn submit_several(&self, persistent: Option<&Persistent>, longest: usize, copies: bool) {
        let Several { plan: Some((_, plan)), texts, .. } = &self.several else { return };
        let count = texts.len();
        self.submit_by(persistent, if copies { self.logits_bytes() } else { 0 }, |pass| {
            self.plan.embed.record(pass, 0, count);
            record_layers(pass, (plan, persistent), longest, count);
            plan.logits.record(pass, longest, count);
        });
    }

    /// Repeats the steps on which workgroups timed out, with many dispatches each, as all later steps will be.
    pub(super) fn redo_several(&mut self, steps: usize) -> Result<()> {
        if let (Some(persistent), Some((texts, _))) = (self.several.persistent.take(), &self.several.plan) {
            self.several_teams.give_up(persistent.team, *texts);
        }
        let Several { texts, sampling: Some(sampling), flights, .. } = &mut self.several else { return Ok(()) };
        flights.rewind();
        let input = |(i, text): (usize, &mut Text)| {
            text.past -= steps;
            text.choosing.rewind(&self.gpu, sampling.row(i))
        };
        let ids: Vec<u32> = texts.iter_mut().enumerate().map(input).collect();
        self.gpu.queue.write_buffer(&self.scratch.ids.buffer, 0, bytemuck::cast_slice(&ids));
        (0..steps).try_for_each(|_| self.step_several())
    }
}

#[cfg(all(test, feature = "native-gpu"))]
impl GpuModel {
    /// Makes the team of single steps run those of up to `texts` texts from now on, however fast it is.
    pub(super) fn trust_several_team(&mut self, texts: usize) {
        let team = self.team().expect("a team");
        let compiled = persistent::warm_for_texts(self.parts(), team, texts).expect("a kernel");
        self.several_teams.add(team, texts, State::Works { _compiled: compiled });
    }
}
