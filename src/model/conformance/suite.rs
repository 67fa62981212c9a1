//! All cases on all kinds of devices.

use super::case::{Case, Cases, DependsOn, Tier};
use super::lab::{Finding, Lab};
use super::{attention, choice, pattention, rows};
use crate::error::{Error, ErrorCode, Result};
use crate::gpu::{Gpu, GpuOptions, Kernels};
use serde::Serialize;

/// A row of the table.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// Its shader in `shaders/`.
    pub kernel: &'static str,
    /// How large what it works on is.
    pub size: String,
    /// How a table's elements are stored; empty for kernels without one.
    pub format: &'static str,
    /// How it is compiled, and what for.
    pub variant: String,
    /// The largest error, as a part of what is allowed.
    pub error: f64,
    /// No error is more than is allowed.
    pub is_ok: bool,
    /// What is wrong, in words.
    pub wrong: String,
}

/// How it went.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Rows.
    pub run: usize,
    /// Rows that are not ok.
    pub failed: usize,
    /// What was not run here, and why.
    pub skipped: Vec<String>,
}

/// A kind of device, which this one can be taken for.
struct Kind {
    name: &'static str,
    subgroups: bool,
    /// Work is shared out as for a program on the CPU.
    software: bool,
}

/// The first runs all; another one runs what depends on that in which it differs.
const KINDS: [Kind; 3] = [
    Kind { name: "trees", subgroups: false, software: false },
    Kind { name: "subgroups", subgroups: true, software: false },
    Kind { name: "software", subgroups: false, software: true },
];

impl Kind {
    fn runs(&self, what: DependsOn) -> bool {
        match what {
            DependsOn::Nothing => !self.software && !self.subgroups,
            DependsOn::Software => !self.subgroups,
            DependsOn::Subgroups => true,
        }
    }
}

/// Runs the rows of the kernels that `wants`, and tells each.
///
/// # Errors
/// `webgpu-unavailable` without a GPU, `device-lost`.
pub async fn run(tier: Tier, wants: impl Fn(&str) -> bool, mut tell: impl FnMut(Row)) -> Result<Summary> {
    let mut summary = Summary::default();
    for kind in &KINDS {
        let options = GpuOptions { no_subgroups: !kind.subgroups, insists: true, ..Default::default() };
        let mut gpu = Gpu::open(&options).await?;
        if kind.subgroups && !gpu.has_subgroups() {
            summary.skipped.push("variants with subgroups: this device has none".into());
            continue;
        }
        gpu.is_software = kind.software;
        let mut kernels = Kernels::default();
        let runs = |case: &Case| kind.runs(case.depends_on) && wants(case.kernel);
        for (seed, case) in cases(tier).into_iter().enumerate().filter(|(_, case)| runs(case)) {
            let row = run_case(&gpu, &mut kernels, kind, &case, seed as u64).await?;
            summary.run += 1;
            summary.failed += usize::from(!row.is_ok);
            tell(row);
        }
    }
    Ok(summary)
}

fn cases(tier: Tier) -> Vec<Case> {
    let mut cases = Cases::new(tier);
    rows::add(&mut cases);
    pattention::add(&mut cases);
    attention::add(&mut cases);
    choice::add(&mut cases);
    cases.list
}

async fn run_case(gpu: &Gpu, kernels: &mut Kernels, kind: &Kind, case: &Case, seed: u64) -> Result<Row> {
    let build = gpu.scoped(case.kernel, move || {
        let mut lab = Lab::new(gpu, kernels, seed);
        (case.build)(&mut lab)?;
        Ok(lab)
    });
    let finding = match build.await {
        Ok(lab) => lab.finding().await,
        Err(e) => Err(e),
    };
    let finding = match finding {
        Err(e) if e.code == ErrorCode::DeviceLost => return Err(e),
        Err(e) => refused(&e),
        Ok(finding) => finding,
    };
    let names = [&*case.variant, if case.depends_on == DependsOn::Nothing { "" } else { kind.name }];
    Ok(Row {
        kernel: case.kernel,
        size: case.size.clone(),
        format: case.format.map_or("", crate::model::tables::format_flag),
        variant: names.into_iter().filter(|name| !name.is_empty()).collect::<Vec<_>>().join(", "),
        error: finding.error,
        is_ok: finding.wrong.is_empty(),
        wrong: finding.wrong,
    })
}

/// A kernel that does not compile is wrong as well.
fn refused(e: &Error) -> Finding {
    Finding { error: f64::INFINITY, wrong: e.to_string() }
}
