//! Tables packed by this project, as PyPI's compressed-tensors unpacks them (tests/fixtures/compressed-tensors).

use crate::common::fixture;
use half::f16;
use tokenformer_web::checkpoint::layout::TableFormat;
use tokenformer_web::checkpoint::quantize::Stored;

#[test]
fn the_package_reads_the_same_numbers() {
    let bytes = std::fs::read(fixture("compressed-tensors").join("expected.safetensors")).expect("fixture");
    let file = safetensors::SafeTensors::deserialize(&bytes).expect("fixture");
    let tables: Vec<String> =
        file.names().into_iter().filter_map(|n| n.strip_suffix(".packed").map(str::to_owned)).collect();
    assert_eq!(tables.len(), 8);
    for table in tables {
        let data = |suffix: &str| file.tensor(&format!("{table}.{suffix}")).expect("tensor").data().to_vec();
        let format = if table.starts_with("4bit") { TableFormat::Q4 } else { TableFormat::Q8 };
        let ours = Stored { elements: data("packed"), scales: data("scale") }.dequantize(format);
        assert_eq!(ours, crate::common::floats(&file, &format!("{table}.f32")), "{table}");
        // If the scales have the type in which they are stored, the package multiplies in f16.
        let rounded: Vec<u8> = ours.iter().flat_map(|v| f16::from_f32(*v).to_le_bytes()).collect();
        assert_eq!(rounded, data("f16"), "{table}");
        assert!(ours.iter().any(|v| *v != 0.0));
    }
}
