//! How decode steps are made: tried on the loaded model itself, which also tests that it works here.
//!
//! Compiling takes seconds on some drivers, so a model starts with many small dispatches, and the kernels for
//! persistent workgroups are compiled in the background, the most promising one alone and first. Once some are compiled,
//! the next completion starts with a few steps of each way; the fastest of all is kept, and remembered for the adapter.
//! On a later visit its kernel is compiled while the model is loaded, and only its logits are compared before it is used.

use super::gpu_model::GpuModel;
use super::kernels::layers::{Arithmetic, Team};
use super::persistent::{self, Persistent};
use crate::checkpoint::layout::TableFormat;
use crate::config::ModelConfig;
use crate::engine::{AbortFlag, Backend, Logits};
use crate::error::{ErrorCode, Result};
use crate::gpu::{Gpu, Warm};
use serde::{Deserialize, Serialize};
use std::rc::Rc;
use web_time::Instant;

/// Most steps that are timed together.
const STEPS: usize = 12;
/// They take at most about this many seconds, on a slow GPU as well.
const TRIAL: f64 = 0.02;
/// How often everything is timed; less often once that has taken `LONGEST` seconds, and in the first round, whose team is
/// timed again beside others.
const ROUNDS: usize = 8;
const ROUNDS_ALONE: usize = 2;
pub(super) const LONGEST: f64 = 0.5;
/// Largest permitted error of the logits (L2, relative): the rounding of half precision over about thirty layers.
pub(super) const TOLERANCE: f64 = 5e-3;
/// Spin limit of a workgroup, in polls: about 20 ms.
const SPIN_LIMIT: usize = 20_000;
/// Vendors of phone GPUs. Persistent workgroups are untested there, and their drivers take long to compile.
const PHONES: [&str; 4] = ["arm", "img-tec", "qualcomm", "samsung"];
/// Vendors whose GPUs multiply bytes four at a time; where that is emulated by other instructions, it is slower.
const BYTES: [&str; 3] = ["nvidia", "amd", "intel"];

/// The fastest way that was found; no team means many dispatches.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    /// The team that makes the layers.
    pub team: Option<Team>,
    /// The products of chunks are made of bytes; `None` if that was not tried.
    #[serde(default)]
    pub is_in_bytes: Option<bool>,
}

/// Arithmetic worth trying with tables of `format`, the most promising first.
fn arithmetics(gpu: &Gpu, format: TableFormat) -> Vec<Arithmetic> {
    if !format.is_quantized() {
        return vec![Arithmetic::F32];
    }
    let vendor = gpu.vendor.as_str();
    let bytes = |vendors: bool| vendors.then_some(Arithmetic::Int8);
    let half = gpu.has_f16.then_some(Arithmetic::F16);
    // If the vendor is unknown, the only reason against bytes is that Apple's GPUs are slow with them.
    let all = [bytes(BYTES.contains(&vendor)), half, Some(Arithmetic::F32), bytes(vendor.is_empty())];
    all.into_iter().flatten().collect()
}

/// Teams worth trying on a real GPU, in rounds: one alone, so that it is there soon, then those that may be faster. What
/// comes after them is tried if no team of the earlier rounds is the fastest.
fn rounds(gpu: &Gpu, config: &ModelConfig, format: TableFormat) -> [Vec<Team>; TEAM_ROUNDS] {
    // A software GPU runs workgroups one after the other.
    if gpu.is_software || PHONES.contains(&gpu.vendor.as_str()) {
        return Default::default();
    }
    let (arithmetics, subgroups) = (arithmetics(gpu, format), gpu.has_subgroups());
    let arithmetic = arithmetics[0];
    let team = |workgroups, threads| Team { workgroups, threads, spin_limit: SPIN_LIMIT, arithmetic, subgroups };
    let mut large: Vec<_> = arithmetics.iter().map(|a| Team { arithmetic: *a, ..team(128, 256) }).collect();
    if config.hidden_size > 1024 {
        // Wider models need more loads of a row in flight. Sums by trees halve the number of threads, which must be a
        // power of two.
        large.push(team(128, 512));
        large.extend(subgroups.then(|| team(128, 384)));
    }
    large.extend(subgroups.then(|| Team { subgroups: false, ..team(128, 256) }));
    let others = large.split_off(1);
    [large, others, vec![team(64, 256), team(32, 256)]]
}

