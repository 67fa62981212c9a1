//! A unit that arrived and differs from what is known of it: the network may have garbled it, or what is known is
//! wrong.

/// Answers that are requested before a unit is given up.
const MOST: usize = 3;

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Ask for the unit again.
    Again,
    /// End the load, and keep the units that were right: one of the answers was garbled, or all.
    End,
    /// End the load, and forget what is stored of the file: it belongs to another one.
    Forget,
}

/// The wrong answers to one unit so far.
#[derive(Debug, Default)]
pub struct Doubt {
    answers: Vec<Option<String>>,
}

impl Doubt {
    /// A wrong answer arrived: the hash of its bytes, or `None` if they are not of the file that was planned for.
    /// `is_verified`: the other units were compared with hashes that do not come from this load.
    pub fn next(&mut self, answer: Option<String>, is_verified: bool) -> Next {
        let is_repeated = self.answers.last() == Some(&answer);
        self.answers.push(answer);
        match () {
            () if self.answers.len() < MOST => Next::Again,
            () if is_repeated && !is_verified => Next::Forget,
            () => Next::End,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(answers: [Option<&str>; MOST], is_verified: bool) -> Vec<Next> {
        let mut doubt = Doubt::default();
        answers.into_iter().map(|answer| doubt.next(answer.map(str::to_owned), is_verified)).collect()
    }

    #[test]
    fn one_garbled_answer_costs_one_request() {
        use Next::{Again, End, Forget};
        assert_eq!(outcome([Some("a"), Some("b"), Some("c")], false), [Again, Again, End], "noise: the rest is right");
        assert_eq!(outcome([Some("a"), Some("b"), Some("b")], false), [Again, Again, Forget], "the file is another");
        assert_eq!(outcome([None, None, None], false), [Again, Again, Forget], "so is the plan's");
        assert_eq!(outcome([Some("b"), Some("b"), Some("b")], true), [Again, Again, End], "the store knows better");
    }
}
