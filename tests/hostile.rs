//! Checkpoints and model folders that are variants, damaged or malicious: every one is read correctly or
//! ends in a typed error, without a panic, a hang or a large allocation.

use crate::common::torch_zip::{Kind, Storage, Variant, View, archive, archive_with, pickle, tiny_model, zip};
use proptest::prelude::*;
use std::io::Cursor;
use tokenformer_web::checkpoint::TableSource;
use tokenformer_web::checkpoint::files::{ModelFolder, PytorchFile};
use tokenformer_web::checkpoint::folder::{Shard, header_len};
use tokenformer_web::checkpoint::layout::{Quantization, Side, TensorId, tensors};
use tokenformer_web::checkpoint::names::resolve_config;
use tokenformer_web::checkpoint::regions::Region;
use tokenformer_web::checkpoint::write::write_folder;
use tokenformer_web::config::PartialConfig;
use tokenformer_web::error::{Error, ErrorCode, Result};
use tokenformer_web::pattention::Pattention;

fn heads(n: usize) -> PartialConfig {
    PartialConfig { num_attention_heads: Some(n), ..Default::default() }
}

fn read_all(bytes: Vec<u8>, config: PartialConfig) -> Result<Vec<Vec<f32>>> {
    let mut file = PytorchFile::new(Cursor::new(bytes), None, Some(config), None)?;
    let config = file.config().clone();
    tensors(&config).map(|id| file.table(id)).collect()
}

#[test]
fn every_variant_of_the_published_format_reads_the_same() {
    let (storages, views) = tiny_model(Kind::F32, "", 2);
    let want = read_all(archive(&storages, &views, Variant::default()), heads(1)).expect("plain");
    for kind in [Kind::F32, Kind::F16, Kind::Bf16] {
        for prefix in ["", "module.", "sequential.", "module.sequential."] {
            for zip64_entries in [false, true] {
                let (storages, mut views) = tiny_model(kind, prefix, 11);
                if prefix.contains("sequential.") {
                    views[0].name = format!("{prefix}0.word_embeddings.weight");
                }
                // The values are exact in every format.
                let bytes = archive(&storages, &views, Variant { zip64_entries, ..Default::default() });
                assert_eq!(read_all(bytes, heads(1)).expect("variant"), want, "{kind:?} {prefix:?} {zip64_entries}");
            }
        }
    }
}

#[test]
fn tensors_may_share_a_storage_at_an_offset() {
    let (mut storages, mut views) = tiny_model(Kind::F32, "", 2);
    let plain = read_all(archive(&storages, &views, Variant::default()), heads(1)).expect("plain");
    // Query and key tables move into one storage, after some unused elements.
    let joined = [vec![9.0; 5], storages[1].values.clone(), storages[3].values.clone()].concat();
    views[1].storage = storages.len();
    views[1].offset = 5;
    views[3].storage = storages.len();
    views[3].offset = 5 + 32 * 32;
    storages.push(Storage { kind: Kind::F32, values: joined });
    assert_eq!(read_all(archive(&storages, &views, Variant::default()), heads(1)).expect("shared"), plain);
}

#[test]
fn buffers_that_are_no_weights_are_passed_over() {
    let (storages, views) = tiny_model(Kind::F32, "", 2);
    let plain = read_all(archive(&storages, &views, Variant::default()), heads(1)).expect("plain");
    for (kind, name) in
        [(Kind::Bool, "2.attention.bias"), (Kind::I64, "2.attention.position_ids"), (Kind::F64, "rotary.inv_freq")]
    {
        let (mut storages, mut views) = tiny_model(Kind::F32, "", 2);
        views.insert(1, View::new(name, storages.len(), 0, &[3, 3]));
        storages.push(Storage { kind, values: vec![1.0; 9] });
        views.push(View::new("counter", storages.len(), 0, &[]));
        storages.push(Storage { kind, values: vec![7.0] });
        assert_eq!(read_all(archive(&storages, &views, Variant::default()), heads(1)).expect(name), plain, "{name}");
        // Each of the model's own tensors must have a number type that is supported, whatever its values.
        let last = views.len() - 2;
        storages[views[last].storage].kind = kind;
        let bytes = archive(&storages, &views, Variant::default());
        let says = format!("{:?} of the checkpoint is in a torch.", views[last].name);
        expect_error(name, read_all(bytes, heads(1)), ErrorCode::UnsupportedCheckpoint, &says);
    }
}