/// The number of rounds.
pub const TEAM_ROUNDS: usize = 3;

/// True if another round is to be tried after round number `round`, after which this is the fastest way.
pub fn goes_on(round: usize, fastest: Option<Choice>) -> bool {
    round == 0 || (round + 1 < TEAM_ROUNDS && fastest.is_none_or(|choice| choice.team.is_none()))
}

/// True if teams may still make steps faster.
pub(super) fn has_teams(gpu: &Gpu, config: &ModelConfig, format: TableFormat) -> bool {
    rounds(gpu, config, format).iter().any(|round| !round.is_empty())
}

/// Kernels to be compiled while a model runs.
pub struct Preparation {
    gpu: Rc<Gpu>,
    kernels: Vec<(Team, Warm)>,
    /// Kernels for products of bytes.
    of_bytes: Vec<Warm>,
    round: usize,
    remembered: Option<Choice>,
}

/// Teams whose kernels are compiled; the driver's results live as long as this.
pub struct Prepared {
    /// What they are compiled for.
    gpu: Rc<Gpu>,
    teams: Vec<Team>,
    _compiled: Vec<Warm>,
    /// Whose round this is, unless the team was remembered as the fastest.
    round: usize,
    remembered: Option<Choice>,
}

/// A way of making steps, and the shortest time that a step took.
struct Candidate {
    /// `None` for many dispatches.
    persistent: Option<Persistent>,
    seconds: f64,
    /// It was the fastest before this trial.
    is_incumbent: bool,
}

impl Candidate {
    fn new(persistent: Option<Persistent>) -> Self {
        Self { persistent, seconds: f64::INFINITY, is_incumbent: false }
    }
}

impl Prepared {
    /// True if the team was remembered as the fastest.
    pub fn is_remembered(&self) -> bool {
        self.remembered.is_some()
    }
}

impl Preparation {
    /// Compiles in the background. Kernels that do not compile are left out.
    pub async fn run(mut self) -> Prepared {
        let all = self.kernels.iter_mut().map(|(_, kernel)| kernel).chain(&mut self.of_bytes);
        all.for_each(|kernel| kernel.begin(&self.gpu));
        let mut compiled = Vec::new();
        for mut kernel in self.of_bytes {
            kernel.is_compiled().await;
            compiled.push(kernel);
        }
        let mut teams = Vec::new();
        for (team, mut warm) in self.kernels {
            if warm.is_compiled().await {
                teams.push(team);
                compiled.push(warm);
            }
        }
        Prepared { gpu: self.gpu, teams, _compiled: compiled, round: self.round, remembered: self.remembered }
    }
}

impl GpuModel {
    /// What to compile before [`tune`](Self::tune): only the remembered choice, if it is possible, otherwise the teams
    /// of a round; `None` if there is nothing to try.
    pub fn prepare(&self, remembered: Option<Choice>, round: usize) -> Option<Preparation> {
        let warm = |teams: Vec<Team>| -> Vec<_> {
            teams.into_iter().filter_map(|team| Some((team, persistent::warm(self.parts(), team)?))).collect()
        };
        let mut kernels = match remembered {
            Some(Choice { team: None, .. }) => return None,
            Some(Choice { team: Some(team), .. }) => match self.begun.take() {
                Some((begun, kernel)) if begun == team => vec![(team, kernel)],
                _ => warm(vec![team]),
            },
            None => Vec::new(),
        };
        // A team that cannot be made, for whatever reason, counts as none.
        let is_remembered = !kernels.is_empty();
        if !is_remembered {
            let teams = rounds(&self.gpu, &self.config, self.weights.layer_format()).into_iter().nth(round);
            kernels = warm(teams.unwrap_or_default());
        }
        let of_bytes = self.kernels_of_bytes();
        let is_something = !kernels.is_empty() || !of_bytes.is_empty();
        let remembered = remembered.filter(|_| is_remembered);
        is_something.then(|| Preparation { gpu: self.gpu.clone(), kernels, of_bytes, round, remembered })
    }

