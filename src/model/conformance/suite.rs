//! All cases on all kinds of devices.

use super::case::{Case, Cases, DependsOn, Tier};
use super::lab::{Finding, Lab};
use super::{attention, bytes, choice, inspect, layers, layers_of_texts, learning, packs, pattention, rows, training};
use crate::error::{Error, ErrorCode, Result};
use crate::gpu::{Gpu, GpuOptions, Kernels};
use serde::Serialize;
use std::collections::{BTreeSet, HashMap};

/// A row of the table.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// Its shader in `shaders/`.
    pub kernel: &'static str,
    /// The size of its input.
    pub size: String,
    /// How a table's elements are stored; empty for kernels without one.
    pub format: &'static str,
    /// How it is compiled, and for which purpose.
    pub variant: String,
    /// The largest error, relative to the permitted one.
    pub error: f64,
    /// No error exceeds the permitted one.
    pub is_ok: bool,
    /// What is wrong, in words.
    pub wrong: String,
}

/// The result.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Rows.
    pub run: usize,
    /// Rows that are not ok.
    pub failed: usize,
    /// Cases that were not run here, and why.
    pub skipped: Vec<String>,
}

/// A kind of device that this one can be treated as.
struct Kind {
    name: &'static str,
    subgroups: bool,
    /// Work is distributed as on a software GPU.
    software: bool,
    /// It has only the limits of every device with WebGPU.
    default_limits: bool,
}

/// The first kind runs all cases; another one runs those that depend on its differences.
const KINDS: [Kind; 4] = [
    Kind { name: "trees", subgroups: false, software: false, default_limits: false },
    Kind { name: "subgroups", subgroups: true, software: false, default_limits: false },
    Kind { name: "software", subgroups: false, software: true, default_limits: false },
    Kind { name: "default limits", subgroups: false, software: false, default_limits: true },
];

impl Kind {
    fn runs(&self, what: DependsOn) -> bool {
        match what {
            DependsOn::Nothing => !self.software && !self.subgroups && !self.default_limits,
            DependsOn::Software => !self.subgroups && !self.default_limits,
            DependsOn::Subgroups => !self.default_limits,
            DependsOn::Sums => !self.software && !self.default_limits,
            DependsOn::Memory => true,
        }
    }
}

/// Runs the rows of these kernels, or of all if none is named, and reports each.
///
/// # Errors
/// `invalid-argument` for a name that no kernel has, `webgpu-unavailable` without a GPU, `device-lost`.
pub async fn run(tier: Tier, kernels: &[String], mut tell: impl FnMut(Row)) -> Result<Summary> {
    check_names(kernels)?;
    let mut summary = Summary::default();
    for kind in KINDS.iter().filter(|kind| tier != Tier::Quick || !kind.software) {
        let (no_subgroups, default_limits) = (!kind.subgroups, kind.default_limits);
        let mut gpu =
            Gpu::open(&GpuOptions { no_subgroups, default_limits, insists: true, ..Default::default() }).await?;
        let is_program = gpu.is_software;
        if kind.subgroups && !gpu.has_subgroups() {
            summary.skipped.push("variants with subgroups: this device has none".into());
            continue;
        }
        gpu.is_software = kind.software;
        let mut compiled = Kernels::default();
        let is_wanted = |case: &Case| kernels.is_empty() || kernels.iter().any(|name| name == case.kernel);
        let runs = |case: &Case| kind.runs(case.depends_on) && is_wanted(case);
        for case in cases(tier).into_iter().filter(runs) {
            let lab = Lab::new(&gpu, &mut compiled, case.seed(), is_program);
            match run_case(lab, kind, &case).await? {
                Ok(row) => {
                    summary.run += 1;
                    summary.failed += usize::from(!row.is_ok);
                    tell(row);
                }
                Err(why) if summary.skipped.iter().all(|before| before != why) => summary.skipped.push(why.into()),
                Err(_) => {}
            }
        }
    }
    Ok(summary)
}

/// The names of the kernels, in alphabetical order.
fn names() -> BTreeSet<&'static str> {
    cases(Tier::Short).into_iter().map(|case| case.kernel).collect()
}

/// # Errors
/// `invalid-argument` for an unknown name: a misspelt one would otherwise be skipped unnoticed.
fn check_names(wanted: &[String]) -> Result<()> {
    let names = names();
    match wanted.iter().find(|name| !names.contains(name.as_str())) {
        None => Ok(()),
        Some(unknown) => {
            let names: Vec<_> = names.into_iter().collect();
            Err(Error::invalid_argument(format!("There is no kernel \"{unknown}\"."))
                .hint(format!("The kernels are {}.", names.join(", "))))
        }
    }
}

fn cases(tier: Tier) -> Vec<Case> {
    let mut cases = Cases::new(tier);
    rows::add(&mut cases);
    pattention::add(&mut cases);
    bytes::add(&mut cases);
    packs::add(&mut cases);
    inspect::add(&mut cases);
    attention::add(&mut cases);
    choice::add(&mut cases);
    layers::add(&mut cases);
    layers_of_texts::add(&mut cases);
    training::add(&mut cases);
    learning::add(&mut cases);
    if tier == Tier::Quick { few(cases.list) } else { cases.list }
}

/// Two rows of each kernel, neither of the smallest nor the largest size; one if a kernel has few, since these take
/// long to compile.
fn few(mut cases: Vec<Case>) -> Vec<Case> {
    let count = |kernel| cases.iter().filter(|case| case.kernel == kernel).count();
    let picks: HashMap<_, _> = cases.iter().map(|case| (case.kernel, picks(count(case.kernel)))).collect();
    let mut numbers: HashMap<&str, usize> = HashMap::new();
    cases.retain(|case| {
        let number = numbers.entry(case.kernel).or_default();
        *number += 1;
        picks[case.kernel].contains(&(*number - 1))
    });
    cases
}

fn picks(count: usize) -> [usize; 2] {
    if count < 6 { [0, 0] } else { [count / 3, 2 * count / 3] }
}

/// The row of a case, or why it cannot be run here.
async fn run_case(mut lab: Lab<'_>, kind: &Kind, case: &Case) -> Result<std::result::Result<Row, &'static str>> {
    let gpu = lab.gpu;
    let build = gpu.scoped(case.kernel, move || {
        (case.build)(&mut lab)?;
        Ok(lab)
    });
    let finding = match build.await {
        Ok(lab) => match lab.skipped() {
            Some(why) => return Ok(Err(why)),
            None => lab.finding().await,
        },
        Err(e) => Err(e),
    };
    let finding = match finding {
        Err(e) if e.code == ErrorCode::DeviceLost => return Err(e),
        Err(e) => refused(&e),
        Ok(finding) => finding,
    };
    let names = [&*case.variant, if case.depends_on == DependsOn::Nothing { "" } else { kind.name }];
    Ok(Ok(Row {
        kernel: case.kernel,
        size: case.size.clone(),
        format: case.format.map_or("", crate::model::tables::format_flag),
        variant: names.into_iter().filter(|name| !name.is_empty()).collect::<Vec<_>>().join(", "),
        error: finding.error,
        is_ok: finding.wrong.is_empty(),
        wrong: finding.wrong,
    }))
}

/// A kernel that does not compile also counts as wrong.
fn refused(e: &Error) -> Finding {
    Finding { error: f64::INFINITY, wrong: e.to_string() }
}
