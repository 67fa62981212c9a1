//! Each kernel alone. `TOKENFORMER_FULL` runs every size with every format, and `TOKENFORMER_TABLE` prints the table.

use crate::model::conformance::{Row, Tier, run};

#[test]
fn every_kernel_does_what_plain_arithmetic_does() {
    let tier = if std::env::var("TOKENFORMER_FULL").is_ok() { Tier::Full } else { Tier::Short };
    let mut wrong = Vec::new();
    let tell = |row: Row| {
        let Row { kernel, size, format, variant, error, is_ok, wrong: what } = row;
        let line = format!("{kernel:18} {size:28} {format:4} {variant:34} {error:9.2e} {what}");
        if std::env::var("TOKENFORMER_TABLE").is_ok() {
            println!("{line}");
        }
        if !is_ok {
            wrong.push(line);
        }
    };
    let summary =
        pollster::block_on(run(tier, |_| true, tell)).expect("a GPU: the tests need at least a software Vulkan device");
    println!("{} cases, skipped: {:?}", summary.run, summary.skipped);
    assert!(summary.run > 200, "{} cases", summary.run);
    assert_eq!(summary.failed, wrong.len());
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