    /// True if this was compiled for the current device.
    pub fn is_for_this(&self, prepared: &Prepared) -> bool {
        Rc::ptr_eq(&self.gpu, &prepared.gpu)
    }

    /// True if the context has enough free positions for a trial.
    pub fn can_tune(&self) -> bool {
        self.len + STEPS < self.context_length()
    }

    /// Tries what is prepared and keeps the fastest; the KV cache's tokens stay. `None` if it was ended early.
    ///
    /// # Errors
    /// `device-lost`.
    pub async fn tune(&mut self, prepared: &Prepared, abort: &AbortFlag) -> Result<Option<Choice>> {
        let team = match self.try_teams(prepared, abort).await {
            Ok(Some(team)) => team,
            Ok(None) => return Ok(None),
            Err(e) => {
                self.persistent = None; // whoever was tried is not to be trusted
                return Err(e);
            }
        };
        if self.try_bytes(abort).await?.is_none() {
            return Ok(None);
        }
        // Then the kernels for bytes are compiled with what comes next.
        if prepared.remembered.map_or(prepared.round == 0, |choice| choice.is_in_bytes.is_none()) {
            self.make_room_for_bytes().await?;
        }
        let tried = self.has_tried_bytes.then(|| self.is_in_bytes());
        let is_in_bytes = tried.or(prepared.remembered.and_then(|choice| choice.is_in_bytes));
        Ok(Some(Choice { team, is_in_bytes }))
    }

    /// True if products of bytes are yet to be tried, and there is room for it.
    pub fn has_bytes_to_try(&self) -> bool {
        self.bytes_to_try.is_some()
    }

    /// The fastest, where no team means many dispatches; `None` if it was ended early.
    async fn try_teams(&mut self, prepared: &Prepared, abort: &AbortFlag) -> Result<Option<Option<Team>>> {
        self.gpu.check()?; // what did not compile since the device is lost tells nothing of the team
        let incumbent = self.persistent.take();
        let wanted = self.logits_of_step().await?;
        let mut candidates = vec![Candidate::new(None)];
        candidates.extend(incumbent.map(|team| Candidate { is_incumbent: true, ..Candidate::new(Some(team)) }));
        for team in &prepared.teams {
            if abort.is_set() {
                return Ok(self.undecided(candidates));
            }
            if let Some(persistent) = self.tried(*team, &wanted).await? {
                candidates.push(Candidate::new(Some(persistent)));
            }
        }
        let new =
            candidates.iter().filter(|candidate| candidate.persistent.is_some() && !candidate.is_incumbent).count();
        if new == 0 {
            self.undecided(candidates);
            return Ok(Some(self.team()));
        }
        if prepared.is_remembered() {
            // It was the fastest on this device before; a text that waits is not held up by timing it again.
            self.persistent = candidates.pop().and_then(|candidate| candidate.persistent);
            return Ok(Some(self.team()));
        }
        // In turn, and repeatedly: a GPU that was idle speeds up for a while, whichever way is being timed.
        let from = Instant::now();
        for round in 0..if prepared.round == 0 { ROUNDS_ALONE } else { ROUNDS } {
            for candidate in &mut candidates {
                if abort.is_set() {
                    return Ok(self.undecided(candidates));
                }
                self.persistent = candidate.persistent.take();
                candidate.seconds = candidate.seconds.min(self.seconds_of_steps().await?);
                candidate.persistent = self.persistent.take();
            }
            // Ways that timed out are dropped. The first is many dispatches.
            let mut is_first = true;
            candidates.retain(|c| std::mem::take(&mut is_first) || c.persistent.is_some());
            if round > 0 && from.elapsed().as_secs_f64() > LONGEST {
                break;
            }
        }
        let fastest = candidates.into_iter().min_by(|a, b| a.seconds.total_cmp(&b.seconds));
        self.persistent = fastest.and_then(|candidate| candidate.persistent);
        Ok(Some(self.team()))
    }

