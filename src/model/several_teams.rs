//! Who makes the layers of steps of several texts: persistent workgroups, as of single steps, where that works. Their kernels are
//! others, of which is known here what came of them (`trying_several`).

use super::kernels::layers::Team;
use crate::gpu::Warm;

/// What is known of the teams that were used for single steps.
#[derive(Default)]
pub struct SeveralTeams(Vec<Known>);

/// Of a team's kernel for up to so many texts.
pub struct Known {
    team: Team,
    texts: usize,
    /// What came of it.
    pub state: State,
}

/// What came of a kernel.
pub enum State {
    /// It is being compiled, or nobody has looked yet.
    Compiling(Warm),
    /// It was tried, and is faster. As long as what is compiled lives, making it again is instant.
    Works { _compiled: Warm },
    /// It was tried, or did not compile.
    Fails,
}

impl SeveralTeams {
    /// What is known of a team and up to so many texts.
    pub fn find(&mut self, team: Team, texts: usize) -> Option<&mut Known> {
        self.0.iter_mut().find(|known| known.team == team && known.texts == texts)
    }

    /// All that is known.
    pub fn all(&mut self) -> impl Iterator<Item = &mut Known> {
        self.0.iter_mut()
    }

    /// Takes note of a team that nothing was known of.
    pub fn add(&mut self, team: Team, texts: usize, state: State) {
        self.0.push(Known { team, texts, state });
    }

    /// Notes that workgroups timed out.
    pub fn give_up(&mut self, team: Team, texts: usize) {
        if let Some(known) = self.find(team, texts) {
            known.state = State::Fails;
        }
    }
}

#[cfg(all(test, feature = "native-gpu"))]
impl SeveralTeams {
    /// It was tried, or is to be trusted, and never timed out.
    pub fn trusts(&mut self, team: Team, texts: usize) -> bool {
        self.find(team, texts).is_some_and(|known| matches!(known.state, State::Works { .. }))
    }
}
