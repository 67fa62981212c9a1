//! Converting as the bytes arrive gives the same tables as the convert tool.

use crate::common::{FIXTURES, fixture};
use std::collections::BTreeMap;
use std::fs;
use tokenformer_web::checkpoint::files::{PytorchFile, open};
use tokenformer_web::checkpoint::folder::{Shard, header_len};
use tokenformer_web::checkpoint::layout::{Quantization, tensors};
use tokenformer_web::checkpoint::regions::regions;
use tokenformer_web::checkpoint::unit::covers;
use tokenformer_web::checkpoint::write::{SHARD_BYTES, write_folder};
use tokenformer_web::checkpoint::{TableSource, zip};
use tokenformer_web::error::ErrorKind;

#[test]
fn streaming_agrees_with_the_convert_tool() {
    for name in FIXTURES {
        let folder = fixture(name);
        let path = folder.join("pytorch_model.bin");
        let bytes = fs::read(&path).expect("fixture");
        let json = fs::read(folder.join("config.json")).expect("config");
        let config = tokenformer_web::config::PartialConfig::from_json(&json).expect("config");
        for quantization in Quantization::ALL {
            let mut source =
                PytorchFile::new(open(&path).expect("open"), None, Some(config.clone()), None).expect("index");
            let config = source.config().clone();
            let out = tempfile::tempdir().expect("folder");
            write_folder(&mut source, quantization, None, out.path(), SHARD_BYTES, |_| {}).expect("convert");
            let written = fs::read(out.path().join("model.safetensors")).expect("file");
            let header = header_len(written[..8].try_into().expect("8 bytes")).expect("length");
            let shard = Shard::parse(&written[8..8 + header], &config).expect("header");

            // Units and slices of odd sizes: pending data crosses every border.
            for (unit_bytes, slice) in [(1 << 30, 65_536), (70_001, 4_099), (1, 977)] {
                let plan = source.conversion(quantization, unit_bytes, zip::likely_data_offset).expect("plan");
                assert_eq!(plan.units[0].start, 0);
                assert_eq!(plan.units.last().expect("units").end, bytes.len() as u64);
                assert!(plan.units.windows(2).all(|u| u[0].end == u[1].start));
                let mut got = BTreeMap::new();
                let mut all = Vec::new();
                for (i, unit) in plan.units.iter().enumerate() {
                    let mut converter = plan.begin(i);
                    for slice in bytes[unit.start as usize..unit.end as usize].chunks(slice) {
                        converter.push(slice).expect("convert");
                    }
                    let done = converter.finish();
                    for p in done.pieces {
                        let table: &mut Vec<u8> = got.entry((p.id, p.region)).or_default();
                        assert_eq!(table.len() as u64, p.offset, "{name} {:?}", p.id);
                        table.extend(&done.bytes[p.at as usize..(p.at + p.len) as usize]);
                        all.push((p.id, p.region, p.offset, u64::from(p.len)));
                    }
                }
                for s in &shard.sections {
                    let want = &written[s.bytes.start as usize..s.bytes.end as usize];
                    assert!(got[&(s.id, s.region)] == want, "{name} {quantization:?} {:?} {:?}", s.id, s.region);
                }
                let expected: Vec<_> = tensors(&config)
                    .flat_map(|id| regions(id, &config, quantization).map(move |(region, bytes)| (id, region, bytes)))
                    .collect();
                assert!(covers(all.into_iter(), &expected));
                assert_eq!(plan.stored_bytes(), expected.iter().map(|e| e.2).sum::<u64>());
                assert!(unit_bytes > 1 || plan.units.len() > 10);
            }
        }
    }
}

#[test]
fn data_that_begins_elsewhere_is_noticed() {
    let path = fixture("head64").join("pytorch_model.bin");
    let mut source = PytorchFile::open(&path, None).or_else(|_| {
        let json = fs::read(fixture("head64").join("config.json")).expect("config");
        PytorchFile::open(&path, Some(tokenformer_web::config::PartialConfig::from_json(&json).expect("config")))
    });
    let source = source.as_mut().expect("index");
    let elsewhere = |e: &zip::Entry| Some(zip::likely_data_offset(e)? - 4);
    let plan = source.conversion(Quantization::Q8, 1 << 30, elsewhere).expect("plan");
    let bytes = fs::read(&path).expect("fixture");
    let mut converter = plan.begin(0);
    let failed = bytes.chunks(100).find_map(|slice| converter.push(slice).err()).expect("an error");
    assert_eq!(failed.kind, ErrorKind::Misplaced, "{failed}");
    let failed = source.conversion(Quantization::Q8, 1 << 30, |_| None).expect_err("no plan");
    assert_eq!(failed.kind, ErrorKind::Misplaced);
}

/// A file beyond 4 GiB, most of which is a hole: sizes and offsets are in ZIP64 fields, and the data of the tensors is
/// still found where it is expected.
#[test]
fn checkpoints_beyond_4_gib() {
    let json = r#"{"num_layers":2,"hidden_size":64,"num_attention_heads":2,"qkv_slot_num":40,"proj_slot_num":64,
        "ffn_slot_num":96,"padded_vocab_size":300}"#;
    let config = tokenformer_web::config::PartialConfig::from_json(json.as_bytes()).expect("config");
    let shape = config.clone().finish().expect("config");
    let folder = tempfile::tempdir().expect("folder");
    let (small, big) = (folder.path().join("small.bin"), folder.path().join("big.bin"));
    let hole = (4 << 30) + 12_345;
    crate::common::big_checkpoint::write(&small, &shape, 1, 0, 64).expect("small");
    crate::common::big_checkpoint::write(&big, &shape, 1, hole, 64).expect("big");
    assert!(fs::metadata(&big).expect("file").len() > hole);
    let open = |path| PytorchFile::open(path, Some(config.clone())).expect("index");
    let (mut small, mut source) = (open(&small), open(&big));
    for id in tensors(&shape) {
        assert!(small.table(id).expect("table") == source.table(id).expect("table"), "{id:?}");
    }
    let mut file = open_file(&big);
    let plan = source.conversion(Quantization::Q4, 1 << 20, zip::likely_data_offset).expect("plan");
    let last = plan.units.len() - 1;
    let mut converter = plan.begin(last);
    let mut bytes = Vec::new();
    use std::io::{Read, Seek, SeekFrom};
    file.seek(SeekFrom::Start(plan.units[last].start)).expect("seek");
    file.read_to_end(&mut bytes).expect("read");
    converter.push(&bytes[bytes.len() - bytes.len().min(1 << 30)..]).expect("headers where they are believed to be");
    assert!(!converter.finish().pieces.is_empty());
}

fn open_file(path: &std::path::Path) -> fs::File {
    open(path).expect("file")
}