    /// Ends a trial early: steps are made as before it.
    fn undecided(&mut self, candidates: Vec<Candidate>) -> Option<Option<Team>> {
        let incumbent = candidates.into_iter().find(|candidate| candidate.is_incumbent);
        self.persistent = incumbent.and_then(|candidate| candidate.persistent);
        None
    }

    /// A team, if its steps give the expected logits.
    ///
    /// # Errors
    /// `device-lost`.
    pub(super) async fn tried(&mut self, team: Team, wanted: &[f32]) -> Result<Option<Persistent>> {
        match self.employ(team).await {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(e) if e.code == ErrorCode::DeviceLost => return Err(e),
            Err(_) => return Ok(None), // another way works
        }
        let got = self.logits_of_step().await?;
        let Some(persistent) = self.persistent.take() else { return Ok(None) }; // it timed out
        if difference(&got, wanted) <= TOLERANCE {
            return Ok(Some(persistent));
        }
        let (products, sums) = self.ways_of(team);
        let note =
            format!("Steps by persistent workgroups with {products} and {sums} gave wrong results and are not used.");
        if !self.dropped.contains(&note) {
            self.dropped.push(note);
        }
        Ok(None)
    }

    /// Logits of a step after the cache's tokens. Persistent workgroups that time out are removed.
    pub(super) async fn logits_of_step(&mut self) -> Result<Vec<f32>> {
        let logits = self.forward(&[1], Logits::Last).await?;
        self.truncate(self.len - 1);
        Ok(logits)
    }

    /// Seconds that a step takes after the cache's tokens. Persistent workgroups that time out are removed.
    pub(super) async fn seconds_of_steps(&mut self) -> Result<f64> {
        let len = self.len;
        let (mut seconds, mut steps) = (0.0, 1);
        while steps <= STEPS {
            let from = Instant::now();
            for _ in 1..steps {
                self.step_unread();
            }
            self.forward(&[1], Logits::Last).await?;
            self.truncate(len);
            seconds = from.elapsed().as_secs_f64() / steps as f64;
            // As many as a trial may take, if that is more than these.
            let more = ((TRIAL / seconds) as usize).min(STEPS);
            if more <= steps {
                break;
            }
            steps = more;
        }
        Ok(seconds)
    }

    /// A decode step whose result is not read.
    fn step_unread(&mut self) {
        let past = self.len;
        self.write_step(past, 1, 0, 0);
        self.submit(0, |pass| {
            self.layers(pass, (1, 0), true);
            self.plan.logits_of_row.record(pass, past, 1);
        });
        self.len += 1;
    }
}

/// Relative difference (L2); NaN counts as far off.
pub(super) fn difference(got: &[f32], wanted: &[f32]) -> f64 {
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>().sqrt();
    let off = norm(&mut got.iter().zip(wanted).map(|(g, w)| f64::from(*g) - f64::from(*w)));
    let size = norm(&mut wanted.iter().map(|w| f64::from(*w)));
    let relative = off / size;
    if relative.is_nan() { f64::INFINITY } else { relative }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_promising_team_is_tried_alone_and_all_others_after_it() {
        let fastest = |team| Some(Choice { team, is_in_bytes: None });
        let team = Team { workgroups: 128, threads: 256, spin_limit: 1, arithmetic: Arithmetic::F32, subgroups: false };
        assert!(goes_on(0, fastest(Some(team))) && goes_on(0, fastest(None)) && goes_on(0, None));
        assert!(!goes_on(1, fastest(Some(team))) && goes_on(1, fastest(None)) && goes_on(1, None));
        assert!(!goes_on(2, fastest(None)) && !goes_on(2, None));
    }

    #[test]
    fn what_is_no_number_is_far_off() {
        assert_eq!(difference(&[1.0, 2.0], &[1.0, 2.0]), 0.0);
        assert!((difference(&[1.0, 2.2], &[1.0, 2.0]) - 0.2 / 5f64.sqrt()).abs() < 1e-6);
        assert_eq!(difference(&[f32::NAN], &[1.0]), f64::INFINITY);
        assert_eq!(difference(&[0.0], &[0.0]), f64::INFINITY);
    }
}
