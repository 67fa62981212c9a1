//! How a matrix–vector product is shared out among threads and workgroups (`shaders/matvec.wgsl`).

use super::dispatch::{Grid, THREADS};
use crate::gpu::Gpu;
use crate::gpu::shader::{SUBGROUPS, ShaderSpec};
use crate::model::tables::Table;

/// Workgroup memory that the kernels need besides activations: sums, and weights of parts of the attention.
const WORKGROUP_BYTES: usize = 8 << 10;
/// Most workgroup memory used for activations: more would keep other workgroups off the same compute unit.
const MOST_ACTIVATION_BYTES: usize = 24 << 10;
/// Workgroups that a kernel should have, so that no part of a large GPU is idle.
const ENOUGH_GROUPS: f64 = 132.0;

/// Rounds of loads that a thread has registers for before it multiplies.
const MOST_AHEAD: usize = 3;

/// How a product with a table is shared out.
#[derive(Clone, Copy, Debug)]
pub struct Sharing {
    /// Threads of a workgroup.
    pub threads: usize,
    /// Of these, threads that share four rows.
    pub lanes: usize,
    /// Groups of activations that lie in workgroup memory at a time.
    pub chunk_groups: usize,
    /// Rows of the product.
    pub rows: usize,
    /// Groups of a row that each thread processes.
    pub rounds: usize,
    /// A thread issues all its loads before the activations are read.
    pub ahead: bool,
    /// Sums by subgroups.
    pub subgroups: bool,
}

impl Sharing {
    /// The best for this device and `rows` rows of a table.
    pub fn new(gpu: &Gpu, table: &Table, rows: usize) -> Self {
        let groups = table.groups();
        let (threads, lanes) = if gpu.is_software { share_on_cpu(groups) } else { share(groups, rows) };
        let memory = gpu.device.limits().max_compute_workgroup_storage_size as usize - WORKGROUP_BYTES;
        let chunks = (groups * 128).div_ceil(memory.min(MOST_ACTIVATION_BYTES));
        let rounds = groups.div_ceil(lanes);
        let ahead = chunks == 1 && rounds <= MOST_AHEAD && !gpu.is_software;
        let chunk_groups = groups.div_ceil(chunks);
        Self { threads, lanes, chunk_groups, rows, rounds, ahead, subgroups: gpu.has_subgroups() }
    }

    /// A kernel of such products with the constants of the product.
    pub(super) fn shader(&self, kernel: &'static str, table: &Table) -> ShaderSpec {
        table
            .constants(ShaderSpec::new(kernel).with("WG", self.threads).with("LANES", self.lanes))
            .with("CHUNK_GROUPS", self.chunk_groups)
            .with("ROWS", self.rows)
            .with("ROUNDS", self.rounds)
            .flag_if("AHEAD", self.ahead)
            .flag_if(SUBGROUPS, self.subgroups)
    }

    /// Workgroups.
    pub(super) fn grid(&self) -> Grid {
        Grid::folded(self.workgroups())
    }

    /// Number of workgroups that share the product's rows.
    pub(super) fn workgroups(&self) -> usize {
        self.rows.div_ceil(self.threads / self.lanes * 4)
    }
}

/// Threads of a workgroup and threads that share a row, for `rows` rows of `groups` groups.
///
/// The costs, in descending order: waiting for memory (rounds of loads, one after the other), reading the activations
/// again in every workgroup, idle lanes, and too few workgroups to fill the GPU.
fn share(groups: usize, rows: usize) -> (usize, usize) {
    let sizes = [64, 128, 256].into_iter().flat_map(|wg| [8, 16, 32, 64, 128].map(|lanes| (wg, lanes)));
    let cost = |(wg, lanes): (usize, usize)| {
        let rounds = groups.div_ceil(lanes) as f64;
        let items = (groups * 4).div_ceil(wg) as f64;
        let workgroups = rows.div_ceil(wg / lanes * 4) as f64;
        let waste = rounds * lanes as f64 / groups as f64;
        let filling = (ENOUGH_GROUPS / workgroups).max(1.0) + workgroups / (8.0 * ENOUGH_GROUPS);
        (rounds + 0.7 * items + 0.5 * waste) * filling.sqrt()
    };
    let fits = |&(wg, lanes): &(usize, usize)| lanes <= wg && rows.is_multiple_of(wg / lanes * 4);
    sizes.filter(fits).min_by(|a, b| cost(*a).total_cmp(&cost(*b))).unwrap_or((THREADS, 32))
}

/// The same for a software GPU: every thread waits at every barrier in turn, so few threads, all of them busy.
fn share_on_cpu(groups: usize) -> (usize, usize) {
    let rounds = |lanes: usize| groups.div_ceil(lanes) * lanes;
    let lanes = [32, 16, 8, 4].into_iter().min_by_key(|l| rounds(*l)).unwrap_or(4);
    ((lanes * 8).min(THREADS), lanes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_published_shape_fills_a_gpu() {
        for d in [768, 1024, 1280, 1536] {
            for (groups, rows) in [(d / 32, 3 * d), (d / 32, d), (d / 32, 4 * d), (d / 8, d)] {
                let (threads, lanes) = share(groups, rows);
                let workgroups = rows / (threads / lanes * 4);
                assert!(workgroups >= 80, "{groups} {rows}: {workgroups} workgroups");
                let rounds = groups.div_ceil(lanes);
                assert!(rounds <= 4 && rounds * lanes <= 3 * groups, "{groups} {rows}: {rounds} rounds of {lanes}");
                assert_eq!(rows % (threads / lanes * 4), 0);
            }
        }
        // A product that fits no case is still shared out.
        assert_eq!(share(5, 333), (THREADS, 32));
    }
}