#[test]
fn values_are_transposed_and_padded() {
    let (storages, views) = tiny_model(Kind::F32, "", 2);
    let source = storages[8].values.clone(); // proj value tokens, [40, 32]
    let mut file =
        PytorchFile::new(Cursor::new(archive(&storages, &views, Variant::default())), None, Some(heads(1)), None)
            .expect("file");
    let id = TensorId::Tokens { layer: 0, pattention: Pattention::Proj, side: Side::Values };
    let table = file.table(id).expect("table");
    assert_eq!(table.len(), 32 * 64);
    for d in 0..32 {
        for slot in 0..64 {
            let want = if slot < 40 { source[slot * 32 + d] } else { 0.0 };
            assert_eq!(table[d * 64 + slot], want);
        }
    }
}

fn expect_error(what: &str, result: Result<Vec<Vec<f32>>>, code: ErrorCode, says: &str) {
    let e: Error = result.err().unwrap_or_else(|| panic!("{what} was accepted"));
    assert_eq!(e.code, code, "{what}: {e}");
    assert!(e.to_string().contains(says), "{what}: {e}");
}

#[test]
fn hostile_archives() {
    use ErrorCode::{InvalidConfig, UnsupportedCheckpoint as Unsupported};
    let (storages, views) = tiny_model(Kind::F32, "", 2);
    let good = archive(&storages, &views, Variant::default());
    let check =
        |what: &str, bytes: Vec<u8>, code, says: &str| expect_error(what, read_all(bytes, heads(1)), code, says);
    let variant = |v: Variant| archive(&storages, &views, v);
    let with = |change: &dyn Fn(&mut Vec<Storage>, &mut Vec<View>)| {
        let (mut s, mut v) = tiny_model(Kind::F32, "", 2);
        change(&mut s, &mut v);
        archive(&s, &v, Variant::default())
    };
    let calls = |module: &str, name: &str| {
        let mut p = b"\x80\x02".to_vec();
        p.extend(format!("c{module}\n{name}\n(X\x02\x00\x00\x00idtR.").as_bytes());
        archive_with(p, &storages, Variant::default())
    };

    check("nothing", vec![], Unsupported, "directory");
    check("text", b"hello".repeat(100), Unsupported, "directory");
    check("deflated", variant(Variant { method: 8, ..Default::default() }), Unsupported, "compressed");
    check("encrypted", variant(Variant { flags: 1, ..Default::default() }), Unsupported, "encrypted");
    let bomb = Variant { more_entries: u64::MAX / 2, ..Default::default() };
    check("a directory that claims 2^63 entries", variant(bomb), Unsupported, "entries");
    check("one entry too many", variant(Variant { more_entries: 1, ..Default::default() }), Unsupported, "directory");
    check("no pickle", zip(&[("a/b".into(), vec![1])], Variant::default()), Unsupported, "data.pkl");
    check("os.system", calls("os", "system"), Unsupported, "os.system");
    check("builtins.eval", calls("builtins", "eval"), Unsupported, "builtins.eval");
    check("a double storage", calls("torch", "DoubleStorage"), Unsupported, "torch.DoubleStorage");
    let opcode = |bytes: &[u8]| archive_with([b"\x80\x02", bytes].concat(), &storages, Variant::default());
    check("an unknown opcode", opcode(b"\x82."), Unsupported, "0x82");
    check("an instance of a class", opcode(b"(ios\nsystem\n."), Unsupported, "0x69");
    check("an empty pickle", opcode(b""), Unsupported, "truncated");
    check("a stack underflow", opcode(b"."), Unsupported, "stack");
    check("a million marks", opcode(&vec![b'('; 1_000_000]), Unsupported, "deep");
    check("a million values", opcode(&vec![b'N'; 1_000_000]), Unsupported, "many");
    check("an offset out of range", with(&|_, v| v[3].offset = 1), Unsupported, "outside its storage");
    check("a shape out of range", with(&|_, v| v[0].shape = vec![i32::MAX as usize; 2]), InvalidConfig, "shape");
    check("strides of a transpose", with(&|_, v| v[3].stride = vec![1, 32]), Unsupported, "not contiguous");
    let fewer = archive_with(pickle(&storages, &views), &storages[..5], Variant::default());
    check("a storage that is not there", fewer, Unsupported, "does not hold");
    check("a missing table", with(&|_, v| drop(v.remove(4))), Unsupported, "param_tokens");
    check("a missing norm", with(&|_, v| drop(v.pop())), Unsupported, "norm.bias");
    check("another width in one table", with(&|_, v| v[5].shape = vec![16, 64]), InvalidConfig, "shape");
    check("no layers", with(&|_, v| v.retain(|t| t.name.contains("embed"))), Unsupported, "query");
    check("a key twice", with(&|_, v| v[2].name = v[1].name.clone()), Unsupported, "twice");
    for len in (0..good.len()).step_by(101).chain([good.len() - 1, good.len() - 22]) {
        assert!(read_all(good[..len].to_vec(), heads(1)).is_err(), "cut to {len} bytes");
    }
    let disagree = |config: PartialConfig, says: &str| {
        expect_error(says, read_all(good.clone(), config), InvalidConfig, says);
    };
    disagree(PartialConfig { num_layers: Some(2), ..heads(1) }, "num_layers");
    disagree(PartialConfig { hidden_size: Some(64), ..heads(1) }, "hidden_size");
    disagree(PartialConfig { ffn_slot_num: Some(63), ..heads(1) }, "ffn_slot_num");
    disagree(heads(3), "num_attention_heads");
    disagree(PartialConfig::default(), "num_attention_heads");
}

