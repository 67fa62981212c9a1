//! Each kernel alone. `TOKENFORMER_FULL` runs every size with every format, `TOKENFORMER_KERNELS=keys,layers` only
//! these kernels, and `TOKENFORMER_TABLE` prints the table.

use super::is_full;
use crate::error::ErrorCode;
use crate::model::conformance::{Row, Tier, run};

#[test]
fn every_kernel_does_what_plain_arithmetic_does() {
    let tier = if is_full() { Tier::Full } else { Tier::Short };
    let named = std::env::var("TOKENFORMER_KERNELS").unwrap_or_default();
    let kernels: Vec<String> = named.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
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
        pollster::block_on(run(tier, &kernels, tell)).expect("a GPU: the tests need at least a software Vulkan device");
    println!("{} cases, skipped: {:?}", summary.run, summary.skipped);
    assert!(summary.run > 200 || !kernels.is_empty(), "{} cases", summary.run);
    assert_eq!(summary.failed, wrong.len());
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn a_kernel_that_there_is_not_is_no_kernel_that_is_right() {
    let names = ["keys", "key"].map(str::to_owned);
    let error = pollster::block_on(run(Tier::Quick, &names, |_| ())).expect_err("there is no such kernel");
    assert_eq!(error.code, ErrorCode::InvalidArgument);
    assert!(error.message.contains("\"key\""), "{error}");
    assert!(error.to_string().contains("keys, layernorm, "), "{error}");
}
