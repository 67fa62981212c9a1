//! Which team makes the layers of steps of several texts: persistent workgroups, as in single steps, where that works.
//! Their kernels are different ones; this module records the outcome of trying them (`trying_several`).

use super::kernels::layers::Team;
use crate::gpu::Warm;

/// What is known about the teams that were used for single steps.
#[derive(Default)]
pub struct SeveralTeams(Vec<Known>);

/// What is known about a team's kernel for up to `texts` texts.
pub struct Known {
    team: Team,
    texts: usize,
    /// The outcome of trying it.
    pub state: State,
}

/// The outcome of trying a kernel.
pub enum State {
    /// It is being compiled, or was not checked yet.
    Compiling(Warm),
    /// It was tried, and is faster. While the compiled kernel is alive, creating it again is instant.
    Works { _compiled: Warm },
    /// It was tried and rejected, or did not compile.
    Fails,
}

impl SeveralTeams {
    /// What is known about a team and up to `texts` texts.
    pub fn find(&mut self, team: Team, texts: usize) -> Option<&mut Known> {
        self.0.iter_mut().find(|known| known.team == team && known.texts == texts)
    }

    /// Everything that is known.
    pub fn all(&mut self) -> impl Iterator<Item = &mut Known> {
        self.0.iter_mut()
    }

    /// Adds a team about which nothing was known.
    pub fn add(&mut self, team: Team, texts: usize, state: State) {
        self.0.push(Known { team, texts, state });
    }

    /// Records that workgroups timed out.
    pub fn give_up(&mut self, team: Team, texts: usize) {
        if let Some(known) = self.find(team, texts) {
            known.state = State::Fails;
        }
    }
}

#[cfg(all(test, feature = "native-gpu"))]
impl SeveralTeams {
    /// True if it was tried and works, or is to be trusted, and never timed out.
    pub fn trusts(&mut self, team: Team, texts: usize) -> bool {
        self.find(team, texts).is_some_and(|known| matches!(known.state, State::Works { .. }))
    }
}