#[test]
fn weights_that_are_not_finite_are_refused_by_name() {
    for (table, bad) in [(0, f32::NAN), (4, f32::INFINITY), (11, f32::NAN)] {
        for quantization in Quantization::ALL {
            let (mut storages, views) = tiny_model(Kind::F32, "", 2);
            let n = storages[table].values.len();
            storages[table].values[n / 2] = bad;
            let bytes = archive(&storages, &views, Variant::default());
            let mut source = PytorchFile::new(Cursor::new(bytes), None, Some(heads(1)), None).expect("file");
            let folder = tempfile::tempdir().expect("folder");
            let e = write_folder(&mut source, quantization, None, folder.path(), u64::MAX, |_| {}).expect_err("NaN");
            assert_eq!(e.code, ErrorCode::UnsupportedCheckpoint);
            let names = ["embed.word_embeddings", "attention.key.value_param_tokens", "norm.weight"];
            assert!(names.iter().any(|n| e.to_string().contains(n)), "{e}");
        }
    }
}

/// A folder of the tiny model.
fn folder(quantization: Quantization, shard_bytes: u64) -> (tempfile::TempDir, Vec<Vec<f32>>) {
    let (storages, views) = tiny_model(Kind::F32, "", 2);
    let bytes = archive(&storages, &views, Variant::default());
    let mut source = PytorchFile::new(Cursor::new(bytes), None, Some(heads(1)), None).expect("file");
    let config = source.config().clone();
    let tables = tensors(&config).map(|id| source.table(id).expect("table")).collect();
    let folder = tempfile::tempdir().expect("folder");
    write_folder(&mut source, quantization, None, folder.path(), shard_bytes, |_| {}).expect("written");
    (folder, tables)
}

#[test]
fn numbers_of_a_folder_that_are_not_finite_are_refused() {
    for quantization in Quantization::ALL {
        let (folder, _) = folder(quantization, u64::MAX);
        let path = folder.path().join("model.safetensors");
        let good = std::fs::read(&path).expect("file");
        let config = ModelFolder::open(folder.path()).expect("folder").config().clone();
        let header = header_len(good[..8].try_into().expect("8 bytes")).expect("length");
        let shard = Shard::parse(&good[8..8 + header], &config).expect("header");
        let mut refused = 0;
        for s in &shard.sections {
            let mut bytes = good.clone();
            // Infinity in both f16 and the upper half of an f32.
            let end = s.bytes.end as usize;
            bytes[end - 2..end].copy_from_slice(&[0x80, 0x7f]);
            std::fs::write(&path, &bytes).expect("write");
            let read = ModelFolder::open(folder.path()).expect("folder").table(s.id);
            let is_packed = s.region == Region::Elements && s.id.format(quantization).is_some_and(|f| f.is_quantized());
            assert_eq!(read.as_ref().err().map(|e| e.code), (!is_packed).then_some(ErrorCode::UnsupportedCheckpoint));
            refused += usize::from(!is_packed);
        }
        assert!(refused >= tensors(&config).count());
    }
}

