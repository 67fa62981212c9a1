//! How a matrix–vector product (`shaders/matvec.wgsl`) is shared out among threads and workgroups.

use super::tables::Table;
use crate::gpu::Gpu;
use crate::gpu::shader::{SUBGROUPS, ShaderSpec};

/// Threads of a workgroup where nothing better is known.
pub const WG: usize = 128;
/// Workgroup memory that the kernels need besides activations: sums, and weights of parts of the attention.
const WORKGROUP_BYTES: usize = 8 << 10;
/// Most workgroup memory used for activations: more would keep other workgroups off the same unit.
const MOST_ACTIVATION_BYTES: usize = 24 << 10;
/// Workgroups that a kernel should have, so that no part of a large GPU is idle.
const ENOUGH_GROUPS: f64 = 132.0;

/// Rounds of loads that a thread has registers for before it multiplies.
const MOST_AHEAD: usize = 3;

/// How a matrix–vector product is shared out (`matvec.wgsl`).
pub struct Matvec {
    /// Constants of the kernel.
    pub spec: ShaderSpec,
    /// Workgroups.
    pub workgroups: usize,
}

/// Threads of a workgroup and threads that share a row, for `rows` rows of `groups` groups.
///
/// What costs time is, in this order: waiting for memory (rounds of loads, one after the other), reading the
/// activations anew in every workgroup, lanes without work, and too few workgroups to fill the GPU.
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
    sizes.filter(fits).min_by(|a, b| cost(*a).total_cmp(&cost(*b))).unwrap_or((WG, 32))
}

/// The same for a GPU that is a program: every thread waits at every barrier in turn, so few of them, all busy.
fn share_on_cpu(groups: usize) -> (usize, usize) {
    let rounds = |lanes: usize| groups.div_ceil(lanes) * lanes;
    let lanes = [32, 16, 8, 4].into_iter().min_by_key(|l| rounds(*l)).unwrap_or(4);
    ((lanes * 8).min(WG), lanes)
}

/// Constants and grid of `matvec.wgsl` for `rows` rows of a table.
pub fn matvec(gpu: &Gpu, table: &Table, kernel: &'static str, rows: usize) -> Matvec {
    let groups = table.shape().cols / 32;
    let (threads, lanes) = if gpu.is_software { share_on_cpu(groups) } else { share(groups, rows) };
    let memory = gpu.device.limits().max_compute_workgroup_storage_size as usize - WORKGROUP_BYTES;
    let chunks = (groups * 128).div_ceil(memory.min(MOST_ACTIVATION_BYTES));
    let rounds = groups.div_ceil(lanes);
    let ahead = chunks == 1 && rounds <= MOST_AHEAD && !gpu.is_software;
    let spec = table
        .constants(ShaderSpec::new(kernel).with("WG", threads).with("LANES", lanes))
        .with("CHUNK_GROUPS", groups.div_ceil(chunks))
        .with("ROWS", rows)
        .with("ROUNDS", rounds)
        .flag_if("AHEAD", ahead)
        .flag_if(SUBGROUPS, gpu.has_subgroups());
    Matvec { spec, workgroups: rows.div_ceil(threads / lanes * 4) }
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
        // What fits nothing is still shared out.
        assert_eq!(share(5, 333), (WG, 32));
    }
}
