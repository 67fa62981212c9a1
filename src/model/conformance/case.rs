//! A row of the table before it is run.

use super::lab::Lab;
use crate::checkpoint::layout::TableFormat;
use crate::error::Result;
use serde::Deserialize;

/// Sizes at the edges of workgroups, words and groups.
pub const SIZES: [usize; 5] = [1, 31, 32, 33, 255];
/// All formats of tables.
pub const FORMATS: [TableFormat; 3] = [TableFormat::Q4, TableFormat::Q8, TableFormat::F16];

/// The extent of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// One or two rows of every kernel.
    Quick,
    /// Every kernel, size and format, but not every combination.
    Short,
    /// All.
    Full,
}

/// A kernel's input and expected output.
pub struct Case {
    pub kernel: &'static str,
    pub size: String,
    pub format: Option<TableFormat>,
    pub variant: String,
    /// What determines how it is compiled, besides its parameters.
    pub depends_on: DependsOn,
    pub build: Build,
}

impl Case {
    /// Seed of its random numbers, independent of the other cases (FNV-1a of its name).
    pub fn seed(&self) -> u64 {
        let text = format!("{} {} {:?} {}", self.kernel, self.size, self.format, self.variant);
        text.bytes()
            .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
    }
}

/// Which properties of a device a kernel depends on: it runs as on each kind of device that differs in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DependsOn {
    Nothing,
    /// Whether it is a software GPU.
    Software,
    /// That, and whether it has subgroups.
    Subgroups,
    /// Whether it has subgroups.
    Sums,
    /// The same as `Subgroups`, and how much workgroup memory it has.
    Memory,
}

type Build = Box<dyn Fn(&mut Lab<'_>) -> Result<()>>;

/// The list of cases.
pub struct Cases {
    tier: Tier,
    pub list: Vec<Case>,
}

impl Cases {
    pub fn new(tier: Tier) -> Self {
        Self { tier, list: Vec::new() }
    }

    /// True for all in the full tier, and for every third in the short one.
    pub fn keeps(&self, number: usize) -> bool {
        self.tier == Tier::Full || number.is_multiple_of(3)
    }

    pub fn is_full(&self) -> bool {
        self.tier == Tier::Full
    }

    pub fn add(
        &mut self,
        (kernel, size, format): (&'static str, String, Option<TableFormat>),
        variant: &str,
        depends_on: DependsOn,
        build: impl Fn(&mut Lab<'_>) -> Result<()> + 'static,
    ) {
        let (variant, build) = (variant.to_owned(), Box::new(build));
        self.list.push(Case { kernel, size, format, variant, depends_on, build });
    }
}