#[test]
fn a_config_that_cannot_be_read_matters_only_where_it_is_needed() {
    let (storages, views) = tiny_model(Kind::F32, "", 2);
    let good = archive(&storages, &views, Variant::default());
    let told = PartialConfig::of_published(b"{\"norm_activation_type\": \"relu\", \"num_attention_heads\": 1}");
    let e = read_all(good.clone(), told).expect_err("an unknown activation");
    assert_eq!(e.code, ErrorCode::InvalidConfig);
    assert!(e.message.contains("relu"), "{e}");
    let told =
        PartialConfig::of_published(b"{\"num_attention_heads\": \"1\", \"num_hidden_layers\": 1, \"num_layers\": 1}");
    read_all(good, told).expect("strings and both names");
    // The shapes and the name of a published model determine everything.
    let preset = PartialConfig::preset("TokenFormer-150M").expect("preset");
    let shapes = PartialConfig { num_attention_heads: None, max_position_embeddings: None, ..preset };
    for json in [&b"<html>"[..], b"{\"norm_activation_type\": \"relu\"}"] {
        let told = Some(PartialConfig::of_published(json));
        let config = resolve_config(&shapes, Some("TokenFormer-150M"), told.clone(), None).expect("preset");
        assert_eq!(config.num_attention_heads, 12);
        assert!(resolve_config(&shapes, Some("another"), told, None).is_err());
    }
}

#[test]
fn folders_round_trip_in_one_file_and_in_shards() {
    for quantization in Quantization::ALL {
        let (whole, source) = folder(quantization, u64::MAX);
        let (shards, _) = folder(quantization, 3000);
        assert!(shards.path().join("model.safetensors.index.json").exists());
        let (mut a, mut b) =
            (ModelFolder::open(whole.path()).expect("whole"), ModelFolder::open(shards.path()).expect("shards"));
        assert_eq!((a.quantization, b.quantization), (quantization, quantization));
        let config = a.config().clone();
        for (id, want) in tensors(&config).zip(source) {
            let got = a.table(id).expect("table");
            assert_eq!(got, b.table(id).expect("table"));
            let error = got.iter().zip(&want).map(|(g, w)| (g - w).abs()).fold(0.0, f32::max);
            // Values reach 1/8: the bound is half a step of 1/7, of 1/127 of it, or zero.
            let bound = [0.125 / 7.0, 0.125 / 127.0, 0.0][quantization as usize];
            assert!(error <= bound, "{quantization:?} {}: {error}", id.name());
        }
    }
}

#[test]
fn the_safetensors_library_reads_what_is_written_and_data_is_aligned() {
    let (folder, _) = folder(Quantization::Q4, u64::MAX);
    let bytes = std::fs::read(folder.path().join("model.safetensors")).expect("file");
    let file = safetensors::SafeTensors::deserialize(&bytes).expect("readable");
    for (name, tensor) in file.tensors() {
        let offset = tensor.data().as_ptr() as usize - bytes.as_ptr() as usize;
        assert!(offset.is_multiple_of(16) && tensor.data().len().is_multiple_of(16), "{name} at {offset}");
    }
    let shape = file.tensor("layers.0.attention.proj.value_param_tokens.weight_shape").expect("shape");
    assert_eq!(shape.data(), [32u64, 64].map(u64::to_le_bytes).concat());
}

#[test]
fn hostile_folders() {
    let (folder, _) = folder(Quantization::Q4, u64::MAX);
    let path = folder.path().join("model.safetensors");
    let good = std::fs::read(&path).expect("file");
    let open = |bytes: &[u8]| {
        std::fs::write(&path, bytes).expect("write");
        ModelFolder::open(folder.path()).map(|_| ())
    };
    assert!(open(&good).is_ok());
    let len = header_len(std::array::from_fn(|i| good[i])).expect("length");
    let edit = |from: &str, to: &str| {
        let text = String::from_utf8_lossy(&good[8..8 + len]).replacen(from, to, 1);
        let mut out = (text.len() as u64).to_le_bytes().to_vec();
        out.extend(text.as_bytes());
        out.extend(&good[8 + len..]);
        out
    };
    let huge = [u64::MAX.to_le_bytes().to_vec(), good[8..].to_vec()].concat();
    for (what, bytes) in [
        ("nothing", vec![]),
        ("seven bytes", good[..7].to_vec()),
        ("a cut header", good[..100].to_vec()),
        ("a cut file", good[..good.len() - 1].to_vec()),
        ("a longer file", [good.clone(), vec![0]].concat()),
        ("a huge header", huge),
        ("no JSON", [8u64.to_le_bytes().to_vec(), b"[1,2,3] ".to_vec()].concat()),
        ("a missing tensor", edit("layers.0.mlp.key_param_tokens.weight_packed", "x.weight_packed")),
        ("a missing scale", edit("layers.0.mlp.key_param_tokens.weight_scale", "x.weight_scale")),
        ("another type", edit("\"F16\"", "\"BF16\"")),
        ("another shape", edit("[64,4]", "[4,64]")),
        ("offsets out of range", edit("\"data_offsets\":[0,", "\"data_offsets\":[16,")),
        ("a negative offset", edit("\"data_offsets\":[0,", "\"data_offsets\":[-1,")),
    ] {
        let e = open(&bytes).err().unwrap_or_else(|| panic!("{what} was accepted"));
        assert!(matches!(e.code, ErrorCode::UnsupportedCheckpoint | ErrorCode::InvalidConfig), "{what}: {e}");
    }
    open(&good).expect("restored");
    let index = folder.path().join("model.safetensors.index.json");
    for bad in ["", "{}", "[]", r#"{"weight_map":{}}"#, r#"{"weight_map":{"a":"../../etc/passwd.safetensors"}}"#] {
        std::fs::write(&index, bad).expect("write");
        let e = ModelFolder::open(folder.path()).expect_err(bad);
        assert_eq!(e.code, ErrorCode::UnsupportedCheckpoint, "{bad}");
    }
}

