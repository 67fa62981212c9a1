//! Each kernel alone against plain arithmetic: a table of kernels, sizes, formats and variants, which tests run
//! natively and `conformance.html` runs in a browser.
//!
//! A case has a kernel's input and expected output (`case`, and the files named after the kernels' purposes); `lab`
//! runs it in buffers that were not zero before; `suite` runs all cases, as on each kind of device.

mod attention;
mod byte_rows;
mod bytes;
mod case;
mod choice;
mod inspect;
mod lab;
mod layers;
mod layers_of_texts;
mod learning;
mod packs;
mod pattention;
mod rows;
mod suite;
mod training;

pub use case::Tier;
pub use suite::{Row, Summary, run};
