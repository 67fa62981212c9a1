//! How the rows of a product are shared out among the threads of all workgroups.

use super::team::Team;

/// Most rows for which a thread uses the same activations.
const MOST_ROWS: usize = 8;
/// Most `vec4<u32>` of the tables that a thread keeps in registers.
const MOST_HELD: usize = 10;

/// How the rows of one product are shared out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    /// Threads that share rows.
    pub lanes: usize,
    /// Rows that they share.
    pub rows: usize,
}

/// The cheapest way for `rows` rows of `groups` groups; a workgroup's rows must divide `segment`.
pub fn share(team: Team, groups: usize, rows: usize, segment: usize, vecs: usize) -> Option<Share> {
    let lanes = [8, 16, 32, 64, 128, 256].into_iter().filter(|lanes| *lanes <= team.threads);
    let shares = lanes.flat_map(|lanes| (1..=MOST_ROWS.min(lanes)).map(move |rows| Share { lanes, rows }));
    let cost = |s: &Share| {
        let block = team.threads / s.lanes * s.rows;
        let turns = rows.div_ceil(block).div_ceil(team.workgroups);
        let rounds = groups.div_ceil(s.lanes);
        // A group's activations come from workgroup memory, which takes about as long as a row and a half.
        let work = rounds * (10 * s.rows + 14) + if s.lanes > 32 { 7 } else { 0 };
        let held = (rounds * s.rows * vecs).saturating_sub(MOST_HELD);
        // Only the first turn's loads are in flight before the activations arrive.
        turns * work + (turns - 1) * 40 + held * 20
    };
    shares.filter(|s| segment.is_multiple_of(team.threads / s.lanes * s.rows)).min_by_key(cost)
}