proptest! {
    #[test]
    fn any_bytes_as_an_archive(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(read_all(bytes, heads(1)).is_err());
    }

    #[test]
    fn any_bytes_as_a_pickle(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let (storages, _) = tiny_model(Kind::F32, "", 2);
        let e = read_all(archive_with(bytes, &storages[..2], Variant::default()), heads(1)).err();
        prop_assert!(e.is_some_and(|e| e.code == ErrorCode::UnsupportedCheckpoint));
    }

    #[test]
    fn flipped_bits_of_an_archive(flips in prop::collection::vec((any::<prop::sample::Index>(), 0u8..8), 1..6), near_end in any::<bool>()) {
        let (storages, views) = tiny_model(Kind::F16, "", 2);
        let mut bytes = archive(&storages, &views, Variant::default());
        // The directory is a small part of the file, but the one where a flip does most harm.
        let from = if near_end { bytes.len() - 1200 } else { 0 };
        for (at, bit) in flips {
            let at = from + at.index(bytes.len() - from);
            bytes[at] ^= 1 << bit;
        }
        // Either only weights changed, or it is an error; what matters is that reading ends.
        if let Err(e) = read_all(bytes, heads(1)) {
            prop_assert!(matches!(e.code, ErrorCode::UnsupportedCheckpoint | ErrorCode::InvalidConfig), "{}", e);
        }
    }

    #[test]
    fn flipped_bits_of_a_pickle(flips in prop::collection::vec((any::<prop::sample::Index>(), 0u8..8), 1..4)) {
        let (storages, views) = tiny_model(Kind::F16, "", 2);
        let mut p = pickle(&storages, &views);
        for (at, bit) in flips {
            let at = at.index(p.len());
            p[at] ^= 1 << bit;
        }
        if let Err(e) = read_all(archive_with(p, &storages, Variant::default()), heads(1)) {
            prop_assert!(matches!(e.code, ErrorCode::UnsupportedCheckpoint | ErrorCode::InvalidConfig), "{}", e);
        }
    }

    #[test]
    fn any_bytes_as_a_safetensors_header(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let (storages, views) = tiny_model(Kind::F32, "", 2);
        let file = PytorchFile::new(Cursor::new(archive(&storages, &views, Variant::default())), None, Some(heads(1)), None);
        let config = file.expect("file").config().clone();
        prop_assert!(Shard::parse(&bytes, &config).is_err());
    }

    #[test]
    fn flipped_bits_of_a_safetensors_header(flips in prop::collection::vec((any::<prop::sample::Index>(), 0u8..8), 1..4)) {
        let (folder, _) = folder(Quantization::Q8, u64::MAX);
        let bytes = std::fs::read(folder.path().join("model.safetensors")).expect("file");
        let len = header_len(std::array::from_fn(|i| bytes[i])).expect("length");
        let config = ModelFolder::open(folder.path()).expect("folder").config().clone();
        let mut header = bytes[8..8 + len].to_vec();
        for (at, bit) in flips {
            let at = at.index(header.len());
            header[at] ^= 1 << bit;
        }
        if let Err(e) = Shard::parse(&header, &config) {
            prop_assert!(matches!(e.code, ErrorCode::UnsupportedCheckpoint | ErrorCode::InvalidConfig), "{}", e);
        }
    }
}
